//! The launcher, one per server: starts a scheduler for every database that has the extension. It sleeps until a worker starts or
//! ends, a database or an extension is created or dropped, or the configuration is reloaded. By the clock it wakes up to
//! retry a scheduler that failed, and for a database that is due after it yielded its scheduler's process.
//!
//! **Slot leases:** a server may have more databases than worker processes, of which it has eight by default. Then a scheduler
//! that is idle, or has run for two seconds, yields its process, and its database has none until something changes in it.
//! If a scheduler kept its process, the databases without one would never be refreshed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use pgrx::pg_sys::{Datum, Oid};
use pgrx::{pg_guard, pg_sys};

use crate::error::Result;
use crate::guc;
use crate::pg::bgworker::{self, Started};
use crate::pg::shmem::{Phase, SLOTS, Shared, Slot, shared};
use crate::pg::{counters, database, latch};
use crate::worker::{exporter, published};

/// A scheduler that ran this long had no trouble starting.
const STABLE: i64 = 10_000_000;
const FIRST_PAUSE: i64 = 100_000;
const LONGEST_PAUSE: i64 = 60_000_000;
/// How often the start of a scheduler is retried where the server has no worker process for it.
const RETRY: i64 = 200_000;

#[derive(Default)]
struct Launcher {
    /// Databases that wait for a slot.
    without_slot: Vec<Oid>,
    attempts: BTreeMap<usize, Attempt>,
    /// It was logged that there are more databases than worker processes.
    logged_few_workers: bool,
    /// It was logged that there are more databases than slots.
    logged_few_slots: bool,
    exporter: exporter::Starter,
}

/// The last scheduler of a slot.
struct Attempt {
    at: i64,
    /// Until its end was noticed.
    worker: Option<Started>,
    /// Failures in a row.
    failures: u32,
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_launcher(_argument: Datum) {
    bgworker::begin();
    let Some(shared) = shared() else { bgworker::exit(0) };
    bgworker::claim(&shared.launcher, at_exit, 0, 1);
    let mut exporter = exporter::Starter::default();
    while !guc::enabled() {
        terminate_schedulers(shared);
        latch::wait(exporter.poll(shared, bgworker::now()));
        if bgworker::signals().terminated {
            bgworker::exit(1);
        }
    }
    bgworker::connect(None, c"pg_trickle_launcher");
    shared.databases_changed.store(true, SeqCst);
    // A scheduler that an earlier launcher requested and that never started is requested again.
    for slot in shared.slots.iter().filter(|slot| !slot.scheduler.is_running()) {
        slot.transition(Phase::Starting, Phase::Vacant);
    }
    let mut launcher = Launcher { exporter, ..Launcher::default() };
    while !bgworker::signals().terminated && guc::enabled() {
        let pause = launcher.poll(shared);
        latch::wait(pause);
    }
    if !guc::enabled() {
        terminate_schedulers(shared);
    }
    // Not zero: the postmaster has to start it again.
    bgworker::exit(1);
}

fn at_exit(_argument: usize) {
    if let Some(shared) = shared() {
        shared.launcher.release();
    }
}

fn terminate_schedulers(shared: &Shared) {
    shared.used_slots().for_each(|(_, slot)| _ = database::terminate(slot.database()));
}

impl Launcher {
    /// Starts the schedulers that are needed; returns how long to wait at most.
    fn poll(&mut self, shared: &'static Shared) -> Option<Duration> {
        let now = bgworker::now();
        // A scheduler that failed may have lost its database.
        let failed = shared.used_slots().filter(|(number, slot)| self.has_failed(*number, slot, now)).count() > 0;
        if (shared.databases_changed.swap(false, SeqCst) || failed)
            && let Err(error) = self.read_databases(shared)
        {
            shared.databases_changed.store(true, SeqCst);
            let text = format!("pg_trickle launcher could not read the list of databases: {error}");
            counters::log(counters::messages(), &text);
            return Some(Duration::from_micros(LONGEST_PAUSE as u64));
        }
        self.assign_slots(shared);
        let mut next: Option<i64> = None;
        let mut wait_until = |at: i64| next = Some(next.map_or(at, |next: i64| next.min(at)));
        if let Some(pause) = self.exporter.poll(shared, now) {
            wait_until(now + pause.as_micros() as i64);
        }
        for (_, slot) in shared.used_slots().filter(|(_, slot)| slot.phase() == Phase::Dormant) {
            match slot.wake_at() {
                at if at <= now => _ = slot.transition(Phase::Dormant, Phase::Vacant),
                at => wait_until(at),
            }
        }
        let is_vacant = |(_, slot): &(usize, &Slot)| slot.phase() == Phase::Vacant && !slot.scheduler.is_running();
        let mut vacant: Vec<usize> = shared.used_slots().filter(is_vacant).map(|(number, _)| number).collect();
        // The one that has been without a scheduler for longest comes first.
        vacant.sort_by_key(|number| self.attempts.get(number).map_or(0, |attempt| attempt.at));
        for number in vacant {
            if let Err(at) = self.start(shared, number, now) {
                wait_until(at);
            }
        }
        next.map(|at| Duration::from_micros((at - now).max(0) as u64))
    }

    /// Reads the list of databases; frees the slots of those that were dropped.
    fn read_databases(&mut self, shared: &'static Shared) -> Result<()> {
        let mut databases = bgworker::transaction(|| Ok(database::all()))?;
        for (number, slot) in shared.used_slots() {
            if !databases.contains(&slot.database()) && !database::terminate(slot.database()) {
                published::release(slot.database());
                self.assign(number, slot, pg_sys::InvalidOid);
            }
        }
        databases.retain(|database| shared.slot(*database).is_none());
        self.without_slot = databases;
        Ok(())
    }

    fn assign(&mut self, number: usize, slot: &Slot, database: Oid) {
        self.attempts.remove(&number);
        slot.assign(database);
    }

    /// Gives databases without a slot a free one, or that of a database which lacks the extension.
    fn assign_slots(&mut self, shared: &'static Shared) {
        while let Some(database) = self.without_slot.last().copied() {
            let mut slots = shared.slots.iter().enumerate();
            let lent = || shared.used_slots().find(|(_, slot)| slot.phase() == Phase::Absent);
            let Some((number, slot)) = slots.find(|(_, slot)| slot.is_free()).or_else(lent) else {
                if !self.logged_few_slots && shared.slots.iter().all(|slot| slot.phase() == Phase::Running) {
                    self.logged_few_slots = true;
                    pgrx::log!("pg_trickle refreshes stream tables in no more than {SLOTS} databases");
                }
                return;
            };
            self.assign(number, slot, database);
            self.without_slot.pop();
        }
    }

    /// Notices the end of a scheduler; true if it failed.
    fn has_failed(&mut self, number: usize, slot: &Slot, now: i64) -> bool {
        let Some(attempt) = self.attempts.get_mut(&number) else { return false };
        let Some(worker) = &attempt.worker else { return false };
        let never_started = !slot.scheduler.is_running() && worker.is_over();
        if never_started && slot.transition(Phase::Starting, Phase::Vacant) {
            slot.failed.store(true, SeqCst);
        }
        if slot.has_scheduler() {
            return false;
        }
        attempt.worker = None;
        let failed = slot.failed.swap(false, SeqCst);
        attempt.failures = if failed && now - attempt.at < STABLE { attempt.failures + 1 } else { 0 };
        failed
    }

    /// Starts a scheduler for a slot, or returns when to retry.
    fn start(&mut self, shared: &'static Shared, number: usize, now: i64) -> std::result::Result<(), i64> {
        let slot = &shared.slots[number];
        let (at, failures) = self.attempts.get(&number).map_or((0, 0), |attempt| (attempt.at, attempt.failures));
        let due = slot.held_until().max(at + pause(failures));
        if due > now {
            return Err(due);
        }
        let running = shared.used_slots().filter(|(_, slot)| slot.has_scheduler()).count();
        if running < super::max_processes().max(1) {
            slot.failed.store(false, SeqCst);
            slot.set_phase(Phase::Starting);
            let worker = bgworker::start("pg_trickle scheduler", "pg_trickle_scheduler", number);
            if worker.is_some() {
                self.attempts.insert(number, Attempt { at: now, worker, failures });
                return Ok(());
            }
            slot.transition(Phase::Starting, Phase::Vacant);
        }
        self.log_few_workers(running);
        shared.scheduler_wanted.store(true, SeqCst);
        shared.used_slots().for_each(|(_, slot)| slot.scheduler.wake());
        Err(now + RETRY)
    }

    fn log_few_workers(&mut self, running: usize) {
        if std::mem::replace(&mut self.logged_few_workers, true) {
            return;
        }
        match running {
            0 => pgrx::log!(
                "pg_trickle refreshes nothing in the background, because the server has no process for a scheduler; \
                 raise max_worker_processes"
            ),
            _ => pgrx::log!(
                "pg_trickle has fewer worker processes than databases, which therefore share them; \
                 raise max_worker_processes to refresh stream tables without delay"
            ),
        }
    }
}

/// How long to wait after so many failures in a row, from the last start.
fn pause(failures: u32) -> i64 {
    let doubled = FIRST_PAUSE << failures.saturating_sub(1).min(16);
    if failures == 0 { 0 } else { doubled.min(LONGEST_PAUSE) }
}
