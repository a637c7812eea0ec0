//! The change buffer of a source: reading what a consumer has not seen, writing the delta of a stream table, and pruning
//! what every consumer has seen.
//!
//! **Law:** a refresh reads what `snapshot` sees and `frontier` does not, by the same predicate that later decides what may
//! be pruned. Rows have no order: only sums of weights mean anything.

use std::cell::{Cell, LazyCell};
use std::ops::Range;
use std::rc::Rc;

use chunk::{Entry, Oversize, SENTINEL, Stamp, Target};
use ivm::frontier::{Frontier, Span};
use monitor::sources::Size;
use pgrx::pg_sys::{self, AccessShareLock, RowExclusiveLock};

use crate::capture::cache::{self, SourceInfo};
use crate::capture::integrity::{lost_changes, require_same_members};
use crate::capture::pending::Chunk;
use crate::capture::trigger::with_pending;
use crate::catalog::source;
use crate::error::{Error, Result};
use crate::pg::heap::{Stored, Table};
use crate::pg::row::{Aligned, Values};
use crate::pg::settled::Content;
use crate::pg::snapshot::Snapshot;
use crate::pg::tuplestore::{ColumnDef, Desc, Tuplestore};
use crate::pg::xact;
use crate::pg::{counters, dml, relation};

/// Bytes of a row's header and of its place on a page, about.
const ROW: u64 = 32;

/// The name of the weight.
const WEIGHT: &str = "w";

/// The changes of a source that a consumer has not seen.
pub struct Pending {
    /// The requested columns, then the weight.
    pub store: Tuplestore,
    /// Change rows that were read, those included that do not concern the requested columns.
    pub read: i64,
    /// All change rows; a TRUNCATE is one.
    pub rows: i64,
    /// The change rows are not all changes: the table was truncated, chunks have a layout that lacks a column, changes were
    /// [lost](lost_changes) or [not recorded](Pending::oversize).
    pub truncated: bool,
    /// Changes were lost.
    pub lost: bool,
    /// Changes were not recorded because their values are too large.
    pub oversize: bool,
}

impl Pending {
    /// Whether all change rows were read.
    pub fn is_whole(&self) -> bool {
        self.read == self.rows
    }

    /// Whether all changes were read.
    pub fn is_complete(&self) -> bool {
        self.is_whole() && !self.truncated && !self.oversize
    }

    /// Whether the requested columns may have changed.
    pub fn may_matter(&self) -> bool {
        !self.is_whole() || self.store.rows() > 0
    }

    /// How many rows the store would have if all change rows were read, by the share so far.
    pub fn expected(&self) -> f64 {
        self.store.rows() as f64 * (self.rows as f64 / self.read.max(1) as f64).max(1.0)
    }
}

/// The delta of a source that has not changed.
pub fn empty(source: i32, columns: &[String]) -> Result<Tuplestore> {
    typed(&*cache::require_source(source)?, columns)
}

fn typed(info: &SourceInfo, columns: &[String]) -> Result<Tuplestore> {
    let weight =
        ColumnDef { name: WEIGHT.to_owned(), ty: pg_sys::INT8OID, modifier: -1, collation: pg_sys::InvalidOid };
    let columns = info.columns(columns)?.into_iter().map(|column| column.definition());
    Ok(Tuplestore::new(Desc::new(&columns.chain([weight]).collect::<Vec<_>>())?))
}

/// Reads what `snapshot` sees and `frontier` does not; of more rows than `enough`, the rest is only counted.
pub fn pending(source: i32, seen: (&Frontier, &Snapshot), columns: &[String], enough: i64) -> Result<Pending> {
    let info = cache::require_source(source)?;
    let store = typed(&info, columns)?;
    let mut found = Pending { store, read: 0, rows: 0, truncated: false, lost: false, oversize: false };
    scan(info, seen, columns, 0..enough, &mut found)?;
    Ok(found)
}

/// Has later changes of a source conflict with a SERIALIZABLE transaction, which has read the source through a stream table.
pub fn lock_predicate(source: i32, snapshot: &Snapshot) -> Result<()> {
    if let Some((_, buffer)) = cache::open(source, AccessShareLock)? {
        buffer.lock_predicate(snapshot);
    }
    Ok(())
}

/// Reads what was only counted: under the same snapshot a buffer has the same rows in the same order.
pub fn rest(source: i32, seen: (&Frontier, &Snapshot), columns: &[String], pending: &mut Pending) -> Result<()> {
    pending.rows = 0;
    scan(cache::require_source(source)?, seen, columns, pending.read..i64::MAX, pending)
}

/// Counts all rows that `snapshot` sees and `frontier` does not, and reads those at these positions.
fn scan(
    info: Rc<SourceInfo>,
    (frontier, snapshot): (&Frontier, &Snapshot),
    columns: &[String],
    positions: Range<i64>,
    found: &mut Pending,
) -> Result<()> {
    // The caller's own check may be older than the snapshot.
    found.lost = lost_changes(info.source.id)?.is_some();
    found.truncated |= found.lost;
    if !found.lost {
        require_same_members(info.source.id, snapshot)?;
    }
    let Some(buffer) = Table::open(info.buffer, AccessShareLock) else {
        return Err(Error::Bug("the change buffer was dropped"));
    };
    let mut decoder = Decoder::new(info, columns);
    let visible = LazyCell::new(|| snapshot.visible());
    let passes = |it: &Content| frontier.sees_all(it.span) || visible.sees_none(it.span);
    buffer.for_each_unless(snapshot, passes, |chunk| {
        let stamp = &chunk.stamp;
        if !frontier.sees(stamp.xid, stamp.seq) {
            let position = found.rows;
            found.rows += i64::from(stamp.entries);
            found.truncated |= !decoder.choose(stamp.layout);
            found.oversize |= chunk.is_oversize();
            if !found.truncated && positions.contains(&position) {
                found.read = found.rows;
                decoder.read(chunk, &found.store)?;
            }
        }
        Ok(())
    })?;
    found.rows += i64::from(found.lost);
    Ok(())
}

/// What a source has that a consumer has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    Nothing,
    /// Changes; the oldest transaction among them.
    From(u64),
    /// Changes were lost, or the source was dropped.
    Unknown,
}

/// What a source has for a consumer that has seen `frontier`: the changes that `snapshot` sees, of those that `requested`
/// sees. Reads only.
pub fn unseen(source: i32, frontier: &Frontier, snapshot: &Snapshot, requested: &Frontier) -> Result<Unseen> {
    if lost_changes(source)?.is_some() {
        return Ok(Unseen::Unknown);
    }
    let (requests, concerns) =
        (|stamp: &Stamp| requested.sees(stamp.xid, stamp.seq), |span| !requested.sees_none(span));
    oldest_unseen(source, frontier, snapshot, requests, concerns)
}

/// Whether this transaction has changes of a source that `frontier` does not see.
pub fn has_own(source: i32, frontier: &Frontier, snapshot: &Snapshot) -> Result<bool> {
    if with_pending(|pending| pending.is_waiting_for(source)) {
        return Ok(true);
    }
    let Some(own) = xact::top_xid_if_any() else { return Ok(false) };
    let oldest = oldest_unseen(source, frontier, snapshot, |stamp| stamp.xid == own, |span| span.contains(own))?;
    Ok(matches!(oldest, Unseen::From(_)))
}

/// The oldest transaction among the chunks that `filter` accepts, `snapshot` sees and `frontier` does not. `concerns`: whether
/// `filter` may accept any chunk of these transactions.
fn oldest_unseen(
    source: i32,
    frontier: &Frontier,
    snapshot: &Snapshot,
    filter: impl Fn(&Stamp) -> bool,
    concerns: impl Fn(Span) -> bool,
) -> Result<Unseen> {
    let Some((_, buffer)) = cache::open(source, AccessShareLock)? else { return Ok(Unseen::Unknown) };
    let (oldest, visible) = (Cell::new(u64::MAX), LazyCell::new(|| snapshot.visible()));
    let passes = |it: &Content| {
        frontier.sees_all(it.span)
            || visible.sees_none(it.span)
            || it.span.oldest() >= oldest.get()
            || !concerns(it.span)
    };
    buffer.for_each_unless(snapshot, passes, |chunk| {
        let stamp = &chunk.stamp;
        if filter(stamp) && !frontier.sees(stamp.xid, stamp.seq) {
            oldest.set(oldest.get().min(stamp.xid));
        }
        Ok(())
    })?;
    Ok(if oldest.get() < u64::MAX { Unseen::From(oldest.get()) } else { Unseen::Nothing })
}

/// Reads chunks of any layout of one source into rows of one type.
struct Decoder<'a> {
    info: Rc<SourceInfo>,
    columns: &'a [String],
    layout: Option<i32>,
    /// For each column of the layout, its position in the row.
    targets: Vec<Option<usize>>,
    values: Values,
    bytes: Aligned,
}

impl<'a> Decoder<'a> {
    fn new(info: Rc<SourceInfo>, columns: &'a [String]) -> Decoder<'a> {
        let values = Values::new(columns.len() + 1);
        Decoder { info, columns, layout: None, targets: vec![], values, bytes: Aligned::default() }
    }

    /// Prepares for chunks of this layout; `false` if it lacks a requested column, or has it with another type.
    fn choose(&mut self, layout: i32) -> bool {
        if self.layout == Some(layout) {
            return true;
        }
        let (Some((stored, _)), Ok(wanted)) = (self.info.layout(layout), self.info.columns(self.columns)) else {
            return false;
        };
        let wanted: Vec<_> = wanted.into_iter().map(|column| (column.number, column.ty)).collect();
        let targets = stored.positions_in(&wanted);
        if targets.iter().flatten().count() < wanted.len() {
            return false;
        }
        (self.layout, self.targets) = (Some(layout), targets);
        true
    }

    fn read(&mut self, chunk: &Stored, into: &Tuplestore) -> Result<()> {
        let Some((_, format)) = self.layout.and_then(|layout| self.info.layout(layout)) else { return Ok(()) };
        let mut reader = format.read(chunk.entries(&mut self.bytes)?);
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

/// Records the changes of a stream table that has consumers: a delta with its columns.
pub fn write(source: i32, delta: &Tuplestore) -> Result<()> {
    if delta.rows() == 0 {
        return Ok(());
    }
    // `track` widens the layout under a lock that waits for writers; after it, they must use the wider one.
    relation::lock(cache::require_source(source)?.source.relid, RowExclusiveLock);
    let info = cache::require_source(source)?;
    let (layout, format) = info.current().ok_or(Error::Bug("the source has no layout"))?;
    let captured = layout.attnums.iter().map(|number| Some(&info.attribute(*number)?.name[..]));
    let captured: Vec<&str> =
        captured.collect::<Option<_>>().ok_or(Error::Bug("a layout has columns of its source"))?;
    let positions = delta.places(captured)?;
    let to = info.destination(layout.id, format.align());
    let mut chunk = Chunk::new(to);
    // Not through the pending chunks: those may have changes of other tables, which this refresh has not read.
    let write = |chunk: &mut Chunk| with_pending(|pending| pending.write(chunk));
    delta.for_each(|row| match chunk.append(1, |bytes| format.append(bytes, row, &positions, row.last() as i64)) {
        Ok(full) => full.into_iter().try_for_each(|mut full| write(&mut full)),
        Err(Oversize) => write(&mut Chunk::oversize(&to)),
    })?;
    write(&mut chunk)
}

/// Deletes what `snapshot` sees and every consumer has seen. Skips rows that a concurrent transaction is deleting, and this
/// transaction's own rows: a consumer that starts before it commits has yet to see them.
pub fn prune(source: i32, frontiers: &[Frontier], snapshot: &Snapshot) -> Result<()> {
    let Some((_, buffer)) = cache::open(source, RowExclusiveLock)? else { return Ok(()) };
    let own = xact::top_xid_if_any();
    let mut deleted = Size::default();
    let visible = LazyCell::new(|| snapshot.visible());
    let passes =
        |it: &Content| visible.sees_none(it.span) || frontiers.iter().any(|frontier| frontier.sees_none(it.span));
    buffer.for_each_unless(snapshot, passes, |chunk| {
        let stamp = &chunk.stamp;
        let retained = stamp.layout == SENTINEL || Some(stamp.xid) == own;
        let seen = frontiers.iter().all(|frontier| frontier.sees(stamp.xid, stamp.seq));
        if seen && !retained && buffer.delete(&chunk.place) {
            deleted += size(chunk);
        }
        Ok(())
    })?;
    if deleted != Size::default() {
        dml::note();
        counters::pruned_at_commit(source, deleted);
    }
    Ok(())
}

/// The size of one change buffer.
#[derive(Clone, Copy, Debug)]
pub struct BufferSize {
    pub source: i32,
    /// What is not pruned.
    pub pending: Size,
    pub bytes_on_disk: i64,
}

/// The bytes of the pages, and of values in the TOAST table, with changes that `frontier` does not see. Pages that are known are
/// not read.
pub fn unread_bytes(source: i32, frontier: &Frontier, snapshot: &Snapshot) -> Result<u64> {
    let Some((_, buffer)) = cache::open(source, AccessShareLock)? else { return Ok(0) };
    let unread = Cell::new(0);
    let passes = |it: &Content| {
        let (all, none) = (frontier.sees_all(it.span), frontier.sees_none(it.span));
        if none && !all {
            unread.set(unread.get() + it.bytes);
        }
        all || none
    };
    buffer.for_each_unless(snapshot, passes, |chunk| {
        if chunk.stamp.layout != SENTINEL && !frontier.sees(chunk.stamp.xid, chunk.stamp.seq) {
            unread.set(unread.get() + ROW + chunk.bytes() as u64);
        }
        Ok(())
    })?;
    Ok(unread.get())
}

/// The bytes of a change buffer on disk; none if there is no such source.
pub fn bytes(source: i32) -> Result<i64> {
    Ok(cache::open(source, AccessShareLock)?.map_or(0, |(_, buffer)| buffer.bytes()))
}

/// The sizes of all change buffers.
pub fn sizes() -> Result<Vec<BufferSize>> {
    let snapshot = Snapshot::latest();
    let sources = cache::read_catalog(source::all)?;
    let mut sizes = Vec::with_capacity(sources.len());
    for source in sources {
        let Some((_, buffer)) = cache::open(source.id, AccessShareLock)? else { continue };
        let mut pending = Size::default();
        buffer.for_each(&snapshot, |chunk| {
            if chunk.stamp.layout != SENTINEL {
                pending += size(chunk);
            }
            Ok(())
        })?;
        sizes.push(BufferSize { source: source.id, pending, bytes_on_disk: buffer.bytes() });
    }
    Ok(sizes)
}

fn size(chunk: &Stored) -> Size {
    Size { rows: chunk.stamp.entries.into(), bytes: chunk.bytes() as i64 }
}
