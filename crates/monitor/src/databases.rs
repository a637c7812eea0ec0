//! What is counted of one database, and of the server.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32};

use crate::counter::Counter;
use crate::histogram::{Distribution, Histogram};
use crate::messages::Messages;
use crate::rows::Row;
use crate::tables::{CAUSES, Ended, Refreshed};
use crate::text::Name;
use crate::version::Version;
use crate::{Micros, SECOND};

#[repr(C)]
#[derive(Default)]
pub struct DatabaseRow {
    version: Version,
    name: Name,
    /// Ticks that the scheduler and its workers have run.
    ticks: Counter,
    errors: [Counter; CAUSES.len()],
    /// From the commit of a change until it is visible.
    lag: Histogram,
    duration: Histogram,
    /// Groups of stream tables that are due and wait for a worker.
    queue_depth: AtomicU32,
    /// Stream tables without a row of their own.
    uncounted: AtomicU32,
    /// What is pending in its change buffers was counted since the server started and since the last COMMIT PREPARED.
    counted_pending: AtomicBool,
    /// When old rows of its history were deleted.
    history_pruned: AtomicI64,
    /// Of its workers, about no stream table.
    pub messages: Messages,
}

/// What a [`DatabaseRow`] holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub name: String,
    pub ticks: u64,
    /// In the order of [`CAUSES`].
    pub errors: [u64; CAUSES.len()],
    pub lag: Distribution,
    pub duration: Distribution,
    pub queue_depth: u32,
    pub uncounted: u32,
}

impl Row for DatabaseRow {
    fn clear(&self) {
        self.describe("");
        self.ticks.clear();
        self.errors.iter().for_each(Counter::clear);
        self.lag.clear();
        self.duration.clear();
        self.queue_depth.store(0, SeqCst);
        self.uncounted.store(0, SeqCst);
        self.counted_pending.store(false, SeqCst);
        self.history_pruned.store(0, SeqCst);
        _ = self.messages.end(String::new);
    }
}

impl DatabaseRow {
    pub fn describe(&self, name: &str) {
        self.version.try_write(|| self.name.set(name));
    }

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

    pub fn ticked(&self) {
        self.ticks.add(1);
    }

    /// Counts the refresh of one of its stream tables.
    pub fn refreshed(&self, refresh: &Refreshed) {
        match refresh.ended {
            Ended::Failed(cause, _) => {
                let counter = self.errors.iter().zip(CAUSES).find(|(_, known)| *known == cause);
                counter.into_iter().for_each(|(counter, _)| counter.add(1));
            }
            Ended::Done(crate::tables::Action::NoData) | Ended::Skipped => return,
            Ended::Done(_) => {}
        }
        self.duration.add(refresh.took);
    }

    /// Counts changes that became visible, the oldest of them this long after its commit.
    pub fn shown(&self, lag: Micros) {
        self.lag.add(lag);
    }

    pub fn set_queue_depth(&self, depth: usize) {
        self.queue_depth.store(depth as u32, Relaxed);
    }

    pub fn set_uncounted(&self, tables: usize) {
        self.uncounted.store(tables as u32, Relaxed);
    }

    pub fn read(&self) -> Counted {
        Counted {
            name: self.version.read(|| self.name.get()).unwrap_or_default(),
            ticks: self.ticks.get(),
            errors: std::array::from_fn(|index| self.errors[index].get()),
            lag: self.lag.read(),
            duration: self.duration.read(),
            queue_depth: self.queue_depth.load(Relaxed),
            uncounted: self.uncounted.load(Relaxed),
        }
    }
}

/// Lookups of a cache, of all processes.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Cache {
    pub hits: Counter,
    pub misses: Counter,
    pub evictions: Counter,
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
