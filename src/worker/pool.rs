//! The pool: workers that run long refreshes, so that the scheduler is free for short ones. A scheduler starts them as it
//! needs them; they stay with its database while there is work, because of the plans that they have cached.
//!
//! **Invariant:** a reserved slot has a scheduler that reads its outcomes, or a worker that frees it.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ffi::CString;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ivm::schedule::{Event, Micros, Workers};
use pgrx::pg_guard;
use pgrx::pg_sys::{Datum, InvalidOid};

use crate::guc;
use crate::pg::bgworker::{self, Started};
use crate::pg::latch;
use crate::pg::shmem::{MAX_TICK_TABLES, Phase, Shared, Slot, Stage, WorkerSlot, shared};
use crate::worker::ticks::Ticks;

/// An idle worker ends after this time, or as soon as another database wants a worker: that one would wait as long for a
/// process that does nothing.
const IDLE_TIMEOUT: Micros = 30_000_000;
/// How long no worker is requested after the server had no process for one.
const RETRY: Micros = 10_000_000;

/// The workers of the pool that are reserved for one scheduler.
pub struct Pool {
    shared: &'static Shared,
    slot: &'static Slot,
    workers: Vec<Worker>,
    /// The server had no process for a worker: none is requested before this time.
    retry_at: Micros,
}

/// A worker, or one that was requested.
struct Worker {
    slot: &'static WorkerSlot,
    ticket: u32,
    started: Option<Started>,
    /// The tables that it has refreshed, whose plans it may have.
    tables: HashSet<i32>,
}

impl Pool {
    /// Takes over the workers that an earlier scheduler of the database left.
    pub fn new(shared: &'static Shared, slot: &'static Slot) -> Pool {
        let worker =
            |slot: &'static WorkerSlot| Worker { slot, ticket: slot.ticket(), started: None, tables: HashSet::new() };
        let workers = shared.workers_of(slot.database()).map(worker).collect();
        Pool { shared, slot, workers, retry_at: 0 }
    }

    /// The ticks of workers that were taken over.
    pub fn running(&self, now: Micros) -> Vec<Event> {
        let busy = self.workers.iter().filter(|worker| worker.is_busy());
        busy.map(|worker| Event::Started { at: now, ids: worker.slot.ids() }).collect()
    }

    /// The outcomes of ticks that have ended, and how many workers there are now.
    pub fn poll(&mut self, now: Micros) -> Vec<Event> {
        let mut events = vec![];
        self.workers.retain(|worker| worker.poll(now, &mut events));
        let busy = self.workers.iter().filter(|worker| worker.is_busy()).count();
        let reserved = self.shared.workers.iter().filter(|worker| worker.database() != InvalidOid).count();
        let startable = if now < self.retry_at { 0 } else { self.max_size().saturating_sub(reserved) };
        // After its size was reduced the pool has more workers than it may use.
        let free = (self.workers.len() - busy + startable).min(self.max_size().saturating_sub(busy));
        events.push(Event::Workers(Workers { free, busy }));
        events
    }

    pub fn is_busy(&self) -> bool {
        self.workers.iter().any(Worker::is_busy)
    }

    /// The size of the pool: as configured, but leaving some of the server's processes to others.
    fn max_size(&self) -> usize {
        let schedulers = self.shared.slots.iter().filter(|slot| slot.phase() == Phase::Running).count();
        guc::max_parallel_workers().min(super::max_processes().saturating_sub(schedulers))
    }

    /// Assigns a tick to a worker; false when there is none after all.
    pub fn assign(&mut self, ids: &[i32]) -> bool {
        if ids.len() > MAX_TICK_TABLES {
            return false;
        }
        // One that has their plans comes first.
        let known = |worker: &Worker| ids.iter().filter(|id| worker.tables.contains(id)).count();
        self.workers.sort_by_cached_key(|worker| Reverse(known(worker)));
        match self.workers.iter_mut().find(|worker| worker.slot.assign(worker.ticket, ids)) {
            Some(worker) => {
                worker.tables.extend(ids);
                worker.slot.process.wake();
                true
            }
            None => self.start(ids),
        }
    }

    /// Starts a worker for a tick.
    fn start(&mut self, ids: &[i32]) -> bool {
        let database = self.slot.database();
        let mut slots = self.shared.workers.iter().enumerate();
        let reserved = slots.find_map(|(number, slot)| Some((number, slot, slot.reserve(database)?)));
        let Some((number, slot, ticket)) = reserved else { return false };
        slot.assign(ticket, ids);
        let started = bgworker::start("pg_trickle pool worker", "pg_trickle_pool", number);
        if started.is_none() {
            slot.free();
            self.retry_at = bgworker::now() + RETRY;
            self.log_few_workers();
            return false;
        }
        self.workers.push(Worker { slot, ticket, started, tables: ids.iter().copied().collect() });
        true
    }

    /// Ends an idle worker of another database, because there is more work here than workers.
    pub fn request_worker(&mut self) {
        if guc::max_parallel_workers() == 0 {
            return;
        }
        if self.max_size() < guc::max_parallel_workers() {
            self.log_few_workers();
        }
        self.slot.wants_worker.store(true, SeqCst);
        let others = self.shared.workers.iter().filter(|worker| worker.database() != self.slot.database());
        if let Some(idle) =
            others.filter(|worker| worker.process.is_running()).find(|worker| worker.stage() == Stage::Idle)
        {
            idle.process.wake();
        }
    }

    fn log_few_workers(&self) {
        if !self.shared.logged_few_workers.swap(true, SeqCst) {
            pgrx::log!(
                "pg_trickle has fewer worker processes than pg_trickle.max_parallel_workers; \
                 raise max_worker_processes to start all of them"
            );
        }
    }
}

impl Worker {
    /// Whether it has a tick whose outcomes have not been read.
    fn is_busy(&self) -> bool {
        self.slot.stage() != Stage::Idle
    }

    /// Reads the outcomes of a tick that has ended; false when the worker has ended, or is about to.
    fn poll(&self, at: Micros, events: &mut Vec<Event>) -> bool {
        // A worker leaves and frees its slot only while it is idle, so no outcome is lost.
        if self.slot.ticket() != self.ticket || self.slot.stage() == Stage::Leaving {
            return false;
        }
        let ended = !self.slot.process.is_running() && self.started.as_ref().is_none_or(Started::is_over);
        if self.slot.stage() == Stage::Done || (ended && self.is_busy()) {
            let outcomes = self.slot.outcomes();
            self.slot.transition(self.ticket, Stage::Done, Stage::Idle);
            let event = |(id, outcome, took)| Event::Finished { at, id, outcome, took, seen: 0 };
            events.extend(outcomes.into_iter().map(event));
            if ended {
                self.slot.free();
            }
        }
        !ended
    }
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_pool(argument: Datum) {
    bgworker::begin();
    let number = argument.value();
    let Some((shared, worker)) = shared().and_then(|shared| Some((shared, shared.workers.get(number)?))) else {
        bgworker::exit(0)
    };
    bgworker::claim(&worker.process, at_exit, number, 0);
    // Claimed first, then checked: a statement that holds the slot either finds this process or is noticed here.
    let is_open = |slot: &&Slot| !slot.is_free() && guc::enabled() && slot.held_until() <= bgworker::now();
    let Some(slot) = shared.slot(worker.database()).filter(is_open) else { bgworker::exit(0) };
    let name = CString::new(format!("pg_trickle_pool_{}", number + 1)).unwrap_or_default();
    bgworker::connect(Some(slot.database()), Box::leak(name.into_boxed_c_str()));
    serve(shared, slot, worker)
}

fn at_exit(number: usize) {
    let Some((shared, worker)) = shared().and_then(|shared| Some((shared, shared.workers.get(number)?))) else {
        return;
    };
    let scheduler = shared.slot(worker.database()).map(|slot| &slot.scheduler);
    worker.process.release();
    // A tick that was assigned and not run, or run and not read, is left to the scheduler, if there is one.
    let is_idle = worker.transition(worker.ticket(), Stage::Idle, Stage::Leaving) || worker.stage() == Stage::Leaving;
    if is_idle || scheduler.is_none_or(|scheduler| !scheduler.is_running()) {
        worker.free();
    }
    let waiting = shared.slots.iter().filter(|slot| slot.wants_worker.swap(false, SeqCst)).map(|slot| &slot.scheduler);
    scheduler.into_iter().chain(waiting).for_each(|scheduler| scheduler.wake());
}

/// Runs the ticks that are assigned to this worker until it has been idle for too long.
fn serve(shared: &Shared, slot: &'static Slot, worker: &WorkerSlot) -> ! {
    let mut ticks = Ticks::new(slot);
    let ticket = worker.ticket();
    let mut idle_since = bgworker::now();
    loop {
        let signals = bgworker::signals();
        if signals.terminated || !guc::enabled() {
            bgworker::exit(0);
        }
        if worker.stage() == Stage::Assigned {
            let (ids, generation) = (worker.ids(), slot.generation());
            ticks.load_names(&ids);
            let outcomes = ticks.run(&ids, None, generation, || {}).unwrap_or_default();
            let outcomes: Vec<_> = outcomes.iter().map(|it| (it.id, it.outcome, it.took)).collect();
            ticks.conclude(true);
            worker.set_outcomes(&outcomes);
            worker.transition(ticket, Stage::Assigned, Stage::Done);
            slot.scheduler.wake();
            idle_since = bgworker::now();
            continue;
        }
        ticks.conclude(true);
        let (now, until) = (bgworker::now(), idle_since + IDLE_TIMEOUT);
        let is_wanted =
            shared.used_slots().any(|(_, other)| other.wants_worker.load(SeqCst)) && !slot.wants_worker.load(SeqCst);
        // Without a scheduler nothing reads the outcomes of its last tick.
        if is_wanted && worker.transition(ticket, Stage::Idle, Stage::Leaving)
            || until <= now && (worker.transition(ticket, Stage::Idle, Stage::Leaving) || !slot.scheduler.is_running())
        {
            ticks.record();
            bgworker::exit(0);
        }
        let next = ticks.flush_statistics(now).map_or(until, |at| at.min(until));
        latch::wait(Some(Duration::from_micros((next - now).max(1_000) as u64)));
    }
}
