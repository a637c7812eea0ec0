//! What the tables of one tick share: the snapshot, their frontiers, and the changes of those that are done.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use pgrx::datum::{TimestampWithTimeZone, clock_timestamp};

use crate::capture;
use crate::catalog::frontier::{self, Seen};
use crate::catalog::history::{Action, Refresh};
use crate::error::Result;
use crate::pg::snapshot::Snapshot;
use crate::pg::spi;
use crate::pg::tuplestore::Tuplestore;
use crate::refresh::graph;

/// Where stream tables are rebuilt whose definition or capture has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilds {
    /// In the transaction of the tick, which locks out the writers of their sources until it ends.
    Within,
    /// In a transaction of their own: the tick fails with [`Error::Stale`](crate::error::Error::Stale).
    Apart,
}

/// The state that the tables of one tick share.
pub struct Tick {
    pub snapshot: Rc<Snapshot>,
    /// Just before the snapshot.
    pub taken: TimestampWithTimeZone,
    pub members: BTreeSet<i32>,
    pub rebuilds: Rebuilds,
    /// Those that writers maintain: their frontiers are not stored.
    pub maintained: BTreeSet<i32>,
    /// Those of them of which other transactions may hold the lock as well: only their deltas can be applied.
    pub shared: BTreeSet<i32>,
    /// The number, in order, of the one that is being refreshed.
    pub place: usize,
    /// Their frontiers before the tick.
    pub seen: BTreeMap<i32, Seen>,
    /// Changes that this tick applied to stream tables, by their numbers as sources.
    pub deltas: BTreeMap<i32, Tuplestore>,
    /// Those of them that were written to change buffers as well, for consumers outside of the tick.
    pub written: BTreeSet<i32>,
    /// Measured rates of refreshes that differ from those in the catalog.
    pub rates: BTreeMap<i32, Vec<Option<f64>>>,
    /// The time that `now()` was in the queries of these, where that is not `taken`.
    pub moments: BTreeMap<i32, TimestampWithTimeZone>,
    /// Those whose rows, or whose time, depend on more than the snapshot.
    pub alone: BTreeSet<i32>,
    /// Stream tables that need a later snapshot: those that were rebuilt, or whose sources were altered since this one.
    pub again: Vec<i32>,
}

impl Tick {
    pub fn new(members: BTreeSet<i32>, rebuilds: Rebuilds) -> Tick {
        Tick {
            taken: clock_timestamp(),
            snapshot: Rc::new(Snapshot::latest()),
            members,
            rebuilds,
            maintained: BTreeSet::new(),
            shared: BTreeSet::new(),
            place: 0,
            seen: BTreeMap::new(),
            deltas: BTreeMap::new(),
            written: BTreeSet::new(),
            rates: BTreeMap::new(),
            moments: BTreeMap::new(),
            alone: BTreeSet::new(),
            again: vec![],
        }
    }

    /// Writes the changes of a stream table to its change buffer, for consumers outside of this tick.
    pub fn write(&mut self, source: i32, delta: &Tuplestore) -> Result<()> {
        spi::connect(Some(&self.snapshot), |_| capture::write(source, delta))?;
        self.written.insert(source);
        Ok(())
    }

    /// Stream tables that did not change but show one moment with some that were refreshed.
    fn unchanged_with(&self, refreshes: &[Refresh], applied: &BTreeSet<i32>) -> Result<BTreeSet<i32>> {
        let moved = graph::edges()?.of_one_moment(applied);
        let is_filled = |id: &i32| self.seen.get(id).is_some_and(|seen| seen.frontier.is_some());
        let unchanged = refreshes.iter().filter(|it| !it.is_applied() && it.error.is_none()).map(|it| it.id);
        Ok(unchanged.filter(|id| moved.contains(id) && is_filled(id) && !self.again.contains(id)).collect())
    }

    /// Advances the frontiers. Rows that this transaction wrote to change buffers count as seen: a consumer is refreshed after
    /// they were written, or has read them in memory.
    pub fn advance(&self, refreshes: &[Refresh]) -> Result<()> {
        // What was recomputed may have had a reason for that in the catalog.
        let is_stored =
            |refresh: &&Refresh| refresh.action != Action::Differential || !self.maintained.contains(&refresh.id);
        let applied = refreshes.iter().filter(|refresh| refresh.is_applied()).filter(is_stored);
        let applied: BTreeMap<i32, Action> = applied.map(|refresh| (refresh.id, refresh.action)).collect();
        if applied.is_empty() {
            return Ok(());
        }
        let mut ids: BTreeSet<i32> = applied.keys().copied().collect();
        ids.extend(self.unchanged_with(refreshes, &ids)?);
        // What was recomputed may have been marked so within this tick.
        let recomputed = applied.iter().filter(|(_, action)| **action == Action::Reinitialize).map(|(id, _)| *id);
        let alone = self.alone.iter().copied().chain(recomputed).collect();
        let frontier = self.snapshot.frontier().with_own(capture::position());
        spi::connect(Some(&self.snapshot), |session| {
            frontier::advance(session, &self.seen, (&ids, &alone), (frontier, self.taken))?;
            let moments = self.moments.iter().filter(|(id, _)| applied.contains_key(id));
            moments.into_iter().try_for_each(|(id, moment)| frontier::advance_data_timestamp(session, *id, *moment))?;
            let rates = self.rates.iter().filter(|(id, _)| applied.contains_key(id));
            rates.into_iter().try_for_each(|(id, rates)| frontier::set_rates(session, *id, rates.clone()))
        })
    }
}
