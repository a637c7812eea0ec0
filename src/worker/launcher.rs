//! One per server: gives every database that has the extension a scheduler. It sleeps until something
//! happens: a worker comes or goes, a database or an extension is created or dropped, the configuration is
//! read again. What it waits for by the clock is the pause before a worker that failed is tried again, and the time
//! that a database which made room for others has named.
//!
//! **Taking turns:** there may be more databases than the server has worker processes for. Then the scheduler that
//! has been there longest gives up its place, and its database sleeps until something changes in it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::pg_sys::{Datum, Oid};
use pgrx::{pg_guard, pg_sys};

use crate::error::Result;
use crate::guc;
use crate::pg::bgworker::{self, Started};
use crate::pg::shmem::{Phase, SLOTS, Shared, Slot, shared};
use crate::pg::{database, latch};

/// A worker that ran this long had no trouble starting.
const SETTLED: i64 = 10_000_000;
const FIRST_PAUSE: i64 = 100_000;
const LONGEST_PAUSE: i64 = 60_000_000;
/// Databases that are visited at the same time: servers have few worker slots to spare.
const VISITS: usize = 4;
/// A scheduler keeps its place for this time at least, and as often is looked for one where all are taken.
const TURN: i64 = 200_000;
/// A visit that takes longer no longer holds up others.
const VISIT: i64 = 5_000_000;

#[derive(Default)]
struct Launcher {
    /// Databases that wait for a slot.
    homeless: Vec<Oid>,
    attempts: BTreeMap<usize, Attempt>,
    /// There were more databases than places for schedulers; said once.
    crowded: bool,
    /// There are more databases with the extension than slots; said once.
    full: bool,
}

/// The last worker of a slot.
struct Attempt {
    at: i64,
    worker: Option<Started>,
    failures: u32,
    /// Its end has been seen.
    over: bool,
    /// There was no place for it.
    crowded: bool,
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_launcher(_argument: Datum) {
    bgworker::begin();
    let Some(shared) = shared() else { bgworker::exit(0) };
    if !bgworker::occupy(&shared.launcher, leave, 0) {
        bgworker::exit(1);
    }
    while !guc::enabled() {
        dismiss(shared);
        latch::wait(None);
        if bgworker::signals().terminated {
            bgworker::exit(1);
        }
    }
    bgworker::connect(None, c"pg_trickle_launcher");
    shared.attention.store(true, Ordering::SeqCst);
    adopt(shared);
    let mut launcher = Launcher::default();
    while !bgworker::signals().terminated && guc::enabled() {
        let next = launcher.look(shared);
        latch::wait(next);
    }
    if !guc::enabled() {
        dismiss(shared);
    }
    // Not zero: the postmaster is to start it again.
    bgworker::exit(1);
}

fn leave(_argument: usize) {
    if let Some(shared) = shared() {
        shared.launcher.leave();
    }
}

/// Ends every scheduler.
fn dismiss(shared: &Shared) {
    shared.slots.iter().for_each(|slot| _ = database::terminate(slot));
}

/// Schedulers that an earlier launcher asked for and that never came are asked for again.
fn adopt(shared: &Shared) {
    for slot in shared.slots.iter().filter(|slot| slot.worker.pid().is_none()) {
        slot.turn(Phase::Starting, Phase::Vacant);
    }
}

impl Launcher {
    /// Starts what should run. How long nothing will have to be done by itself.
    fn look(&mut self, shared: &'static Shared) -> Option<Duration> {
        let now = bgworker::now();
        let slots = || shared.slots.iter().enumerate().filter(|(_, slot)| !slot.is_free());
        // A worker that failed may have lost its database.
        let failed = slots().filter(|(number, slot)| self.settle(*number, slot, now)).count() > 0;
        if (shared.attention.swap(false, Ordering::SeqCst) || failed)
            && let Err(error) = self.read_databases(shared)
        {
            shared.attention.store(true, Ordering::SeqCst);
            pgrx::log!("pg_trickle launcher could not read the list of databases: {error}");
            return Some(Duration::from_micros(LONGEST_PAUSE as u64));
        }
        self.place(shared);
        let mut next: Option<i64> = None;
        let mut wait_until = |at: i64| next = Some(next.map_or(at, |next: i64| next.min(at)));
        for (_, slot) in slots().filter(|(_, slot)| slot.phase() == Phase::Dormant) {
            match slot.wake_at() {
                at if at <= now => _ = slot.turn(Phase::Dormant, Phase::Vacant),
                at => wait_until(at),
            }
        }
        // Who has waited longest comes first.
        let mut vacant: Vec<usize> =
            slots().filter(|(_, slot)| slot.phase() == Phase::Vacant).map(|(number, _)| number).collect();
        vacant.sort_by_key(|number| self.attempts.get(number).map_or(0, |attempt| attempt.at));
        for number in vacant {
            if let Err(at) = self.visit(shared, number, now) {
                wait_until(at);
            }
        }
        next.map(|at| Duration::from_micros((at - now).max(0) as u64))
    }

    /// Reads which databases there are and gives each a slot.
    fn read_databases(&mut self, shared: &'static Shared) -> Result<()> {
        let mut databases = bgworker::transaction(|| Ok(database::all()))?;
        for (number, slot) in shared.slots.iter().enumerate().filter(|(_, slot)| !slot.is_free()) {
            if !databases.contains(&slot.database()) && !database::terminate(slot) {
                self.assign(number, slot, pg_sys::InvalidOid);
            }
        }
        databases.retain(|database| shared.slot(*database).is_none());
        self.homeless = databases;
        Ok(())
    }

    fn assign(&mut self, number: usize, slot: &Slot, database: Oid) {
        self.attempts.remove(&number);
        slot.assign(database);
    }

    /// Gives databases without a slot a free one, or that of a database which lacks the extension.
    fn place(&mut self, shared: &'static Shared) {
        while let Some(database) = self.homeless.last().copied() {
            let slots = || shared.slots.iter().enumerate();
            let free = slots().find(|(_, slot)| slot.is_free());
            let Some((number, slot)) = free.or_else(|| slots().find(|(_, slot)| slot.phase() == Phase::Absent)) else {
                if !self.full && slots().all(|(_, slot)| slot.phase() == Phase::Running) {
                    self.full = true;
                    pgrx::log!("pg_trickle refreshes stream tables in no more than {SLOTS} databases");
                }
                return;
            };
            self.assign(number, slot, database);
            self.homeless.pop();
        }
    }

    /// Takes note of a worker that ended; true if it should not have.
    fn settle(&mut self, number: usize, slot: &Slot, now: i64) -> bool {
        let Some(attempt) = self.attempts.get_mut(&number).filter(|attempt| !attempt.over) else { return false };
        if slot.worker.pid().is_none() && attempt.worker.as_ref().is_some_and(Started::is_over) {
            slot.turn(Phase::Starting, Phase::Vacant);
        }
        let phase = slot.phase();
        if phase == Phase::Starting || phase == Phase::Running {
            return false;
        }
        attempt.over = true;
        attempt.worker = None;
        let planned = phase == Phase::Absent || phase == Phase::Dormant || slot.wanted.load(Ordering::SeqCst);
        let settled = now - attempt.at >= SETTLED || planned;
        attempt.failures = if settled { 0 } else { attempt.failures + 1 };
        !planned
    }

    /// Starts a scheduler for a slot, or says when to try.
    fn visit(&mut self, shared: &'static Shared, number: usize, now: i64) -> std::result::Result<(), i64> {
        let slot = &shared.slots[number];
        let known = self.attempts.get(&number).filter(|attempt| !attempt.crowded);
        let failures = known.map_or(0, |attempt| attempt.failures);
        let due = known.map_or(now, |attempt| attempt.at + pause(attempt.failures));
        let due = due.max(slot.held_until()).max(self.turn(shared, now));
        if due > now {
            return Err(due);
        }
        let worker = if residents(shared).count() < super::places().max(1) {
            slot.wanted.store(false, Ordering::SeqCst);
            slot.set_phase(Phase::Starting);
            bgworker::start("pg_trickle scheduler", "pg_trickle_scheduler", number)
        } else {
            None
        };
        if worker.is_some() {
            self.attempts.insert(number, Attempt { at: now, worker, failures, over: false, crowded: false });
            return Ok(());
        }
        slot.turn(Phase::Starting, Phase::Vacant);
        // How long it has waited decides whose turn is next.
        let since = self.attempts.get(&number).filter(|attempt| attempt.crowded).map_or(now, |attempt| attempt.at);
        self.attempts.insert(number, Attempt { at: since, worker, failures, over: true, crowded: true });
        self.make_room(shared, now);
        Err(now + TURN)
    }

    /// Asks the scheduler that has been there longest for its place.
    fn make_room(&mut self, shared: &'static Shared, now: i64) {
        if !std::mem::replace(&mut self.crowded, true) {
            pgrx::log!("pg_trickle lets databases take turns; raise max_worker_processes to give each a scheduler");
        }
        let since = |number: &usize| self.attempts.get(number).map_or(0, |attempt| attempt.at);
        if let Some(number) = residents(shared).filter(|number| since(number) + TURN <= now).min_by_key(since) {
            shared.slots[number].wanted.store(true, Ordering::SeqCst);
            shared.slots[number].worker.ring();
        }
    }

    /// When one more visit may begin.
    fn turn(&self, shared: &'static Shared, now: i64) -> i64 {
        let starting = |number: &usize| shared.slots[*number].phase() == Phase::Starting;
        let visits = self.attempts.iter().filter(|(number, attempt)| starting(number) && attempt.at + VISIT > now);
        let ends: Vec<i64> = visits.map(|(_, attempt)| attempt.at + VISIT).collect();
        if ends.len() < VISITS { now } else { ends.into_iter().min().unwrap_or(now) }
    }
}

/// The slots that have a scheduler, or soon will.
fn residents(shared: &'static Shared) -> impl Iterator<Item = usize> {
    shared.slots.iter().enumerate().filter(|(_, slot)| slot.is_there()).map(|(number, _)| number)
}

/// How long to wait after so many failures in a row, from the last start.
fn pause(failures: u32) -> i64 {
    let doubled = FIRST_PAUSE << failures.saturating_sub(1).min(16);
    if failures == 0 { 0 } else { doubled.min(LONGEST_PAUSE) }
}
