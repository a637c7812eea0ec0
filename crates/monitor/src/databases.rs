//! What is counted of one database, and of the server.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32};

use crate::cell::{Cell, Counter, Name, Versioned, cells};
use crate::histogram::Histogram;
use crate::messages::Messages;
use crate::rows::Row;
use crate::tables::{Action, Ended, ErrorsCells, Refreshed};
use crate::{Micros, SECOND};

cells! {
    /// What its scheduler and its workers did, and what they have to do.
    CountedCells => Counted {
        /// Ticks that they have run.
        ticks: Counter,
        errors: ErrorsCells,
        /// Groups of stream tables that are due and wait for a worker.
        queue_depth: AtomicU32,
        /// Stream tables without a row of their own.
        uncounted: AtomicU32,
    }

    /// Lookups of a cache, of all processes.
    Cache => Lookups {
        hits: Counter,
        misses: Counter,
        evictions: Counter,
    }
}

#[repr(C)]
#[derive(Default)]
pub struct DatabaseRow {
    pub name: Versioned<Name>,
    pub counted: CountedCells,
    /// From the commit of a change until it is visible.
    pub lag: Histogram,
    /// Of refreshes that had something to do.
    pub duration: Histogram,
    /// What is pending in its change buffers was counted since the server started and since the last COMMIT PREPARED.
    counted_pending: AtomicBool,
    /// When old rows of its history were deleted.
    history_pruned: AtomicI64,
    /// Of its workers, about no stream table.
    pub messages: Messages,
}

impl Row for DatabaseRow {
    fn clear(&self) {
        self.name.clear();
        self.counted.clear();
        self.lag.clear();
        self.duration.clear();
        self.pending_is_unknown();
        self.history_pruned.clear();
        _ = self.messages.end(String::new);
    }
}

impl DatabaseRow {
    /// Whether what is pending in its change buffers has to be counted by reading them; true once.
    pub fn take_uncounted(&self) -> bool {
        !self.counted_pending.swap(true, SeqCst)
    }

    /// Changes are pending that no process has counted.
    pub fn pending_is_unknown(&self) {
        self.counted_pending.store(false, SeqCst);
    }

    /// Whether old rows of its history have to be deleted; true once an hour.
    pub fn prunes_history(&self, now: Micros) -> bool {
        let last = self.history_pruned.load(SeqCst);
        let is_due = !(0..3600 * SECOND).contains(&(now - last));
        is_due && self.history_pruned.compare_exchange(last, now, SeqCst, SeqCst).is_ok()
    }

    /// Counts the refresh of one of its stream tables.
    pub fn refreshed(&self, refresh: &Refreshed) {
        match refresh.ended {
            Ended::Done(Action::NoData) | Ended::Skipped => return,
            Ended::Failed(kind, _) => self.counted.errors.of(kind).add(1),
            Ended::Done(_) => {}
        }
        self.duration.add(refresh.took);
    }
}

/// What is counted of the server.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Server {
    /// Definitions with their plans.
    pub plans: Cache,
    /// Estimates of the planner.
    pub costs: Cache,
    /// Of processes without a database.
    pub messages: Messages,
}
