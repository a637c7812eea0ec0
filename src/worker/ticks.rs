//! Ticks of a background process, each in a transaction of its own. Where one fails, the stream table that caused it is
//! found and its failure recorded. The scheduler runs some ticks, the workers of the pool run others.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::time::Duration;

use ivm::schedule::{Micros, Outcome};
use monitor::cell::Cell;

use crate::catalog::history::{Refresh, Unwritten};
use crate::catalog::stream_table;
use crate::error::{Error, Kind, Result};
use crate::pg::shmem::Slot;
use crate::pg::spi;
use crate::pg::{bgworker, counters, failures, setting};
use crate::refresh::{self, Extent, Locks, Rebuilds, Unchanged};
use crate::worker::log::{self, Log};

/// What a refresh must not depend on.
const SETTINGS: [(&CStr, &CStr); 9] = [
    // A tick skips tables that other transactions have locked. If it still ends up in a deadlock with a user's session, it
    // is the first to detect it and is the one that is cancelled.
    (c"deadlock_timeout", c"10ms"),
    (c"lock_timeout", c"100ms"),
    // A lost tick is run again.
    (c"synchronous_commit", c"off"),
    (c"search_path", crate::pg::guard::PATH),
    (c"jit", c"off"),
    (c"statement_timeout", c"0"),
    (c"idle_in_transaction_session_timeout", c"0"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
];

/// Sets this process up for refreshes and definitions.
pub fn settle() {
    SETTINGS.into_iter().for_each(|(name, value)| setting::set(name, value));
}

/// How many refreshes may wait to be concluded while ticks follow each other.
const MAX_UNCONCLUDED: usize = 32;

pub struct Ticks {
    slot: &'static Slot,
    pub log: Log,
    /// Refreshes that are not concluded.
    refreshed: Vec<Refresh>,
    unwritten: Unwritten,
    /// When the pending statistics have to be flushed.
    flush_at: Option<Micros>,
    /// How many statements were prepared when the memory of plans was last counted.
    measured: u64,
}

impl Ticks {
    /// Sets this process up for ticks of a database.
    pub fn new(slot: &'static Slot) -> Ticks {
        settle();
        bgworker::report(None);
        Ticks {
            slot,
            log: Log::default(),
            refreshed: vec![],
            unwritten: Unwritten::in_turns(),
            flush_at: None,
            measured: 0,
        }
    }

    /// Refreshes these tables in one tick, each after those that it reads, and calls `at_end` right after it. Tables that show one
    /// moment with them are refreshed, too, but for those that are `unchanged`. `generation` is that of the catalog from which they
    /// were loaded. Returns how each ended; `None` where one that was left out has changed: then nothing was refreshed.
    pub fn run(
        &mut self,
        ids: &[i32],
        unchanged: Option<&Unchanged>,
        generation: u64,
        at_end: impl FnOnce(),
    ) -> Option<Vec<Ended>> {
        bgworker::report(Some(&self.log.activity(ids)));
        let Some(refreshes) = self.tick(ids, unchanged) else {
            bgworker::report(None);
            return None;
        };
        at_end();
        for refresh in &refreshes {
            counters::refreshed(refresh.id, &refresh.counted());
            refresh::log_duration(refresh, || self.log.name(refresh.id).to_owned());
        }
        let ended = ids.iter().map(|id| self.classify(*id, &refreshes, generation)).collect();
        self.refreshed.extend(refreshes.into_iter().filter(Refresh::is_applied));
        bgworker::report(None);
        let pause = bgworker::flush_statistics(false);
        self.flush_at = pause.map(|pause| bgworker::now() + pause.as_micros() as Micros);
        Some(ended)
    }

    /// Concludes refreshes while the process is idle, or once there are many.
    pub fn conclude(&mut self, idle: bool) {
        let is_due = idle && self.unwritten.due().is_some_and(|at| at <= bgworker::now());
        if !is_due && (self.refreshed.is_empty() || !idle && self.refreshed.len() < MAX_UNCONCLUDED) {
            return;
        }
        let refreshed = std::mem::take(&mut self.refreshed);
        in_transaction(|| refresh::conclude(refreshed, &mut self.unwritten));
        self.measure_plans();
    }

    /// Writes the rest of the history: no refresh follows for a while, or this process ends.
    pub fn record(&mut self) {
        let rest = self.unwritten.all();
        if !rest.is_empty() {
            in_transaction(|| refresh::record(&rest));
        }
    }

    /// Counts the memory of plans, where any were made since it was counted: that visits each of them.
    fn measure_plans(&mut self) {
        let prepared = spi::prepared();
        if std::mem::replace(&mut self.measured, prepared) != prepared {
            count_plans();
        }
    }

    /// Evicts the plans of all stream tables but these.
    pub fn retain_plans(&mut self, ids: &BTreeSet<i32>) {
        if refresh::retain(ids) {
            count_plans();
        }
    }

    /// Flushes statistics that are due; returns when the next ones are, or rows of the history.
    pub fn flush_statistics(&mut self, now: Micros) -> Option<Micros> {
        if self.flush_at.is_some_and(|at| at <= now) {
            bgworker::flush_statistics(true);
            self.flush_at = None;
        }
        [self.flush_at, self.unwritten.due()].into_iter().flatten().min()
    }

    /// Loads the names of these tables where one is missing.
    pub fn load_names(&mut self, ids: &[i32]) {
        if !self.log.has_names(ids)
            && let Some(names) = in_transaction(|| stream_table::names(ids))
        {
            self.log.load(names);
        }
    }

    /// The refreshes of one tick. Where one of them fails, none is made that would show another moment than the failed one.
    fn tick(&mut self, ids: &[i32], unchanged: Option<&Unchanged>) -> Option<Vec<Refresh>> {
        counters::database().into_iter().for_each(|row| row.counted.ticks.add(1));
        let extent = unchanged.map_or(Extent::Moments, Extent::Changed);
        let (mut left, mut ended) = (ids.to_vec(), vec![]);
        loop {
            let Ran { refreshes, torn } = attempt(&left, extent)?;
            if torn.is_empty() {
                ended.extend(refreshes);
                return Some(ended);
            }
            left.retain(|id| !torn.contains(id));
            let failed =
                refreshes.iter().find(|it| it.is_failed() && !it.skipped).map(|it| self.log.name(it.id).to_owned());
            let torn = refreshes.into_iter().filter(|refresh| torn.contains(&refresh.id));
            ended.extend(torn.map(|it| if it.is_failed() { it } else { refresh::held_back(it.id, failed.as_deref()) }));
            if left.is_empty() {
                return Some(ended);
            }
        }
    }

    /// How the refresh of a table ended. One that was not attempted is tried again.
    fn classify(&mut self, id: i32, refreshes: &[Refresh], generation: u64) -> Ended {
        let Some(refresh) = find(id, refreshes) else {
            return Ended { id, outcome: Outcome::Skipped, took: 0, seen: 0 };
        };
        let outcome = match &refresh.error {
            Some(_) if refresh.skipped => Outcome::Skipped,
            Some(error) if refresh.is_failed() => self.classify_failure(refresh, error, generation),
            _ => {
                self.log.succeeded(id);
                failures::forget(id);
                if refresh.is_applied() { Outcome::Refreshed } else { Outcome::Unchanged }
            }
        };
        Ended { id, outcome, took: (refresh.duration_ms * 1e3) as Micros, seen: refresh.seen }
    }

    /// Records a failure in a transaction of its own, except where the catalog changed during the tick, which may have
    /// caused it.
    fn classify_failure(&mut self, refresh: &Refresh, error: &Error, generation: u64) -> Outcome {
        if self.slot.generation() != generation {
            return Outcome::Postponed;
        }
        self.log.failed(refresh.id, error);
        let recorded = in_transaction(|| refresh::record_failure(refresh, error));
        match recorded {
            Some(_) => failures::forget(refresh.id),
            None => failures::note(refresh.id, error),
        }
        match recorded {
            Some(true) => {
                self.log.suspended(refresh.id);
                Outcome::Suspended
            }
            Some(false) if error.kind() == Kind::Transient => Outcome::Postponed,
            Some(false) | None => Outcome::Failed,
        }
    }
}

/// How the refresh of one table of a tick ended, and how long it took by itself. Unless it failed, the table shows what all
/// transactions below `seen` have committed.
pub struct Ended {
    pub id: i32,
    pub outcome: Outcome,
    pub took: Micros,
    pub seen: u64,
}

/// What a tick came to.
#[derive(Default)]
struct Ran {
    refreshes: Vec<Refresh>,
    /// It was rolled back, and must be made without these.
    torn: BTreeSet<i32>,
}

/// Runs a tick. Where it fails as a whole with an error that is not transient, the tables are found that cause it. `None` where a
/// table that it leaves out has changed.
fn attempt(ids: &[i32], extent: Extent) -> Option<Ran> {
    let mut ran = run(ids, extent, Rebuilds::Apart);
    let mut repaired = BTreeSet::new();
    while let Err(Error::Stale(id)) = ran {
        // Where that does not help, the tick itself reports why.
        let repairs =
            repaired.insert(id) && bgworker::transaction(|| bgworker::with_snapshot(|| refresh::repair(id))).is_ok();
        ran = run(ids, extent, if repairs { Rebuilds::Apart } else { Rebuilds::Within });
    }
    Some(match (ran, ids) {
        (Ok(ran), _) => ran,
        (Err(Error::Incomplete), _) => return None,
        (Err(error), [id]) => Ran { refreshes: vec![Refresh::failed(*id, error, Duration::ZERO)], ..Ran::default() },
        (Err(error), _) if error.kind() == Kind::Transient => failed_together(ids, &error),
        (Err(error), _) => match failing(ids) {
            ran if ran.torn.is_empty() => failed_together(ids, &error),
            ran => ran,
        },
    })
}

/// Runs a tick in a transaction, which is rolled back where some of its tables would show other moments than others.
fn run(ids: &[i32], extent: Extent, rebuilds: Rebuilds) -> Result<Ran> {
    let mut torn = None;
    let refreshes = bgworker::transaction(|| {
        let refreshes = refresh::tick(ids, extent, Locks::Skip, rebuilds)?;
        let held = refresh::torn(&refreshes)?;
        if held.is_empty() {
            return Ok(refreshes);
        }
        torn = Some(Ran { refreshes, torn: held });
        Err(Error::Abandoned)
    });
    torn.map_or_else(|| Ok(Ran { refreshes: refreshes?, ..Ran::default() }), Ok)
}

/// An error of a tick that none of its tables has alone: all of them are retried.
fn failed_together(ids: &[i32], error: &Error) -> Ran {
    log::failed(error);
    ids.iter().for_each(|id| failures::note(*id, error));
    Ran::default()
}

/// Refreshes each table alone, and rolls that back, to find those with which a tick fails.
fn failing(ids: &[i32]) -> Ran {
    let (mut refreshes, mut failed) = (vec![], BTreeSet::new());
    for id in ids {
        let reads = bgworker::transaction(|| refresh::with_upstream(*id));
        if reads.is_ok_and(|reads| reads.iter().any(|read| failed.contains(read))) {
            continue;
        }
        let alone = || refresh::tick(&[*id], Extent::Upstream, Locks::Skip, Rebuilds::Within);
        let mut result = None;
        _ = bgworker::transaction(|| -> Result<()> {
            result = Some(alone());
            Err(Error::Abandoned)
        });
        if let Some(Err(error)) = result {
            refreshes.push(Refresh::failed(*id, error, Duration::ZERO));
            failed.insert(*id);
        }
    }
    let torn = bgworker::transaction(|| refresh::held(ids, &failed)).unwrap_or_else(|_| failed.clone());
    let untouched = torn.iter().filter(|id| !failed.contains(id)).map(|id| Refresh::unchanged(*id));
    refreshes.extend(untouched.collect::<Vec<_>>());
    Ran { refreshes, torn }
}

/// Runs `f` outside of a tick, in a transaction of its own. An error is logged and rolls it back.
pub fn in_transaction<R>(f: impl FnOnce() -> Result<R>) -> Option<R> {
    let done = bgworker::transaction(|| bgworker::with_snapshot(f));
    done.map_err(|error| log::failed(&error)).ok()
}

fn count_plans() {
    bgworker::usage().into_iter().for_each(|usage| usage.plan_bytes.set(&(spi::plan_bytes() as u64)));
}

/// The first refresh of a table.
fn find(id: i32, refreshes: &[Refresh]) -> Option<&Refresh> {
    refreshes.iter().find(|refresh| refresh.id == id)
}
