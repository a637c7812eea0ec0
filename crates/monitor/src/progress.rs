//! The progress of refreshes that run: what each does, and how many rows it has done of those that are expected.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64};

use serde::Serialize;

use crate::Micros;

/// Refreshes that are shown at the same time.
pub const REFRESHES: usize = 64;

/// What a refresh is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Starting,
    ReadingChanges,
    Filling,
    Recomputing,
    ApplyingChanges,
    BuildingIndexes,
}

const PHASES: [Phase; 6] = [
    Phase::Starting,
    Phase::ReadingChanges,
    Phase::Filling,
    Phase::Recomputing,
    Phase::ApplyingChanges,
    Phase::BuildingIndexes,
];

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::ReadingChanges => "reading changes",
            Phase::Filling => "filling",
            Phase::Recomputing => "recomputing",
            Phase::ApplyingChanges => "applying changes",
            Phase::BuildingIndexes => "building indexes",
        }
    }
}

/// Written by the process that refreshes. All zero is a free one.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Progress {
    pid: AtomicI32,
    database: AtomicU32,
    relation: AtomicU32,
    phase: AtomicU32,
    started: AtomicI64,
    /// Rows of the running statement.
    rows: AtomicU64,
    expected: AtomicU64,
}

/// What a [`Progress`] held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub pid: i32,
    #[serde(skip)]
    pub database: u32,
    pub relation: u32,
    pub phase: &'static str,
    /// Microseconds since the Unix epoch.
    pub started: Micros,
    pub rows: u64,
    pub expected: u64,
}

/// Takes a free entry for a refresh of a relation; `None` where all are taken: that refresh is not shown.
pub fn begin(all: &[Progress], pid: i32, (database, relation): (u32, u32), now: Micros) -> Option<&Progress> {
    let found = all.iter().find(|it| it.pid.compare_exchange(0, pid, SeqCst, SeqCst).is_ok())?;
    found.database.store(database, SeqCst);
    found.relation.store(relation, SeqCst);
    found.started.store(now, SeqCst);
    found.enter(Phase::Starting);
    Some(found)
}

impl Progress {
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u32, SeqCst);
        self.expect(0);
    }

    /// A statement begins that is expected to process so many rows.
    pub fn expect(&self, rows: u64) {
        self.rows.store(0, SeqCst);
        self.expected.store(rows, SeqCst);
    }

    /// How many rows the statement has processed. Also for signal handlers.
    pub fn set_rows(&self, rows: u64) {
        self.rows.store(rows, SeqCst);
    }

    /// The refresh has ended.
    pub fn end(&self) {
        self.relation.store(0, SeqCst);
        self.pid.store(0, SeqCst);
    }

    pub fn read(&self) -> Option<Shown> {
        let shown = Shown {
            pid: self.pid.load(SeqCst),
            database: self.database.load(SeqCst),
            relation: self.relation.load(SeqCst),
            phase: PHASES[self.phase.load(SeqCst) as usize % PHASES.len()].as_str(),
            started: self.started.load(SeqCst),
            rows: self.rows.load(SeqCst),
            expected: self.expected.load(SeqCst),
        };
        (shown.pid != 0 && shown.relation != 0).then_some(shown)
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
        first.set_rows(10);
        let shown = first.read().unwrap();
        assert_eq!((shown.phase, shown.rows, shown.expected, shown.started), ("filling", 10, 1000, 1));
        first.enter(Phase::BuildingIndexes);
        assert_eq!(first.read().map(|shown| (shown.rows, shown.expected)), Some((0, 0)));
        first.end();
        assert_eq!(first.read(), None);
        assert_eq!(all.iter().filter_map(Progress::read).count(), 1);
    }
}
