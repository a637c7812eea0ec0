//! The change buffer of a source: reading what a consumer has not seen, and pruning what all have.
//!
//! **Law:** what is read is what `snapshot` sees and `frontier` does not, by the same predicate that later
//! decides what may be pruned. Rows have no order: only sums of weights mean anything.

use std::ops::Range;
use std::rc::Rc;

use ivm::frontier::Frontier;
use ivm::sql::ident::QName;
use pgrx::pg_sys;

use crate::capture::cache::{self, Known};
use crate::capture::format::{Entry, Format};
use crate::capture::pending::{self, Destination};
use crate::capture::stamp::{self, Chunk, Stamp};
use crate::capture::track::{self, members_changed};
use crate::capture::trigger::with_pending;
use crate::catalog::layout::Layout;
use crate::catalog::source::{self, Source};
use crate::error::{Error, Result};
use crate::pg::heap::Table;
use crate::pg::relation;
use crate::pg::row::{Aligned, Row, Values};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi;
use crate::pg::template::Hole;
use crate::pg::tuplestore::{ColumnDef, Desc, Tuplestore};
use crate::pg::xact;

/// The name of the weight.
const WEIGHT: &str = "w";

/// What a consumer has not seen of a source.
pub struct Pending {
    /// The columns asked for, then the weight.
    pub store: Tuplestore,
    /// Change rows that went into it, or do not concern its columns.
    pub read: i64,
    /// Change rows, those included that concern other columns only; a TRUNCATE is one.
    pub rows: i64,
    /// The rows do not tell all: the table was truncated, changed in a shape that cannot be read now, or
    /// [`members_changed`] has a reason.
    pub truncated: bool,
}

impl Pending {
    /// Whether the store tells all.
    pub fn is_whole(&self) -> bool {
        self.read == self.rows
    }

    /// Whether there is a change to follow, for all that is known: what concerns other columns only is none.
    pub fn may_matter(&self) -> bool {
        !self.is_whole() || self.store.rows() > 0
    }

    /// How many rows the store has, or would have if all were read: as many of them as so far.
    pub fn expected(&self) -> f64 {
        self.store.rows() as f64 * (self.rows as f64 / self.read.max(1) as f64).max(1.0)
    }
}

fn known(source: i32) -> Result<Rc<Known>> {
    cache::known(source)?.ok_or(Error::Bug("the source has no change buffer"))
}

/// The delta of a source that has not changed.
pub fn empty(source: i32, columns: &[String]) -> Result<Tuplestore> {
    typed(&*self::known(source)?, columns)
}

fn typed(known: &Known, columns: &[String]) -> Result<Tuplestore> {
    Ok(Tuplestore::new(Desc::new(&column_defs(known, columns)?)?))
}

fn column_defs(known: &Known, columns: &[String]) -> Result<Vec<ColumnDef>> {
    let mut defs = Vec::with_capacity(columns.len() + 1);
    for name in columns {
        let attribute = known.attribute(name).ok_or_else(|| track::no_such_column(known.source.relid, name))?;
        defs.push(attribute.definition());
    }
    let none = pg_sys::InvalidOid;
    defs.push(ColumnDef { name: WEIGHT.to_owned(), ty: pg_sys::INT8OID, modifier: -1, collation: none });
    Ok(defs)
}

/// Reads what `snapshot` sees and `frontier` does not; of more rows than `enough`, the rest is only counted.
pub fn pending(source: i32, seen: (&Frontier, &Snapshot), columns: &[String], enough: i64) -> Result<Pending> {
    let known = self::known(source)?;
    let store = typed(&known, columns)?;
    let mut found = Pending { store, read: 0, rows: 0, truncated: false };
    scan(known, seen, columns, 0..enough, &mut found)?;
    Ok(found)
}

/// Reads what was only counted: under the same snapshot a buffer has the same rows in the same order.
pub fn rest(source: i32, seen: (&Frontier, &Snapshot), columns: &[String], pending: &mut Pending) -> Result<()> {
    pending.rows = 0;
    scan(known(source)?, seen, columns, pending.read..i64::MAX, pending)
}

/// Counts all rows that `snapshot` sees and `frontier` does not, and reads those in these places.
fn scan(
    known: Rc<Known>,
    (frontier, snapshot): (&Frontier, &Snapshot),
    columns: &[String],
    places: Range<i64>,
    found: &mut Pending,
) -> Result<()> {
    // Whatever the caller has verified before: a doubt that came up since is a change of its own.
    let broken = members_changed(known.source.id)?.is_some();
    if broken {
        track::distrust(&known)?;
    }
    found.truncated |= broken;
    let Some(buffer) = Table::open(known.buffer, pg_sys::AccessShareLock) else {
        return Err(Error::Bug("the change buffer is gone"));
    };
    if buffer.pages() > 0 {
        let mut decoder = Decoder::new(known, columns);
        stamp::for_each(&buffer, snapshot, |chunk| {
            let stamp = &chunk.stamp;
            if !frontier.sees(stamp.xid, stamp.seq) {
                let place = found.rows;
                found.rows += i64::from(stamp.entries);
                found.truncated |= !decoder.choose(stamp.layout)?;
                if !found.truncated && places.contains(&place) {
                    found.read = found.rows;
                    decoder.read(chunk, &found.store)?;
                }
            }
            Ok(())
        })?;
    }
    found.rows += i64::from(broken);
    Ok(())
}

/// Whether a source has something for a consumer that has seen `frontier`: a row that `snapshot` sees, of those that
/// `asked` sees, or a doubt about its capture. Reads and changes nothing else. Of a source that is gone nobody
/// can tell what it had.
pub fn is_behind(source: i32, frontier: &Frontier, snapshot: &Snapshot, asked: &Frontier) -> Result<bool> {
    Ok(unseen(source, frontier, snapshot, asked)? != Unseen::Nothing)
}

/// What a source has for a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    Nothing,
    /// Changes; the oldest transaction among them.
    From(u64),
    /// Whatever was not captured, or is gone.
    Unknown,
}

/// The same as [`is_behind`], and since which transaction.
pub fn unseen(source: i32, frontier: &Frontier, snapshot: &Snapshot, asked: &Frontier) -> Result<Unseen> {
    if members_changed(source)?.is_some() {
        return Ok(Unseen::Unknown);
    }
    let oldest = oldest_unseen(source, frontier, snapshot, |stamp| asked.sees(stamp.xid, stamp.seq))?;
    Ok(oldest.map_or(Unseen::Unknown, |oldest| oldest.map_or(Unseen::Nothing, Unseen::From)))
}

/// Whether this transaction has changes of a source that `frontier` does not see.
pub fn has_own(source: i32, frontier: &Frontier, snapshot: &Snapshot) -> Result<bool> {
    if with_pending(|pending| pending.is_waiting_for(source)) {
        return Ok(true);
    }
    let Some(own) = xact::top_xid_if_any() else { return Ok(false) };
    let oldest = oldest_unseen(source, frontier, snapshot, |stamp| stamp.xid == own)?;
    Ok(oldest.flatten().is_some())
}

/// The oldest transaction among the rows, of those that count, which `snapshot` sees and `frontier` does not; `None` if
/// the buffer is gone.
fn oldest_unseen(
    source: i32,
    frontier: &Frontier,
    snapshot: &Snapshot,
    counts: impl Fn(&Stamp) -> bool,
) -> Result<Option<Option<u64>>> {
    let Some(known) = cache::known(source)? else { return Ok(None) };
    let Some(buffer) = Table::open(known.buffer, pg_sys::AccessShareLock) else { return Ok(None) };
    let mut oldest: Option<u64> = None;
    if buffer.pages() > 0 {
        stamp::for_each(&buffer, snapshot, |chunk| {
            let stamp = &chunk.stamp;
            if counts(stamp) && !frontier.sees(stamp.xid, stamp.seq) {
                oldest = Some(oldest.map_or(stamp.xid, |oldest| oldest.min(stamp.xid)));
            }
            Ok(())
        })?;
    }
    Ok(Some(oldest))
}

/// Reads chunks of any layout of one source into rows of one type.
struct Decoder<'a> {
    known: Rc<Known>,
    columns: &'a [String],
    layout: Option<i32>,
    /// For each column of the layout, where it goes.
    targets: Vec<Option<usize>>,
    values: Values,
    bytes: Aligned,
}

impl<'a> Decoder<'a> {
    fn new(known: Rc<Known>, columns: &'a [String]) -> Decoder<'a> {
        let values = Values::new(columns.len() + 1);
        Decoder { known, columns, layout: None, targets: vec![], values, bytes: Aligned::default() }
    }

    /// Prepares for chunks of this layout; `false` if they do not hold what is asked for.
    fn choose(&mut self, layout: i32) -> Result<bool> {
        if self.layout == Some(layout) {
            return Ok(true);
        }
        let Some((stored, _)) = self.known.layout(layout) else { return Ok(false) };
        let Some(targets) = targets(&self.known, stored, self.columns) else { return Ok(false) };
        self.targets = targets;
        self.layout = Some(layout);
        Ok(true)
    }

    fn read(&mut self, chunk: &Chunk, into: &Tuplestore) -> Result<()> {
        let Some((_, format)) = self.layout.and_then(|layout| self.known.layout(layout)) else { return Ok(()) };
        let mut reader = format.read(chunk.entries(&mut self.bytes));
        let weight = self.columns.len();
        while let Some(entry) = reader.next(&mut self.values, &self.targets)? {
            if let Entry::Weight(w) = entry
                && !reader.skip_same(&mut self.values, &self.targets)?
            {
                self.values.set_word(weight, w as usize);
                into.append(&mut self.values)?;
            }
        }
        Ok(())
    }
}

/// Where each column of a layout goes among `columns`; `None` if one of these is missing from the layout
/// or has another type now.
fn targets(known: &Known, layout: &Layout, columns: &[String]) -> Option<Vec<Option<usize>>> {
    let mut targets = vec![None; layout.attnums.len()];
    for (i, name) in columns.iter().enumerate() {
        let attribute = known.attribute(name)?;
        let place = layout.attnums.iter().position(|number| *number == attribute.number)?;
        if layout.types[place] != attribute.ty {
            return None;
        }
        targets[place] = Some(i);
    }
    Some(targets)
}

/// Records the changes of a stream table that others read: a delta with its columns and `w`.
pub fn write(source: i32, delta: &Tuplestore) -> Result<()> {
    if delta.rows() == 0 {
        return Ok(());
    }
    let relid = self::known(source)?.source.relid;
    // Whoever widens the layout waits for those who write, and these then write the wider one.
    relation::lock(relid, pg_sys::RowExclusiveLock);
    let known = self::known(source)?;
    let names = delta.row_type().names();
    let weight = names.iter().rposition(|name| name == WEIGHT).ok_or(Error::Bug("a delta has a weight"))?;
    let (layout, format) = known.current().ok_or(Error::Bug("the source has no layout"))?;
    let place = |number: &i16| {
        let attribute = known.attributes.iter().find(|attribute| attribute.number == *number)?;
        names.iter().position(|name| *name == attribute.name)
    };
    let positions = layout.attnums.iter().map(place).collect::<Option<Vec<usize>>>();
    let positions = positions.ok_or(Error::Bug("a delta has the columns of its stream table"))?;
    let mut writer =
        Writer { to: known.destination(layout.id, format.align()), format, bytes: pending::start_chunk(), entries: 0 };
    delta.for_each(|row| writer.row(row, &positions, row.word(weight) as i64))?;
    writer.finish()
}

/// Fills chunks and writes each when it is full.
struct Writer<'a> {
    to: Destination,
    format: &'a Format,
    bytes: Vec<u8>,
    entries: i32,
}

impl Writer<'_> {
    fn row(&mut self, row: &Row, positions: &[usize], weight: i64) -> Result<()> {
        let start = self.format.append(&mut self.bytes, row, positions, weight);
        self.entries += 1;
        if pending::is_full(&self.bytes) && self.entries > 1 {
            let next = pending::split(&mut self.bytes, start);
            self.entries -= 1;
            let full = std::mem::replace(&mut self.bytes, next);
            self.write(full)?;
            self.entries = 1;
        }
        Ok(())
    }

    fn write(&mut self, bytes: Vec<u8>) -> Result<()> {
        let entries = std::mem::take(&mut self.entries);
        with_pending(|pending| pending.write_now(self.to, entries, bytes))
    }

    fn finish(mut self) -> Result<()> {
        if self.entries == 0 {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.write(bytes)
    }
}

/// Deletes what `snapshot` sees and every consumer has seen. Rows that somebody else is deleting are left to him.
/// This transaction's own rows stay for a later refresh: to whoever starts before it commits they are still to come.
pub fn prune(source: i32, frontiers: &[Frontier], snapshot: &Snapshot) -> Result<u64> {
    let Some(known) = cache::known(source)? else { return Ok(0) };
    let Some(buffer) = Table::open(known.buffer, pg_sys::RowExclusiveLock) else { return Ok(0) };
    let own = xact::top_xid_if_any();
    let mut deleted = 0;
    if buffer.pages() > 0 {
        stamp::for_each(&buffer, snapshot, |chunk| {
            let stamp = &chunk.stamp;
            let kept = stamp.layout == SENTINEL || Some(stamp.xid) == own;
            let seen = frontiers.iter().all(|frontier| frontier.sees(stamp.xid, stamp.seq));
            if seen && !kept && buffer.delete(&chunk.row.place()) {
                deleted += 1;
            }
            Ok(())
        })?;
    }
    Ok(deleted)
}

/// Tells every reader of a source to start over, those included that count this transaction's own rows as seen.
pub fn mark(source: i32) -> Result<()> {
    let known = known(source)?;
    with_pending(|pending| pending.mark(known.destination(0, 1)))
}

/// What the change buffer of a source is called.
pub fn name(source: i32) -> QName {
    QName::qualified("pgtrickle_changes", format!("changes_{source}"))
}

/// The layout of a row that stands for nothing and is never pruned. A crash that empties an unlogged
/// source empties its buffer, unlogged as well, and takes this row with it.
const SENTINEL: i32 = -1;

/// Makes the buffer last as long as the rows it tells of.
pub fn settle(source: &Source, unlogged: bool) -> Result<()> {
    let known = known(source.id)?;
    if unlogged != relation::is_unlogged(known.buffer) {
        let template = if unlogged { "alter table {} set unlogged" } else { "alter table {} set logged" };
        spi::connect(None, |session| session.define(template, &[Hole::Name(&name(source.id))]))?;
    }
    if unlogged
        && is_lost(&known)
        && let Some(buffer) = Table::open(known.buffer, pg_sys::RowExclusiveLock)
    {
        let stamp = Stamp { xid: 0, seq: 0, layout: SENTINEL, entries: 0 };
        pending::append(&buffer, &stamp, &mut pending::start_chunk());
    }
    Ok(())
}

/// Whether the buffer of an unlogged source has lost its sentinel.
pub fn is_lost(known: &Known) -> bool {
    let mut found = !relation::is_unlogged(known.buffer);
    if !found && let Some(buffer) = Table::open(known.buffer, pg_sys::AccessShareLock) {
        let looked = stamp::for_each(&buffer, &Snapshot::latest(), |chunk| {
            found |= chunk.stamp.layout == SENTINEL;
            Ok(())
        });
        found &= looked.is_ok();
    }
    !found
}

/// What the buffer of one source holds.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub source: i32,
    /// Change rows not yet pruned.
    pub rows: i64,
    /// Of the buffer on disk.
    pub bytes: i64,
}

/// The bytes of a change buffer on disk; none if there is no such source.
pub fn bytes(source: i32) -> Result<i64> {
    let Some(known) = cache::known(source)? else { return Ok(0) };
    Ok(Table::open(known.buffer, pg_sys::AccessShareLock).map_or(0, |buffer| buffer.bytes()))
}

/// The sizes of all change buffers.
pub fn sizes() -> Result<Vec<Size>> {
    let snapshot = Snapshot::latest();
    let sources = cache::read_catalog(source::all)?;
    let mut sizes = Vec::with_capacity(sources.len());
    for source in sources {
        let Some(known) = cache::known(source.id)? else { continue };
        let Some(buffer) = Table::open(known.buffer, pg_sys::AccessShareLock) else { continue };
        let mut rows = 0;
        stamp::for_each(&buffer, &snapshot, |chunk| {
            rows += i64::from(chunk.stamp.entries);
            Ok(())
        })?;
        sizes.push(Size { source: source.id, rows, bytes: buffer.bytes() });
    }
    Ok(sizes)
}
