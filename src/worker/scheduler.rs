//! The scheduler, one per database: wait, poll, decide, act. `ivm::schedule` decides what to refresh and when; this loop
//! passes events in and runs ticks. While there is nothing to do it sleeps without a timeout.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ivm::schedule::{Actions, Event, Micros, State, Table};
use pgrx::pg_guard;
use pgrx::pg_sys::Datum;

use crate::catalog::{frontier, stream_table};
use crate::error::Error;
use crate::pg::bgworker::{self, ServerZone};
use crate::pg::shmem::{Phase, Shared, Slot, shared};
use crate::pg::{counters, database, latch, spi, wake, xact};
use crate::refresh::{Reattached, Unchanged};
use crate::worker::changes::Changes;
use crate::worker::log;
use crate::worker::pool::Pool;
use crate::worker::published::{self, Published};
use crate::worker::ticks::{Ended, Ticks, in_transaction};
use crate::{guc, refresh};

/// Where other databases wait for a worker process, a scheduler yields its own once it is idle and this old …
const MIN_LEASE: Micros = 200_000;
/// … or between two ticks once it is this old.
const MAX_LEASE: Micros = 2_000_000;
/// How often the sizes of change buffers are checked whose changes are retained.
const BOUND_INTERVAL: Micros = 5_000_000;
/// How long to wait before the catalog is loaded again after that failed, or while it is being restored.
const RELOAD_PAUSE: Micros = 1_000_000;
/// How long to wait before the capture is ended of a source that no stream table reads and that was in use.
const RELEASE_PAUSE: Micros = 1_000_000;

struct Scheduler {
    shared: &'static Shared,
    slot: &'static Slot,
    started: Micros,
    changes: Changes,
    state: State,
    pool: Pool,
    ticks: Ticks,
    /// Of the time at which this process started: older transactions may have written changes that are not counted.
    first_xid: u64,
    /// Happened since the last decision.
    events: Vec<Event>,
    /// Sources that changed since `bounded_at` and whose changes are retained for tables that are refreshed rarely or not at all.
    retained: BTreeSet<i32>,
    bounded_at: Micros,
    /// Sources that may hold change rows which every consumer has read, and which no tick will prune.
    prunable: BTreeSet<i32>,
    /// The catalog could not be loaded, or is being restored: not again before this time.
    reload_at: Option<Micros>,
    /// When to end the capture of sources that no stream table reads, if there may be any.
    release_at: Option<Micros>,
}

/// What the extension in a database is.
enum Extension {
    Dropped,
    /// In which database, and why its catalog cannot be read.
    OfOtherVersion(String, Error),
    /// Its stream tables, whether there are others that are to be attached, and what is published of them.
    Loaded(Vec<(String, Table)>, bool, Option<Published>),
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_scheduler(argument: Datum) {
    bgworker::begin();
    let Some((shared, slot)) = shared().and_then(|shared| Some((shared, shared.slots.get(argument.value())?))) else {
        bgworker::exit(0)
    };
    bgworker::claim(&slot.scheduler, at_exit, argument.value(), 0);
    // Claimed first, then checked: a statement that holds the slot either finds this process or is noticed here.
    if !guc::enabled() || slot.held_until() > bgworker::now() || slot.is_free() {
        bgworker::exit(0);
    }
    bgworker::connect(Some(slot.database()), c"pg_trickle_scheduler");
    Scheduler::new(shared, slot).run()
}

fn at_exit(number: usize) {
    if let Some(slot) = shared().and_then(|shared| shared.slots.get(number)) {
        let failed = slot.transition(Phase::Running, Phase::Vacant) || slot.transition(Phase::Starting, Phase::Vacant);
        slot.failed.store(failed, SeqCst);
        slot.scheduler.release();
        wake::wake_launcher();
    }
}

impl Scheduler {
    fn new(shared: &'static Shared, slot: &'static Slot) -> Scheduler {
        Scheduler {
            shared,
            slot,
            started: bgworker::now(),
            changes: Changes::new(slot),
            state: State::default(),
            pool: Pool::new(shared, slot),
            ticks: Ticks::new(slot),
            first_xid: xact::next_xid(),
            events: vec![],
            retained: BTreeSet::new(),
            bounded_at: 0,
            prunable: BTreeSet::new(),
            reload_at: None,
            release_at: None,
        }
    }

    fn run(mut self) -> ! {
        loop {
            self.poll();
            let Actions { tick, pooled, waiting, wake, missed } = self.decide();
            if !missed.is_empty() {
                missed.iter().filter_map(|id| counters::table(*id)).for_each(|row| row.counted.missed.add(1));
                in_transaction(|| frontier::record_missed_deadlines(&missed));
            }
            // Set before `drained` is read: `drain()` either sees the tick or is seen, with all that its session changed before.
            self.slot.ticking.store(true, SeqCst);
            let drained = self.slot.drained.load(SeqCst);
            let outdated = self.reload_at.is_none() && self.changes.stale().is_some();
            let idle = drained || outdated || (tick.is_empty() && pooled.is_empty());
            if !idle {
                self.assign(pooled);
                self.tick(&tick);
            }
            self.ticks.conclude(idle);
            if drained {
                self.ticks.record();
            }
            self.slot.ticking.store(false, SeqCst);
            if waiting {
                self.pool.request_worker();
            }
            if idle {
                self.prune();
            }
            self.yield_slot(wake, idle);
            if idle && !outdated {
                self.wait(wake.filter(|_| !drained));
            }
        }
    }

    /// Removes change rows that no tick will: two ticks at a time may each leave to the other what both have read, and some
    /// sources are read by no tick.
    fn prune(&mut self) {
        if self.prunable.is_empty() || self.pool.is_busy() {
            return;
        }
        let sources = std::mem::take(&mut self.prunable);
        in_transaction(|| refresh::prune(&sources));
    }

    /// Ends the process if another database waits for one.
    fn yield_slot(&mut self, wake: Option<Micros>, idle: bool) {
        let now = bgworker::now();
        let lease = if idle { MIN_LEASE } else { MAX_LEASE };
        if now - self.started < lease || self.pool.is_busy() || !self.shared.scheduler_wanted.swap(false, SeqCst) {
            return;
        }
        self.ticks.record();
        let next =
            [wake, self.reload_at, self.release_at, self.bound_at()].into_iter().flatten().min().unwrap_or(Micros::MAX);
        self.slot.sleep(if idle { next } else { now });
        // A session that changed something before that has found a scheduler to wake here.
        if self.changes.has_unread() || self.changes.stale().is_some() {
            self.slot.transition(Phase::Dormant, Phase::Vacant);
        }
        bgworker::exit(0)
    }

    /// Collects the events that signals and shared memory report.
    fn poll(&mut self) {
        let signals = bgworker::signals();
        if signals.terminated || !guc::enabled() {
            bgworker::exit(0);
        }
        if signals.reloaded {
            self.changes.invalidate();
        }
        let now = bgworker::now();
        if let Some(generation) = self.changes.stale().filter(|_| self.reload_at.is_none_or(|at| at <= now)) {
            self.reload(generation, now);
        }
        // First: a session requests a table after it has marked its changes.
        let ids = self.slot.take_requested();
        self.events.extend(self.changes.poll(now));
        self.events.extend((!ids.is_empty()).then_some(Event::Requested { ids }));
        let events = self.pool.poll(now);
        let finished = |event: &Event| if let Event::Finished { id, .. } = event { Some(*id) } else { None };
        self.prunable.extend(self.state.sources(&events.iter().filter_map(finished).collect::<Vec<_>>()));
        self.events.extend(events);
        if self.bound_at().is_some_and(|at| at <= now) {
            self.bound(now);
        }
        if self.release_at.is_some_and(|at| at <= now) {
            self.release_unread();
        }
    }

    /// Ends the capture of sources that no stream table reads. What others use is tried again after a while: sessions that read
    /// such a source must not wait for us, nor we for them.
    fn release_unread(&mut self) {
        let left = in_transaction(refresh::release_unread).unwrap_or(true);
        self.release_at = left.then(|| bgworker::now() + RELEASE_PAUSE);
    }

    /// When the sizes of retained change buffers have to be checked.
    fn bound_at(&self) -> Option<Micros> {
        (!self.retained.is_empty()).then_some(self.bounded_at + BOUND_INTERVAL)
    }

    /// Bounds the change buffers whose changes are retained. The marks are cleared before, so that the next change is
    /// an event again.
    fn bound(&mut self, now: Micros) {
        let sources = std::mem::take(&mut self.retained);
        self.bounded_at = now;
        self.events.extend(self.changes.clear(&sources, now));
        in_transaction(|| refresh::bound_buffers(&sources));
        self.prunable.extend(sources);
    }

    fn decide(&mut self) -> Actions {
        let changed = |event: &Event| match event {
            Event::Changed { sources, .. } => sources.clone(),
            // Their marks may have been polled before a table was paused.
            Event::Tables { tables, .. } => tables.iter().flat_map(|table| table.sources.iter().copied()).collect(),
            _ => vec![],
        };
        let changed: Vec<i32> = self.events.iter().flat_map(changed).collect();
        let actions = self.state.step(bgworker::now(), std::mem::take(&mut self.events), &ServerZone);
        self.retained.extend(self.state.retained(&changed));
        published::report(&mut self.state);
        actions
    }

    fn wait(&mut self, wake: Option<Micros>) {
        let now = bgworker::now();
        let times = [wake, self.reload_at, self.release_at, self.ticks.flush_statistics(now), self.bound_at()];
        let next = times.into_iter().flatten().min();
        latch::wait(next.map(|at| Duration::from_micros((at - now).max(0) as u64)));
    }

    /// Loads the catalog; ends the process where the extension was dropped.
    fn reload(&mut self, generation: u64, now: Micros) {
        let load = || {
            let tables = stream_table::schedulable()?;
            let published = published::read(&tables)?;
            let mut scheduled = vec![];
            for (name, table) in tables {
                if refresh::is_scheduled(&table)? {
                    scheduled.push((name, table));
                }
            }
            Ok(Extension::Loaded(scheduled, refresh::has_detached()?, published))
        };
        let read = bgworker::transaction(|| match database::extension() {
            Some(_) => bgworker::with_snapshot(|| match spi::other_version()? {
                Some(error) => Ok(Extension::OfOtherVersion(database::name(), error)),
                None => load(),
            }),
            None => Ok(Extension::Dropped),
        });
        match read {
            Ok(Extension::Loaded(tables, detached, counted)) => {
                counted.iter().for_each(published::publish);
                self.load(generation, tables);
                if detached {
                    self.reattach(now);
                }
            }
            Ok(Extension::OfOtherVersion(database, error)) => {
                log::log(&format!("pg_trickle refreshes nothing in database \"{database}\": {}", error.with_hint()));
                self.load(generation, vec![]);
            }
            Ok(Extension::Dropped) => self.retire(generation),
            Err(error) => {
                log::failed(&error);
                self.reload_at = Some(now + RELOAD_PAUSE);
            }
        }
    }

    fn load(&mut self, generation: u64, tables: Vec<(String, Table)>) {
        self.slot.set_phase(Phase::Running);
        self.reload_at = None;
        self.release_at = Some(bgworker::now());
        self.ticks.log.load(tables.iter().map(|(name, table)| (table.id, name.clone())).collect());
        let tables: Vec<Table> = tables.into_iter().map(|(_, table)| table).collect();
        self.ticks.retain_plans(&tables.iter().map(|table| table.id).collect());
        self.changes.load(generation, tables.iter().flat_map(|table| table.sources.iter().copied()).collect());
        let first = self.state.is_empty();
        self.events.push(Event::Tables { tables, default: guc::default_schedule() });
        if first {
            self.events.extend(self.pool.running(bgworker::now()));
        }
    }

    /// Attaches stream tables that were restored. Where another session is restoring, it is tried again after a while: the end
    /// of a session is not signalled.
    fn reattach(&mut self, now: Micros) {
        if !matches!(in_transaction(|| refresh::reattach(true)), Some(Reattached::All(_))) {
            self.changes.invalidate();
            self.reload_at = Some(now + RELOAD_PAUSE);
        }
    }

    /// Ends the process, because this database needs no scheduler; but one that got the extension just now does.
    fn retire(&self, generation: u64) -> ! {
        self.slot.set_phase(Phase::Absent);
        published::release(self.slot.database());
        if self.slot.generation() != generation {
            self.slot.transition(Phase::Absent, Phase::Vacant);
        }
        bgworker::exit(0)
    }

    /// Assigns ticks to the pool, and runs those itself for which there is no worker after all.
    fn assign(&mut self, ticks: Vec<Vec<i32>>) {
        for ids in ticks {
            self.clear(&ids);
            if self.pool.assign(&ids) {
                self.events.push(Event::Started { at: bgworker::now(), ids });
            } else {
                self.tick(&ids);
            }
        }
    }

    /// Refreshes these tables in one tick. Those that nothing has changed show the tick's moment as they are.
    fn tick(&mut self, ids: &[i32]) {
        let unchanged = self.unchanged(ids);
        let changed: Vec<i32> = ids.iter().copied().filter(|id| !unchanged.contains(id)).collect();
        if unchanged.is_empty() || !self.run_tick(&changed, &unchanged) {
            self.run_tick(ids, &BTreeSet::new());
        }
    }

    fn unchanged(&self, ids: &[i32]) -> BTreeSet<i32> {
        self.state.unchanged(ids, self.newest_writer())
    }

    /// The newest transaction that may have written changes of a source.
    fn newest_writer(&self) -> impl Fn(i32) -> u64 + use<> {
        let (shared, database, first_xid) = (self.shared, self.slot.database(), self.first_xid);
        move |source| shared.writers.newest(database, source).max(first_xid)
    }

    /// Refreshes these tables, and those with which they show one moment; false where one of the others has changed.
    fn run_tick(&mut self, ids: &[i32], unchanged: &BTreeSet<i32>) -> bool {
        if ids.is_empty() {
            return true;
        }
        self.clear(ids);
        let started = Event::Started { at: bgworker::now(), ids: ids.to_vec() };
        let generation = self.changes.generation();
        let (state, newest) = (&self.state, self.newest_writer());
        let all: Vec<i32> = unchanged.iter().copied().collect();
        let still = || state.unchanged(&all, &newest).len() == unchanged.len();
        let left_out = Unchanged { ids: unchanged, still: &still };
        let (changes, mut at, mut meanwhile) = (&mut self.changes, 0, vec![]);
        let ended = self.ticks.run(ids, Some(&left_out).filter(|_| !unchanged.is_empty()), generation, || {
            at = bgworker::now();
            // Polled at the tick's end: a change made in response to what the tick shows comes later.
            meanwhile = changes.poll(at);
        });
        self.events.extend(ended.is_some().then_some(started));
        self.events.extend(meanwhile);
        let Some(ended) = ended else { return false };
        let finished = |Ended { id, outcome, took, seen }| Event::Finished { at, id, outcome, took, seen };
        self.events.extend(ended.into_iter().map(finished));
        true
    }

    /// Clears the marks of the sources that a tick is about to read.
    fn clear(&mut self, ids: &[i32]) {
        self.events.extend(self.changes.clear(&self.state.sources(ids), bgworker::now()));
    }
}
