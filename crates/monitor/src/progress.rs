//! The progress of refreshes that run: what each does, and how many rows it has done of those that are expected.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64};

use serde::{Serialize, Serializer};

use crate::cell::{Cell, cells};
use crate::{Micros, in_seconds};

/// Refreshes that are shown at the same time.
pub const REFRESHES: usize = 64;

/// What a refresh is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Starting,
    ReadingChanges,
    Filling,
    Recomputing,
    ApplyingChanges,
    BuildingIndexes,
}

/// Their names, in the same order.
const PHASES: [&str; 6] =
    ["starting", "reading changes", "filling", "recomputing", "applying changes", "building indexes"];

cells! {
    /// A refresh that runs, written by its process. All zero is none.
    Progress => Shown {
        pid: AtomicI32,
        #[serde(skip)]
        database: AtomicU32,
        relation: AtomicU32,
        #[serde(serialize_with = "name")]
        phase: AtomicU32,
        #[serde(serialize_with = "in_seconds")]
        started: AtomicI64,
        /// Rows of the running statement.
        rows: AtomicU64,
        expected: AtomicU64,
    }
}

fn name<S: Serializer>(phase: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    PHASES[*phase as usize % PHASES.len()].serialize(serializer)
}

/// Takes a free entry for a refresh of a relation; `None` where all are taken: that refresh is not shown.
pub fn begin(all: &[Progress], pid: i32, (database, relation): (u32, u32), now: Micros) -> Option<&Progress> {
    let found = all.iter().find(|it| it.pid.compare_exchange(0, pid, SeqCst, SeqCst).is_ok())?;
    found.database.set(&database);
    found.started.set(&now);
    found.enter(Phase::Starting);
    found.relation.store(relation, SeqCst);
    Some(found)
}

impl Progress {
    pub fn enter(&self, phase: Phase) {
        self.phase.set(&(phase as u32));
        self.expect(0);
    }

    /// A statement begins that is expected to process so many rows.
    pub fn expect(&self, rows: u64) {
        self.rows.set(&0);
        self.expected.set(&rows);
    }

    /// The refresh has ended.
    pub fn end(&self) {
        self.relation.store(0, SeqCst);
        self.pid.store(0, SeqCst);
    }

    pub fn read(&self) -> Option<Shown> {
        let is_taken = self.relation.load(SeqCst) != 0;
        is_taken.then(|| self.get()).filter(|shown| shown.pid != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_shown_while_it_runs() {
        let all = [Progress::default(), Progress::default()];
        let first = begin(&all, 11, (5, 100), 1).unwrap();
        assert!(begin(&all, 12, (5, 101), 2).is_some() && begin(&all, 13, (5, 102), 3).is_none());
        first.enter(Phase::Filling);
        first.expect(1000);
        first.rows.set(&10);
        let shown = first.read().unwrap();
        assert_eq!((shown.phase, shown.rows, shown.expected, shown.started), (Phase::Filling as u32, 10, 1000, 1));
        let json = serde_json::json!({
            "pid": 11, "relation": 100, "phase": "filling", "started": 0.000001, "rows": 10, "expected": 1000,
        });
        assert_eq!(serde_json::to_value(&shown).unwrap(), json);
        first.enter(Phase::BuildingIndexes);
        assert_eq!(first.read().map(|shown| (shown.rows, shown.expected)), Some((0, 0)));
        first.end();
        assert_eq!(first.read(), None);
        assert_eq!(all.iter().filter_map(Progress::read).count(), 1);
    }
}
