//! One per database: wait, poll, decide, act. What to do and when is decided by `ivm::schedule`; this loop
//! only carries events in and ticks out. While there is nothing to do it sleeps without a timeout.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::time::Duration;

use ivm::schedule::{Actions, Event, Fate, Micros, Schedule, State, Table};
use pgrx::pg_guard;
use pgrx::pg_sys::Datum;

use crate::catalog::stream_table::{self, Schedulable};
use crate::error::{Error, Kind, Result};
use crate::pg::bgworker::{self, ServerZone};
use crate::pg::shmem::{Phase, Slot, shared};
use crate::pg::{database, setting, wake};
use crate::worker::feed::Feed;
use crate::worker::journal::Journal;
use crate::{guc, refresh};

/// How long to wait before the catalog is read again after that failed.
const RELOAD_PAUSE: Micros = 1_000_000;

struct Scheduler {
    slot: &'static Slot,
    feed: Feed,
    state: State,
    /// Happened since the last decision.
    events: Vec<Event>,
    journal: Journal,
    /// The catalog could not be read: not before then.
    reload_at: Option<Micros>,
    /// Statistics that are still to be handed on, at this time.
    report_at: Option<Micros>,
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_scheduler(argument: Datum) {
    bgworker::begin();
    let Some(slot) = shared().and_then(|shared| shared.slots.get(argument.value())) else { bgworker::exit(0) };
    if !bgworker::occupy(&slot.worker, leave, argument.value()) {
        bgworker::exit(0);
    }
    // Whoever holds the slot either sees this process or is seen here.
    if !guc::enabled() || slot.held_until() > bgworker::now() || slot.is_free() {
        bgworker::exit(0);
    }
    bgworker::connect(Some(slot.database()), c"pg_trickle_scheduler");
    for (name, value) in SETTINGS {
        setting::set(name, value);
    }
    bgworker::report(None);
    Scheduler::new(slot).run()
}

/// What a refresh must not depend on. A lost tick is simply done again, so nothing waits for the disk.
const SETTINGS: [(&CStr, &CStr); 8] = [
    // Should a tick and a user's DDL wait for each other, the tick notices first and gives way.
    (c"deadlock_timeout", c"10ms"),
    (c"synchronous_commit", c"off"),
    (c"search_path", c""),
    (c"statement_timeout", c"0"),
    (c"lock_timeout", c"0"),
    (c"idle_in_transaction_session_timeout", c"0"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
];

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
    fn new(slot: &'static Slot) -> Scheduler {
        Scheduler {
            slot,
            feed: Feed::new(slot),
            state: State::default(),
            events: vec![],
            journal: Journal::default(),
            reload_at: None,
            report_at: None,
        }
    }

    fn run(mut self) -> ! {
        loop {
            self.poll();
            let actions = self.decide();
            match actions.tick.is_empty() {
                true => self.wait(actions.wake),
                false => self.act(&actions.tick),
            }
        }
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
        if self.report_at.is_some_and(|at| at <= now) {
            bgworker::report_statistics(true);
            self.report_at = None;
        }
    }

    fn decide(&mut self) -> Actions {
        self.state.step(bgworker::now(), std::mem::take(&mut self.events), &ServerZone)
    }

    fn wait(&self, wake: Option<Micros>) {
        let now = bgworker::now();
        let next = [wake, self.reload_at, self.report_at].into_iter().flatten().min();
        bgworker::wait(next.map(|at| Duration::from_micros((at - now).max(0) as u64)));
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
                self.journal.failed(None, &error);
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
        self.journal.learn(list.iter().map(|table| (table.id, table.name.clone())).collect());
        let tables = list.into_iter().map(|table| self.table(table)).collect();
        self.events.push(Event::Tables { tables, default: guc::default_schedule() });
    }

    fn table(&mut self, table: Schedulable) -> Table {
        let schedule = Schedule::parse(&table.schedule).unwrap_or_else(|error| {
            self.journal.failed(Some(table.id), &error.into());
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

    /// Refreshes these tables in one tick.
    fn act(&mut self, ids: &[i32]) {
        let began = bgworker::now();
        self.events.extend(self.feed.clear(&self.state.sources(ids), began));
        self.events.push(Event::Started { at: began, ids: ids.to_vec() });
        bgworker::report(Some(&self.journal.activity(ids)));
        let verdicts = self.tick(ids);
        self.conclude(ids, verdicts);
        bgworker::report(None);
        let rest = bgworker::report_statistics(false);
        self.report_at = rest.map(|rest| bgworker::now() + rest.as_micros() as Micros);
    }

    /// How each table fared: whether there was something to do, or what went wrong. Where the tick fails as a
    /// whole and not by the moment's fault, each table is tried alone to find the one to blame.
    fn tick(&mut self, ids: &[i32]) -> BTreeMap<i32, Result<bool>> {
        match (bgworker::transaction(|| refresh::tick(ids)), ids) {
            (Ok(outcomes), _) => outcomes.into_iter().map(verdict).collect(),
            (Err(error), [id]) => BTreeMap::from([(*id, Err(error))]),
            (Err(error), _) if error.kind() == Kind::Transient => {
                self.journal.failed(None, &error);
                BTreeMap::new()
            }
            (Err(_), _) => {
                let mut verdicts = BTreeMap::new();
                let mut broken = BTreeSet::new();
                for id in ids {
                    if !self.state.reads_any(*id, &broken) {
                        verdicts.extend(self.tick(&[*id]));
                    }
                    if !matches!(verdicts.get(id), Some(Ok(_))) {
                        broken.insert(*id);
                    }
                }
                verdicts
            }
        }
    }

    /// Lets the step function know how the tick went, upstream first: a table is not to blame for what it reads.
    fn conclude(&mut self, ids: &[i32], mut verdicts: BTreeMap<i32, Result<bool>>) {
        let mut broken = BTreeSet::new();
        for id in ids.iter().copied() {
            let fate = match verdicts.remove(&id) {
                Some(Ok(worked)) => {
                    self.journal.succeeded(id);
                    if worked { Fate::Refreshed } else { Fate::Unchanged }
                }
                Some(Err(error)) if !self.state.reads_any(id, &broken) => self.blame(id, &error),
                _ => Fate::Postponed,
            };
            if !matches!(fate, Fate::Refreshed | Fate::Unchanged) {
                broken.insert(id);
            }
            self.events.push(Event::Finished { at: bgworker::now(), id, fate });
        }
    }

    /// Writes a failure down, in a transaction of its own; not where the catalog moved under the tick, which
    /// may explain it.
    fn blame(&mut self, id: i32, error: &Error) -> Fate {
        if self.feed.stale().is_some() {
            return Fate::Postponed;
        }
        self.journal.failed(Some(id), error);
        match bgworker::transaction(|| bgworker::with_snapshot(|| refresh::record_failure(id, error))) {
            Ok(true) => Fate::Suspended,
            Ok(false) if error.kind() != Kind::Transient => Fate::Failed,
            Ok(false) => Fate::Postponed,
            Err(error) => {
                self.journal.failed(None, &error);
                Fate::Failed
            }
        }
    }
}

fn verdict(outcome: refresh::Outcome) -> (i32, Result<bool>) {
    let worked = outcome.did_work();
    (outcome.id, outcome.error.map_or(Ok(worked), Err))
}
