//! One per database: wait, poll, decide, act. What to do and when is decided by `ivm::schedule`; this loop
//! only carries events in and ticks out. While there is nothing to do it sleeps without a timeout.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ivm::schedule::{Actions, Event, Micros, Schedule, State, Table};
use pgrx::pg_guard;
use pgrx::pg_sys::Datum;

use crate::catalog::frontier;
use crate::catalog::stream_table::{self, Schedulable};
use crate::pg::bgworker::{self, ServerZone};
use crate::pg::shmem::{Phase, Shared, Slot, shared};
use crate::pg::{database, latch, wake};
use crate::worker::feed::Feed;
use crate::worker::pool::Pool;
use crate::worker::work::Work;
use crate::{guc, refresh};

/// How long a scheduler that always has something to do keeps its place while others wait.
const TURN: Micros = 2_000_000;
/// How often is looked whether buffers grow too large.
const BOUND_PAUSE: Micros = 5_000_000;
/// How long to wait before the catalog is read again after that failed.
const RELOAD_PAUSE: Micros = 1_000_000;

struct Scheduler {
    slot: &'static Slot,
    began: Micros,
    feed: Feed,
    state: State,
    pool: Pool,
    worker: Work,
    /// Happened since the last decision.
    events: Vec<Event>,
    /// Sources that changed since `bounded_at` and whose changes somebody keeps who is not refreshed.
    kept: BTreeSet<i32>,
    bounded_at: Micros,
    /// Sources that may hold rows which nobody needs, and no tick will remove.
    untidy: BTreeSet<i32>,
    /// The catalog could not be read: not before then.
    reload_at: Option<Micros>,
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_scheduler(argument: Datum) {
    bgworker::begin();
    let Some((shared, slot)) = shared().and_then(|shared| Some((shared, shared.slots.get(argument.value())?))) else {
        bgworker::exit(0)
    };
    if !bgworker::occupy(&slot.worker, leave, argument.value()) {
        bgworker::exit(0);
    }
    // Whoever holds the slot either sees this process or is seen here.
    if !guc::enabled() || slot.held_until() > bgworker::now() || slot.is_free() {
        bgworker::exit(0);
    }
    bgworker::connect(Some(slot.database()), c"pg_trickle_scheduler");
    Scheduler::new(shared, slot).run()
}

fn leave(number: usize) {
    if let Some(slot) = shared().and_then(|shared| shared.slots.get(number)) {
        if !slot.turn(Phase::Running, Phase::Vacant) {
            slot.turn(Phase::Starting, Phase::Vacant);
        }
        slot.worker.leave();
        wake::ring_launcher();
    }
}

impl Scheduler {
    fn new(shared: &'static Shared, slot: &'static Slot) -> Scheduler {
        Scheduler {
            slot,
            began: bgworker::now(),
            feed: Feed::new(slot),
            state: State::default(),
            pool: Pool::new(shared, slot),
            worker: Work::new(slot),
            events: vec![],
            kept: BTreeSet::new(),
            bounded_at: 0,
            untidy: BTreeSet::new(),
            reload_at: None,
        }
    }

    fn run(mut self) -> ! {
        loop {
            self.poll();
            let Actions { tick, pooled, waiting, wake, missed } = self.decide();
            self.confess(&missed);
            // Said before it is asked: whoever drains sees the one or is seen, with all that he altered before.
            self.slot.ticking.store(true, Ordering::SeqCst);
            let drained = self.slot.drained.load(Ordering::SeqCst);
            let outdated = self.reload_at.is_none() && self.feed.stale().is_some();
            let idle = drained || outdated || (tick.is_empty() && pooled.is_empty());
            if !idle {
                self.hand_over(pooled);
                self.act(&tick);
            }
            self.worker.conclude(idle);
            self.slot.ticking.store(false, Ordering::SeqCst);
            if waiting {
                self.pool.hunger();
            }
            if idle {
                self.tidy();
            }
            self.make_room(wake, idle);
            if idle && !outdated {
                self.wait(wake.filter(|_| !drained));
            }
        }
    }

    /// Removes rows that nobody needs and no tick will: two at a time may each leave to the other what both have seen,
    /// and some sources are read by no tick.
    fn tidy(&mut self) {
        if self.untidy.is_empty() || self.pool.is_busy() {
            return;
        }
        let sources = std::mem::take(&mut self.untidy);
        self.worker.aside(|| refresh::prune(&sources));
    }

    /// Ends the process where another database waits for its place: once there is nothing to do, or after a while.
    fn make_room(&self, wake: Option<Micros>, idle: bool) {
        let now = bgworker::now();
        let over = idle || now - self.began >= TURN;
        if !over || self.pool.is_busy() || !self.slot.wanted.load(Ordering::SeqCst) {
            return;
        }
        let next = [wake, self.reload_at, self.bound_at()].into_iter().flatten().min().unwrap_or(Micros::MAX);
        self.slot.sleep(if idle { next } else { now });
        // Whoever changed something before that has found a scheduler here.
        if self.feed.has_news() || self.feed.stale().is_some() {
            self.slot.turn(Phase::Dormant, Phase::Vacant);
        }
        bgworker::exit(0)
    }

    /// Takes in what signals and shared memory tell.
    fn poll(&mut self) {
        let signals = bgworker::signals();
        if signals.terminated || !guc::enabled() {
            bgworker::exit(0);
        }
        if signals.reloaded {
            self.feed.forget();
        }
        let now = bgworker::now();
        if let Some(generation) = self.feed.stale().filter(|_| self.reload_at.is_none_or(|at| at <= now)) {
            self.reload(generation, now);
        }
        self.events.extend(self.feed.look(now));
        let events = self.pool.poll(now);
        self.untidy.extend(self.state.sources(&events.iter().filter_map(finished).collect::<Vec<_>>()));
        self.events.extend(events);
        if self.bound_at().is_some_and(|at| at <= now) {
            self.bound(now);
        }
    }

    /// When to look next whether buffers grow for those who are not refreshed.
    fn bound_at(&self) -> Option<Micros> {
        (!self.kept.is_empty()).then_some(self.bounded_at + BOUND_PAUSE)
    }

    /// Keeps buffers small of which nobody else takes anything. The marks are cleared before, so that the next change
    /// is news again.
    fn bound(&mut self, now: Micros) {
        let sources = std::mem::take(&mut self.kept);
        self.bounded_at = now;
        self.events.extend(self.feed.clear(&sources, now));
        self.worker.aside(|| refresh::bound_buffers(&sources));
        self.untidy.extend(sources);
    }

    fn decide(&mut self) -> Actions {
        let changed = |event: &Event| match event {
            Event::Changed { sources, .. } => sources.clone(),
            // Their marks may have been seen before somebody came to rest.
            Event::Tables { tables, .. } => tables.iter().flat_map(|table| table.sources.iter().copied()).collect(),
            _ => vec![],
        };
        let changed: Vec<i32> = self.events.iter().flat_map(changed).collect();
        let actions = self.step();
        self.kept.extend(self.state.retained(&changed));
        actions
    }

    fn step(&mut self) -> Actions {
        self.state.step(bgworker::now(), std::mem::take(&mut self.events), &ServerZone)
    }

    fn wait(&mut self, wake: Option<Micros>) {
        let now = bgworker::now();
        let next = [wake, self.reload_at, self.worker.report(now), self.bound_at()].into_iter().flatten().min();
        latch::wait(next.map(|at| Duration::from_micros((at - now).max(0) as u64)));
    }

    /// Reads the catalog; ends the process where the extension is gone.
    fn reload(&mut self, generation: u64, now: Micros) {
        let read = bgworker::transaction(|| match database::has_extension() {
            true => bgworker::with_snapshot(stream_table::schedulable).map(Some),
            false => Ok(None),
        });
        match read {
            Ok(Some(list)) => self.learn(generation, list),
            Ok(None) => self.retire(generation),
            Err(error) => {
                self.worker.journal.failed(None, &error);
                self.reload_at = Some(now + RELOAD_PAUSE);
            }
        }
    }

    fn learn(&mut self, generation: u64, list: Vec<Schedulable>) {
        if self.slot.phase() != Phase::Running {
            self.slot.set_phase(Phase::Running);
            wake::ring_launcher();
        }
        self.reload_at = None;
        self.feed.learn(generation, list.iter().flat_map(|table| table.sources.iter().copied()));
        self.worker.journal.learn(list.iter().map(|table| (table.id, table.name.clone())).collect());
        let tables = list.into_iter().map(|table| self.table(table)).collect();
        let first = self.state.is_empty();
        self.events.push(Event::Tables { tables, default: guc::default_schedule() });
        if first {
            self.events.extend(self.pool.underway(bgworker::now()));
        }
    }

    fn table(&mut self, table: Schedulable) -> Table {
        let schedule = Schedule::parse(&table.schedule).unwrap_or_else(|error| {
            self.worker.journal.failed(Some(table.id), &error.into());
            guc::default_schedule()
        });
        Table {
            id: table.id,
            schedule,
            active: table.active,
            populated: table.populated,
            errors: table.consecutive_errors,
            sources: table.sources,
            upstream: table.upstream,
            temporal: table.temporal,
            polls: table.polls,
            took: table.took_ms.map(|ms| (ms * 1e3) as Micros),
        }
    }

    /// Says that this database needs no scheduler, unless it got the extension in this very moment.
    fn retire(&self, generation: u64) -> ! {
        self.slot.set_phase(Phase::Absent);
        if self.slot.generation() != generation {
            self.slot.turn(Phase::Absent, Phase::Vacant);
        }
        bgworker::exit(0)
    }

    /// Gives ticks to the pool. What no worker takes after all, the scheduler does itself.
    fn hand_over(&mut self, ticks: Vec<Vec<i32>>) {
        for ids in ticks {
            self.clear(&ids);
            if self.pool.give(&ids) {
                self.events.push(Event::Started { at: bgworker::now(), ids });
            } else {
                self.act(&ids);
            }
        }
    }

    /// Refreshes these tables in one tick.
    fn act(&mut self, ids: &[i32]) {
        if ids.is_empty() {
            return;
        }
        self.clear(ids);
        self.events.push(Event::Started { at: bgworker::now(), ids: ids.to_vec() });
        let generation = self.feed.generation();
        let (feed, mut at, mut meanwhile) = (&mut self.feed, 0, None);
        let ended = self.worker.run(ids, generation, || {
            at = bgworker::now();
            // Whoever answers to what the tick shows comes later than that.
            meanwhile = feed.look(at);
        });
        self.events.extend(meanwhile);
        self.events.extend(ended.into_iter().map(|(id, outcome, took)| Event::Finished { at, id, outcome, took }));
    }

    /// Clears the marks of what a tick is about to read.
    fn clear(&mut self, ids: &[i32]) {
        self.events.extend(self.feed.clear(&self.state.sources(ids), bgworker::now()));
    }

    /// Writes down that changes became visible later than promised.
    fn confess(&mut self, late: &[i32]) {
        if !late.is_empty() {
            self.worker.aside(|| frontier::record_missed_deadlines(late));
        }
    }
}

/// The table that an event says is through with its tick.
fn finished(event: &Event) -> Option<i32> {
    if let Event::Finished { id, .. } = event { Some(*id) } else { None }
}
