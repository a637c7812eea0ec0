//! The slot of one worker of the pool: carries a tick from a scheduler to the worker, and its outcomes back.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32};

use ivm::schedule::{Micros, Outcome};
use pgrx::pg_sys;

use super::Process;

/// Stream tables in one tick of a worker.
pub const MAX_TICK_TABLES: usize = 256;
const STAGES: [Stage; 5] = [Stage::Idle, Stage::Writing, Stage::Assigned, Stage::Done, Stage::Leaving];

#[repr(C)]
pub struct WorkerSlot {
    /// The database that it is reserved for; 0 while it is free.
    database: AtomicU32,
    /// The stage, and above it a ticket that moves with every reservation: with an old one nothing can be changed.
    stage: AtomicU32,
    pub process: Process,
    count: AtomicU32,
    tables: [Task; MAX_TICK_TABLES],
}

/// One stream table of a tick.
#[repr(C)]
struct Task {
    id: AtomicI32,
    /// 0 until the worker has set it.
    outcome: AtomicU32,
    took: AtomicI64,
}

/// The state of a worker's tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    Idle,
    /// The scheduler is writing the list of its tables.
    Writing,
    /// The worker has to run it, or is running it.
    Assigned,
    /// It has ended; the scheduler has to read its outcomes.
    Done,
    /// There is none, and the worker takes no more.
    Leaving,
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Refreshed, Outcome::Unchanged, Outcome::Skipped, Outcome::Postponed, Outcome::Failed, Outcome::Suspended];

impl WorkerSlot {
    pub fn database(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.database.load(SeqCst))
    }

    /// Takes a free slot for a database; the ticket of the reservation.
    pub fn reserve(&self, database: pg_sys::Oid) -> Option<u32> {
        let (free, taken) = (pg_sys::InvalidOid.to_u32(), database.to_u32());
        self.database.compare_exchange(free, taken, SeqCst, SeqCst).ok()?;
        let ticket = self.ticket().wrapping_add(1) % (u32::MAX / STAGES.len() as u32);
        self.stage.store(word(ticket, Stage::Idle), SeqCst);
        Some(ticket)
    }

    /// The ticket of the last reservation.
    pub fn ticket(&self) -> u32 {
        self.stage.load(SeqCst) / STAGES.len() as u32
    }

    /// Frees the slot, once it has no worker: the worker does it as it ends, except with outcomes that its scheduler has
    /// not read; then the scheduler does.
    pub fn free(&self) {
        self.database.store(pg_sys::InvalidOid.to_u32(), SeqCst);
    }

    pub fn stage(&self) -> Stage {
        STAGES[self.stage.load(SeqCst) as usize % STAGES.len()]
    }

    /// Moves from one stage to another; false if the slot is in a third one, or if the ticket is an old one.
    pub fn transition(&self, ticket: u32, from: Stage, to: Stage) -> bool {
        self.stage.compare_exchange(word(ticket, from), word(ticket, to), SeqCst, SeqCst).is_ok()
    }

    /// Assigns a tick of at most [`MAX_TICK_TABLES`] tables; false when the worker is leaving or has left.
    pub fn assign(&self, ticket: u32, ids: &[i32]) -> bool {
        if !self.transition(ticket, Stage::Idle, Stage::Writing) {
            return false;
        }
        for (task, id) in self.tables.iter().zip(ids) {
            task.id.store(*id, SeqCst);
            task.outcome.store(0, SeqCst);
            task.took.store(0, SeqCst);
        }
        self.count.store(ids.len().min(MAX_TICK_TABLES) as u32, SeqCst);
        self.transition(ticket, Stage::Writing, Stage::Assigned)
    }

    pub fn ids(&self) -> Vec<i32> {
        self.tasks().map(|task| task.id.load(SeqCst)).collect()
    }

    pub fn set_outcomes(&self, outcomes: &[(i32, Outcome, Micros)]) {
        for (task, (_, outcome, took)) in self.tasks().zip(outcomes) {
            task.took.store(*took, SeqCst);
            let number = OUTCOMES.iter().position(|known| known == outcome).map_or(0, |at| at + 1);
            task.outcome.store(number as u32, SeqCst);
        }
    }

    /// How the refresh of each table ended and how long it took. One without an outcome is postponed.
    pub fn outcomes(&self) -> Vec<(i32, Outcome, Micros)> {
        let read = |task: &Task| {
            let number = task.outcome.load(SeqCst) as usize;
            let outcome = OUTCOMES.get(number.wrapping_sub(1)).copied().unwrap_or(Outcome::Postponed);
            (task.id.load(SeqCst), outcome, task.took.load(SeqCst))
        };
        self.tasks().map(read).collect()
    }

    fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tables.iter().take(self.count.load(SeqCst) as usize)
    }
}

fn word(ticket: u32, stage: Stage) -> u32 {
    ticket * STAGES.len() as u32 + stage as u32
}
