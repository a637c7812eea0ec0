//! The pool: workers that refresh what takes long, so that a scheduler is free for what does not. A scheduler starts
//! them as it needs them; they stay with their database for as long as there is work, for the plans that they have.
//!
//! **Invariant:** a seat with a database has a scheduler that looks after it, or a worker that gives it back.

use std::ffi::CString;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ivm::schedule::{Event, Micros, Outcome, Workers};
use pgrx::pg_sys::Datum;
use pgrx::{pg_guard, pg_sys};

use crate::guc;
use crate::pg::bgworker::{self, Started};
use crate::pg::latch;
use crate::pg::shmem::{Phase, Seat, Shared, Slot, Stage, TABLES, shared};
use crate::worker::work::Work;

/// A worker without work leaves after this time.
const REST: Duration = Duration::from_secs(30);
/// How long no worker is asked for once the server had no room for one.
const CROWDED: Micros = 10_000_000;

/// The part of the pool that works for one scheduler.
pub struct Pool {
    shared: &'static Shared,
    slot: &'static Slot,
    hands: Vec<Hand>,
    /// The server had no room for a worker: not before then.
    crowded_until: Micros,
    /// That the pool cannot be as large as wished was said.
    told: bool,
}

/// A worker, or one that was asked for.
struct Hand {
    seat: &'static Seat,
    ticket: u32,
    started: Option<Started>,
}

impl Pool {
    /// Takes over the workers that an earlier scheduler of the database left.
    pub fn new(shared: &'static Shared, slot: &'static Slot) -> Pool {
        let hand = |(_, seat): (usize, &'static Seat)| Hand { seat, ticket: seat.ticket(), started: None };
        let hands = shared.seats_of(slot.database()).map(hand).collect();
        Pool { shared, slot, hands, crowded_until: 0, told: false }
    }

    /// What the workers that were taken over are at.
    pub fn underway(&self, now: Micros) -> Vec<Event> {
        let busy = self.hands.iter().filter(|hand| hand.is_busy());
        busy.map(|hand| Event::Started { at: now, ids: hand.seat.ids() }).collect()
    }

    /// Takes in what workers are through with, and how many there are now.
    pub fn poll(&mut self, now: Micros) -> Vec<Event> {
        let mut events = vec![];
        self.hands.retain(|hand| hand.look(now, &mut events));
        let busy = self.hands.iter().filter(|hand| hand.is_busy()).count();
        // A pool that has become smaller takes no more on than it may.
        let free = (self.hands.len() - busy + self.room(now)).min(self.most().saturating_sub(busy));
        events.push(Event::Workers(Workers { free, busy }));
        events
    }

    /// Whether a worker has something to do.
    pub fn is_busy(&self) -> bool {
        self.hands.iter().any(Hand::is_busy)
    }

    /// How many more workers could be started.
    fn room(&mut self, now: Micros) -> usize {
        let taken = self.shared.seats.iter().filter(|seat| seat.database() != pg_sys::InvalidOid).count();
        if now < self.crowded_until { 0 } else { self.most().saturating_sub(taken) }
    }

    /// The size of the pool: as wished, and leaving some of the server's worker processes to others.
    fn most(&self) -> usize {
        let schedulers = self.shared.slots.iter().filter(|slot| slot.phase() == Phase::Running).count();
        guc::max_parallel_workers().min(super::places().saturating_sub(schedulers))
    }

    /// Gives a tick to a worker; false when there is none after all.
    pub fn give(&mut self, ids: &[i32]) -> bool {
        if ids.len() > TABLES {
            return false;
        }
        match self.hands.iter().find(|hand| hand.seat.give(hand.ticket, ids)) {
            Some(hand) => {
                hand.seat.worker.ring();
                true
            }
            None => self.engage(ids),
        }
    }

    /// Starts a worker for a tick.
    fn engage(&mut self, ids: &[i32]) -> bool {
        let database = self.slot.database();
        let mut seats = self.shared.seats.iter().enumerate();
        let Some((number, seat, ticket)) =
            seats.find_map(|(number, seat)| Some((number, seat, seat.reserve(database)?)))
        else {
            return false;
        };
        seat.give(ticket, ids);
        let started = bgworker::start("pg_trickle pool worker", "pg_trickle_pool", number);
        if started.is_none() {
            seat.free();
            self.crowded_until = bgworker::now() + CROWDED;
            self.tell();
            return false;
        }
        self.hands.push(Hand { seat, ticket, started });
        true
    }

    /// There is more to do than workers to do it: takes one that rests from another database.
    pub fn hunger(&mut self) {
        if guc::max_parallel_workers() == 0 {
            return;
        }
        if self.most() < guc::max_parallel_workers() {
            self.tell();
        }
        let mine = self.slot.database();
        self.slot.hungry.store(true, Ordering::SeqCst);
        let other = |seat: &&Seat| ![mine, pg_sys::InvalidOid].contains(&seat.database());
        if let Some(seat) =
            self.shared.seats.iter().filter(other).find(|seat| seat.turn(seat.ticket(), Stage::Idle, Stage::Leaving))
        {
            seat.worker.ring();
        }
    }

    fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            pgrx::log!(
                "pg_trickle refreshes with fewer workers than pg_trickle.max_parallel_workers; raise max_worker_processes"
            );
        }
    }
}

impl Hand {
    /// Whether there is no worker and none will come.
    fn is_gone(&self) -> bool {
        self.seat.worker.pid().is_none() && self.started.as_ref().is_none_or(Started::is_over)
    }

    /// Whether it has a tick that has not been read back.
    fn is_busy(&self) -> bool {
        self.seat.stage() != Stage::Idle
    }

    /// Takes in what the worker is through with; false when there is no worker any more.
    fn look(&self, at: Micros, events: &mut Vec<Event>) -> bool {
        // Only who rests leaves by itself, so nothing is lost with a seat that is left to others.
        if self.seat.ticket() != self.ticket || self.seat.stage() == Stage::Leaving {
            return false;
        }
        let gone = self.is_gone();
        if self.seat.stage() == Stage::Done || (gone && self.is_busy()) {
            events.extend(self.collect(at));
            if gone {
                self.seat.free();
            }
        }
        !gone
    }

    /// How the tables of its tick fared. Those that a worker left unanswered are to be tried again.
    fn collect(&self, at: Micros) -> Vec<Event> {
        let answers = self.seat.answers();
        self.seat.turn(self.ticket, Stage::Done, Stage::Idle);
        let finished = |(id, number, took): (i32, u32, i64)| Event::Finished { at, id, outcome: outcome(number), took };
        answers.into_iter().map(finished).collect()
    }
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Postponed, Outcome::Skipped, Outcome::Refreshed, Outcome::Unchanged, Outcome::Failed, Outcome::Suspended];

/// An outcome as its number in shared memory, which is not zero.
fn number_of(outcome: Outcome) -> u32 {
    OUTCOMES.iter().position(|known| *known == outcome).map_or(1, |at| at as u32 + 1)
}

fn outcome(number: u32) -> Outcome {
    OUTCOMES.get((number as usize).saturating_sub(1)).copied().unwrap_or(Outcome::Postponed)
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_pool(argument: Datum) {
    bgworker::begin();
    let number = argument.value();
    let Some((shared, seat)) = shared().and_then(|shared| Some((shared, shared.seats.get(number)?))) else {
        bgworker::exit(0)
    };
    if !bgworker::occupy(&seat.worker, leave, number) {
        bgworker::exit(0);
    }
    // Whoever holds the slot either sees this process or is seen here.
    let mine = |slot: &&Slot| !slot.is_free() && guc::enabled() && slot.held_until() <= bgworker::now();
    let slot = shared.slot(seat.database()).filter(mine);
    let Some(slot) = slot else { bgworker::exit(0) };
    let name = CString::new(format!("pg_trickle_pool_{}", number + 1)).unwrap_or_default();
    bgworker::connect(Some(slot.database()), Box::leak(name.into_boxed_c_str()));
    serve(Work::new(slot), slot, seat)
}

fn leave(number: usize) {
    let Some((shared, seat)) = shared().and_then(|shared| Some((shared, shared.seats.get(number)?))) else { return };
    let scheduler = shared.slot(seat.database());
    seat.worker.leave();
    // What was given and not done, or done and not read, the scheduler has to see; unless there is none.
    let read = seat.turn(seat.ticket(), Stage::Idle, Stage::Leaving) || seat.stage() == Stage::Leaving;
    if read || scheduler.is_none_or(|slot| slot.worker.pid().is_none()) {
        seat.free();
    }
    if let Some(slot) = scheduler {
        slot.worker.ring();
    }
    for slot in shared.slots.iter().filter(|slot| slot.hungry.swap(false, Ordering::SeqCst)) {
        slot.worker.ring();
    }
}

/// Does what it is given, until there was nothing for some time.
fn serve(mut work: Work, slot: &'static Slot, seat: &'static Seat) -> ! {
    let ticket = seat.ticket();
    let mut resting_since = bgworker::now();
    loop {
        let signals = bgworker::signals();
        if signals.terminated || !guc::enabled() || seat.stage() == Stage::Leaving {
            bgworker::exit(0);
        }
        if seat.stage() == Stage::Given {
            let (ids, generation) = (seat.ids(), slot.generation());
            work.learn(&ids);
            let ended = work.run(&ids, generation, || {});
            work.conclude(true);
            seat.answer(ended.iter().map(|(_, outcome, took)| (number_of(*outcome), *took)));
            seat.turn(ticket, Stage::Given, Stage::Done);
            slot.worker.ring();
            resting_since = bgworker::now();
            continue;
        }
        let now = bgworker::now();
        let until = resting_since + REST.as_micros() as Micros;
        // Nobody reads an answer where there is no scheduler.
        if until <= now && (seat.turn(ticket, Stage::Idle, Stage::Leaving) || slot.worker.pid().is_none()) {
            bgworker::exit(0);
        }
        let next = work.report(now).map_or(until, |at| at.min(until));
        latch::wait(Some(Duration::from_micros((next - now).max(1_000) as u64)));
    }
}
