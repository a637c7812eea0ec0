//! Which changes stream tables show, as shared memory says: a test of some nanoseconds, without a look into the catalog.
//!
//! **Law:** where [`Known::shows`] holds for a snapshot, that snapshot sees in the stream table every committed change that the needs
//! are about. For a tick under snapshot S leaves each table T that it publishes with all changes that S sees of what T reads:
//! - A table that it refreshed or found unchanged reads base tables under S, and stream tables that are themselves published by
//!   this tick, or were left out of it because no transaction had written their sources that they do not show ([`Unchanged`]).
//! - It is published once the tick's commit is visible, for snapshots that see the last tick that changed T. What later refreshes of
//!   T do adds changes only. Another definition of T, or of what it reads, voids it, and so does a refresh that is prepared.
//! - A transaction that S sees has ended, and with it all earlier ones of the same session.
//!
//! Where S does not see the needs, nothing may be *pending* nevertheless: no base table below T was written by a newer transaction
//! than those that T shows, whatever a snapshot sees that was taken before this is asked ([`wake::newest_change`]).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use ivm::frontier::Frontier;
use monitor::shown::{Shown, Visible};
use pgrx::pg_sys::Oid;

use crate::catalog::dependency::{self, Readable};
use crate::catalog::history::Refresh;
use crate::error::Result;
use crate::pg::defer::Defer;
use crate::pg::snapshot::Snapshot;
use crate::pg::subxact::rolled_back;
use crate::pg::wake::Written;
use crate::pg::writes::Needs;
use crate::pg::xact::{self, Sub, Top};
use crate::pg::{counters, spi, wake};
use crate::refresh::graph::{self, Edges};

/// A stream table as readers know it.
pub struct Known {
    pub table: Readable,
    verified: RefCell<Option<Rc<Verified>>>,
}

/// Needs that the catalog says are shown by this definition, to this snapshot and those that see as much.
struct Verified {
    needs: Needs,
    definition: u64,
    at: Frontier,
}

/// The snapshot that has to see something.
pub enum Reader<'a> {
    Statement(&'a Snapshot),
    /// One that is taken from now on.
    Later,
}

impl Reader<'_> {
    /// Whether this is about its snapshot.
    fn sees(&self, shown: &Visible) -> bool {
        match self {
            Reader::Statement(it) => shown.is_for(|xid| it.sees(xid), |xid| it.sees_below(xid)),
            Reader::Later => true,
        }
    }
}

/// Stream tables by their relations.
pub type Tables = HashMap<Oid, Known>;

/// A state of everything below a stream table.
#[derive(Debug)]
pub struct Stamp {
    refreshes: u64,
    written: Written,
    /// That of the snapshot.
    frontier: Frontier,
}

impl Stamp {
    /// Whether its snapshot sees all that was written until then, so that only more writes can change what later ones see.
    pub fn is_settled(&self) -> bool {
        self.written.newest < self.frontier.xmin()
    }

    /// Whether a later snapshot with this stamp sees the same.
    pub fn is_still(&self, later: &Stamp) -> bool {
        (self.refreshes, self.written) == (later.refreshes, later.written) && later.frontier.covers(&self.frontier)
    }
}

/// What a tick publishes once it is committed.
struct Published {
    nest: i32,
    /// Each with the number of its definition.
    tables: Vec<(i32, u64)>,
    visible: Visible,
}

thread_local! {
    /// With the number of the graph from which they were read.
    static TABLES: RefCell<Option<(u64, Rc<Tables>)>> = const { RefCell::new(None) };
    static PENDING: RefCell<Vec<Published>> = const { RefCell::new(vec![]) };
    static OBSERVES: Cell<bool> = const { Cell::new(false) };
    /// What readers know of the stream tables of which this transaction has begun refreshes.
    static BEGUN: RefCell<Vec<&'static Shown>> = const { RefCell::new(vec![]) };
}

/// The stream tables of this database.
pub fn tables() -> Result<Rc<Tables>> {
    let current = |(number, tables): &(u64, Rc<Tables>)| (*number == graph::number()).then(|| Rc::clone(tables));
    loop {
        if let Some(tables) = TABLES.with_borrow(|cached| cached.as_ref().and_then(current)) {
            return Ok(tables);
        }
        graph::catalog()?;
        let number = graph::number();
        let readable = match xact::is_parallel() {
            true => spi::connect(None, dependency::all_readable)?,
            false => rolled_back(|| spi::connect(Some(&Snapshot::latest()), dependency::all_readable))?,
        };
        TABLES.with_borrow_mut(|cached| {
            let before = cached.take().map(|(_, tables)| tables).unwrap_or_default();
            let known = |table: Readable| {
                let same = before.get(&table.relation).filter(|known| known.table.id == table.id);
                let verified = same.map(|known| known.verified.clone()).unwrap_or_default();
                (table.relation, Known { table, verified })
            };
            *cached = Some((number, Rc::new(readable.into_iter().map(known).collect())));
        });
    }
}

/// Whether a snapshot sees every refresh of a stream table so far, whose lock this transaction holds; none where that is not known.
pub fn sees_all_refreshes(snapshot: &Snapshot, id: i32) -> Option<bool> {
    let row = counters::own_table(id)?;
    // One that was prepared before the server started is not counted, and may have committed since.
    let first = wake::first_transaction()?;
    let has_ended = |xid: &u64| *xid < first && !xact::is_unfinished(*xid);
    Some(snapshot.sees(row.shown.newest()) && !snapshot.frontier().unfinished().iter().any(has_ended))
}

/// The stream tables that writers maintain, each with its relation and the sources below it that are no stream tables.
pub fn immediate_tables() -> Result<Vec<(i32, Oid, Vec<i32>)>> {
    let tables = tables()?;
    let immediate = tables.values().map(|known| &known.table).filter(|table| table.immediate);
    Ok(immediate.map(|table| (table.id, table.relation, table.sources.clone())).collect())
}

impl Known {
    /// Whether no change is pending for a snapshot that was taken before this call. Changes of this transaction are not considered.
    pub fn is_current(&self, snapshot: &Snapshot) -> bool {
        let shown = counters::own_table(self.table.id).map(|row| row.shown.visible());
        let written = wake::written(&self.table.sources).filter(|_| !self.table.timed);
        shown.zip(written).is_some_and(|(shown, written)| {
            Reader::Statement(snapshot).sees(&shown) && shown.sees_all_to(written.newest)
        })
    }

    /// The state on which the pending changes depend, for a snapshot that was taken before this call: a later snapshot with the same
    /// state has the same pending changes. `None` while a refresh of it, or of a stream table below it, runs.
    pub fn stamp(&self, snapshot: &Snapshot) -> Option<Stamp> {
        let refreshes = |id: &i32| counters::own_table(*id)?.shown.refreshes(|xid| snapshot.sees(xid));
        let refreshes = self.table.tables.iter().map(refreshes).sum::<Option<u64>>()?;
        let written = wake::written(&self.table.sources).filter(|_| !self.table.timed)?;
        Some(Stamp { refreshes, written, frontier: snapshot.frontier() })
    }

    /// Whether the reader sees in it what is needed, as far as shared memory and earlier looks into the catalog say.
    pub fn shows(&self, needs: &Needs, reader: &Reader) -> bool {
        let Some(row) = counters::own_table(self.table.id) else { return false };
        let is_shown = |shown: &Visible| {
            let sees = |xid: u64| xid == 0 || shown.sees(xid);
            sees(needs.own) && sees(needs.other) && (needs.all_to == 0 || shown.sees_all_to(needs.all_to))
        };
        let is_known = || needs.other == 0 || !xact::is_unfinished(needs.other);
        let shown = row.shown.visible();
        reader.sees(&shown) && is_shown(&shown)
            || is_known() && self.has_nothing_pending(reader)
            || self.was_verified(needs, row.shown.definition(), reader)
    }

    /// Whether nothing is pending for the reader, of what others have committed, as far as shared memory knows: no transaction but
    /// those that it shows wrote a base table below it. Asked after the reader's snapshot was taken.
    pub fn has_nothing_pending(&self, reader: &Reader) -> bool {
        let Some(row) = counters::own_table(self.table.id) else { return false };
        let shown = row.shown.visible();
        reader.sees(&shown) && self.table.sources.iter().all(|source| shown.sees_all_to(wake::newest_change(*source)))
    }

    fn was_verified(&self, needs: &Needs, definition: u64, reader: &Reader) -> bool {
        let Some(verified) = self.verified.borrow().clone() else { return false };
        let holds = verified.needs == *needs && verified.definition == definition;
        holds
            && match reader {
                Reader::Statement(snapshot) => snapshot.frontier().covers(&verified.at),
                Reader::Later => true,
            }
    }

    /// The number of its definition.
    pub fn definition(&self) -> u64 {
        counters::own_table(self.table.id).map_or(0, |row| row.shown.definition())
    }

    /// This snapshot was found to see what is needed; that was begun under this definition.
    pub fn verify(&self, needs: Needs, definition: u64, at: Frontier) {
        self.verified.replace(Some(Rc::new(Verified { needs, definition, at })));
    }
}

/// The numbers of the definitions of these stream tables.
pub fn definitions(ids: impl Iterator<Item = i32>) -> Vec<(i32, u64)> {
    ids.filter_map(|id| Some((id, counters::own_table(id)?.shown.definition()))).collect()
}

/// Refreshes of these stream tables begin, whose locks this transaction holds. They end with it.
pub fn begin(ids: impl Iterator<Item = i32>) {
    observe();
    let rows: Vec<&Shown> = ids.filter_map(counters::own_table).map(|row| &row.shown).collect();
    rows.iter().for_each(|shown| shown.begin());
    BEGUN.with_borrow_mut(|begun| begun.extend(rows));
}

fn observe() {
    if !OBSERVES.replace(true) {
        xact::observe(on_top, on_sub);
    }
}

/// Publishes at commit what a tick shows. `begun`: its tables and those that it left out, with their definitions from before its
/// snapshot; `unchanged`: those that it left out.
pub fn publish_at_commit(
    begun: Vec<(i32, u64)>,
    refreshes: &[Refresh],
    unchanged: &BTreeSet<i32>,
    (edges, frontier): (&Edges, &Frontier),
) {
    let mut complete = unchanged.clone();
    for refresh in refreshes {
        if !refresh.is_failed() && edges.reads(refresh.id).is_subset(&complete) {
            complete.insert(refresh.id);
        }
    }
    let tables = begun.into_iter().filter(|(id, _)| complete.contains(id)).collect();
    let visible = Visible::new(frontier.xmax(), frontier.unfinished());
    observe();
    PENDING.with_borrow_mut(|pending| pending.push(Published { nest: xact::nest_level(), tables, visible }));
}

/// The definition of a stream table is about to change: what it and its readers are known to show is void.
pub fn redefine(id: i32) -> Result<()> {
    // A tick that has left it out notices this, if it has read the numbers of definitions after they are raised here.
    wake::catalog_changed();
    let readers = graph::edges()?.with_readers(id);
    readers.into_iter().chain([id]).filter_map(counters::own_table).for_each(|row| row.shown.redefine());
    Ok(())
}

fn on_top(event: Top) {
    let (pending, begun) = match event {
        Top::PreCommit => return,
        Top::Commit | Top::Prepared | Top::Abort => (PENDING.take(), BEGUN.take()),
    };
    let refresh = xact::top_xid_if_any().filter(|_| event != Top::Abort);
    let _end = Defer(|| begun.iter().for_each(|shown| shown.end(refresh)));
    if pending.is_empty() || event == Top::Abort {
        return;
    }
    for Published { tables, visible, .. } in pending {
        for (id, definition) in tables {
            let Some(row) = counters::own_table(id) else { continue };
            match event {
                Top::Commit => row.shown.publish(definition, refresh, visible),
                _ => row.shown.redefine(),
            }
        }
    }
    wake::refreshed().into_iter().for_each(|signal| signal.broadcast());
}

fn on_sub(event: Sub) {
    let nest = xact::nest_level();
    PENDING.with_borrow_mut(|pending| match event {
        Sub::PreCommit => {}
        Sub::Commit => pending.iter_mut().filter(|it| it.nest == nest).for_each(|it| it.nest = nest - 1),
        Sub::Abort => pending.retain(|it| it.nest < nest),
    });
}
