//! The slot of one database: which of its sources have changed, and the state of its scheduler.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, fence};

use pgrx::pg_sys;

use super::{Process, Signal};

/// Sources are marked as changed by their id modulo this.
pub const MARKS: i32 = 256;
const WORDS: usize = MARKS as usize / 64;

/// Stream tables that can be requested at a time.
const REQUESTS: usize = 16;

/// A set of marks.
pub type Marks = [u64; WORDS];

#[repr(C)]
pub struct Slot {
    /// 0 while the slot is free.
    database: AtomicU32,
    phase: AtomicU32,
    pub scheduler: Process,
    /// No process of ours may be in the database before this time.
    held_until: AtomicI64,
    /// Moves when the catalog changed.
    generation: AtomicU64,
    marks: [AtomicU64; WORDS],
    /// When each mark was set: the commit of the first change since it was cleared.
    marked_at: [AtomicI64; MARKS as usize],
    /// When a dormant database needs a scheduler although nothing has changed.
    wake_at: AtomicI64,
    /// The last scheduler ended by an error or a signal.
    pub failed: AtomicBool,
    /// The scheduler waits for a worker of the pool.
    pub wants_worker: AtomicBool,
    /// The scheduler is in a tick.
    pub ticking: AtomicBool,
    /// No refresh may begin in the background.
    pub drained: AtomicBool,
    /// Stream tables of which a session needs a refresh now; 0 for none.
    requested: [AtomicI32; REQUESTS],
    /// Broadcast when a refresh has committed.
    pub refreshed: Signal,
}

/// The state of a database's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is none, and one is needed.
    Vacant,
    /// One was requested from the postmaster.
    Starting,
    Running,
    /// None is needed: the database does not have the extension.
    Absent,
    /// It yielded its process to another database: one is needed when something changes, or at `wake_at`.
    Dormant,
}

/// The word and the bit of a source's mark.
pub fn mark(source: i32) -> (usize, u64) {
    let number = source.rem_euclid(MARKS) as usize;
    (number / 64, 1 << (number % 64))
}

impl Slot {
    pub fn database(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.database.load(SeqCst))
    }

    pub fn is_free(&self) -> bool {
        self.database() == pg_sys::InvalidOid
    }

    /// Gives the slot to a database, or to none. Only the launcher does, and only while no process serves it.
    pub fn assign(&self, database: pg_sys::Oid) {
        self.database.store(0, SeqCst);
        self.set_phase(Phase::Vacant);
        self.held_until.store(0, SeqCst);
        let flags = [&self.failed, &self.wants_worker, &self.ticking, &self.drained];
        flags.iter().for_each(|flag| flag.store(false, SeqCst));
        self.clear_marks(&[u64::MAX; WORDS]);
        self.take_requested();
        self.database.store(database.to_u32(), SeqCst);
    }

    pub fn phase(&self) -> Phase {
        let phases = [Phase::Vacant, Phase::Starting, Phase::Running, Phase::Absent, Phase::Dormant];
        phases[self.phase.load(SeqCst) as usize % phases.len()]
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u32, SeqCst);
    }

    /// Moves from one phase to another; false if the slot is in a third one.
    pub fn transition(&self, from: Phase, to: Phase) -> bool {
        self.phase.compare_exchange(from as u32, to as u32, SeqCst, SeqCst).is_ok()
    }

    /// Whether it has a scheduler, or one that was requested.
    pub fn has_scheduler(&self) -> bool {
        matches!(self.phase(), Phase::Running | Phase::Starting)
    }

    pub fn held_until(&self) -> i64 {
        self.held_until.load(SeqCst)
    }

    pub fn hold(&self, until: i64) {
        self.held_until.store(until, SeqCst);
    }

    /// Leaves the database without a scheduler until something changes or until this time; its own is about to end.
    pub fn sleep(&self, wake_at: i64) {
        self.wake_at.store(wake_at, SeqCst);
        self.set_phase(Phase::Dormant);
    }

    pub fn wake_at(&self) -> i64 {
        self.wake_at.load(SeqCst)
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    pub fn next_generation(&self) {
        self.generation.fetch_add(1, SeqCst);
    }

    /// Marks sources as changed by a transaction; true when one of them was not marked yet. Microseconds since the Unix epoch.
    ///
    /// The fence orders the writer's commit before its read of the marks, as [`Slot::clear_marks`] orders clearing them
    /// before the reader's snapshot: if a writer finds its mark set and does nothing, that snapshot sees its commit.
    pub fn mark(&self, sources: &[i32], committed_at: i64) -> bool {
        fence(SeqCst);
        let mut is_new = false;
        for source in sources {
            let (word, bit) = mark(*source);
            if self.marks[word].load(SeqCst) & bit == 0 {
                self.marked_at[source.rem_euclid(MARKS) as usize].store(committed_at, SeqCst);
                is_new |= self.marks[word].fetch_or(bit, SeqCst) & bit == 0;
            }
        }
        is_new
    }

    pub fn mark_all(&self, committed_at: i64) {
        self.marked_at.iter().for_each(|at| at.store(committed_at, SeqCst));
        self.marks.iter().for_each(|word| word.store(u64::MAX, SeqCst));
    }

    /// When a source that is marked was changed first; it may have been another one with the same mark.
    pub fn changed_since(&self, source: i32) -> Option<i64> {
        let (word, bit) = mark(source);
        (self.marks[word].load(SeqCst) & bit != 0).then(|| self.marked_at(source))
    }

    /// When the mark with this number was set.
    pub fn marked_at(&self, number: i32) -> i64 {
        self.marked_at[number.rem_euclid(MARKS) as usize].load(SeqCst)
    }

    /// Requests a refresh, unless too many are requested.
    pub fn request(&self, id: i32) {
        let mut places = self.requested.iter();
        if places.all(|place| place.load(SeqCst) != id) {
            self.requested.iter().any(|place| place.compare_exchange(0, id, SeqCst, SeqCst).is_ok());
        }
    }

    /// The requested stream tables, since the last call.
    pub fn take_requested(&self) -> Vec<i32> {
        let taken = self.requested.iter().map(|place| if place.load(SeqCst) == 0 { 0 } else { place.swap(0, SeqCst) });
        taken.filter(|id| *id != 0).collect()
    }

    pub fn marks(&self) -> Marks {
        std::array::from_fn(|word| self.marks[word].load(SeqCst))
    }

    /// Clears these marks and returns those of them that were set. To be called before the snapshot that reads the changes.
    pub fn clear_marks(&self, which: &Marks) -> Marks {
        let cleared = std::array::from_fn(|word| self.marks[word].fetch_and(!which[word], SeqCst) & which[word]);
        fence(SeqCst);
        cleared
    }
}
