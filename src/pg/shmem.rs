//! What the server's processes share: one slot per database and one seat per worker of the pool, fixed in size,
//! nothing but atomics.
//!
//! A slot carries the news from writers to their scheduler and says who works for the database; a seat carries a
//! tick from a scheduler to a worker, and back how it went. Memory that is all zero is a valid empty state, so a
//! restart after a crash needs no repair.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

use ivm::failures::Failures;
use ivm::moments::Moments;
use pgrx::pg_sys;

/// Databases that can have a scheduler, or be known to need none, at the same time.
pub const SLOTS: usize = 128;
/// Workers that the pool can have.
pub const SEATS: usize = 16;
/// Stream tables in one tick of the pool.
pub const TABLES: usize = 256;
const STAGES: u32 = 5;
/// Counts of rows that came to pages of change buffers; a page that shares its own is looked at more often.
pub const STIRS: usize = 8192;
/// Sources are told apart modulo this.
pub const BITS: i32 = 256;
const WORDS: usize = BITS as usize / 64;

/// Which sources changed, modulo [`BITS`].
pub type Bits = [u64; WORDS];

/// Everything that is shared.
#[repr(C)]
pub struct Shared {
    pub launcher: Post,
    /// The launcher should read the list of databases again.
    pub attention: AtomicBool,
    pub slots: [Slot; SLOTS],
    pub seats: [Seat; SEATS],
    /// Rows that came to pages of change buffers, by a hash of the page.
    pub stirs: [AtomicU64; STIRS],
    /// When transactions that changed a source committed.
    pub moments: Moments,
    /// Failures of refreshes that could not be written down.
    pub failures: Failures,
}

/// The part of one database.
#[repr(C)]
pub struct Slot {
    /// Its oid; 0 while the slot is free.
    database: AtomicU32,
    phase: AtomicU32,
    pub worker: Post,
    /// No worker may be in the database before this time.
    held_until: AtomicI64,
    /// Moves when the catalog changed.
    generation: AtomicU64,
    changed: [AtomicU64; WORDS],
    /// When a dormant one has something to do by itself.
    wake_at: AtomicI64,
    /// Another database waits for the place of its scheduler.
    pub wanted: AtomicBool,
    /// Its scheduler waits for a worker of the pool.
    pub hungry: AtomicBool,
    /// Its scheduler is in a tick.
    pub ticking: AtomicBool,
    /// No refresh may begin: its scheduler waits until that is over.
    pub drained: AtomicBool,
}

/// The part of one worker of the pool.
#[repr(C)]
pub struct Seat {
    /// The database that it works for; 0 while the seat is free.
    database: AtomicU32,
    /// The stage, and above it a ticket that moves with every reservation: whoever holds an old one changes nothing.
    stage: AtomicU32,
    pub worker: Post,
    count: AtomicU32,
    tables: [Task; TABLES],
}

/// One stream table of a tick of the pool.
#[repr(C)]
struct Task {
    id: AtomicI32,
    fate: AtomicU32,
    /// Microseconds.
    took: AtomicI64,
}

/// Where a tick of the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    Idle,
    /// The scheduler is writing it down.
    Written,
    /// The worker is to do it, or is at it.
    Given,
    /// It is done; the scheduler is to read how it went.
    Done,
    /// There is none, and there will be none: the worker leaves.
    Leaving,
}

/// Where a process can be found: its entry in the process array (plus one) and its id.
#[repr(C)]
pub struct Post {
    entry: AtomicI32,
    pid: AtomicI32,
    /// The stream table that it refreshes at this moment, by its relation; 0 for none.
    at: AtomicU32,
    /// It is to end its tick.
    yields: AtomicBool,
}

/// What is known of a database's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has none and may need one.
    Vacant,
    /// One was asked for.
    Starting,
    /// One is at work.
    Running,
    /// It needs none: it does not have the extension.
    Absent,
    /// It made room for other databases: one is to come when something changes, or at a time that is kept.
    Dormant,
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(null_mut());
static mut PREVIOUS_REQUEST: pg_sys::shmem_request_hook_type = None;
static mut PREVIOUS_STARTUP: pg_sys::shmem_startup_hook_type = None;

/// Asks for the memory; to be called while the server preloads libraries.
pub fn init() {
    // SAFETY: the postmaster runs this alone; the hooks chain to what was there.
    unsafe {
        PREVIOUS_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        PREVIOUS_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup);
    }
}

unsafe extern "C-unwind" fn request() {
    // SAFETY: hooks are called with the signature that they were stored with.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST {
            previous();
        }
        pg_sys::RequestAddinShmemSpace(size_of::<Shared>());
    }
}

unsafe extern "C-unwind" fn startup() {
    // SAFETY: as above. The postmaster runs this before there is any other process, at start and again after
    // a crash; the server aligns what it hands out to cache lines.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP {
            previous();
        }
        let mut found = false;
        let memory = pg_sys::ShmemInitStruct(c"pg_trickle".as_ptr(), size_of::<Shared>(), &mut found).cast::<Shared>();
        if !found {
            memory.write_bytes(0, 1);
        }
        SHARED.store(memory, Ordering::Release);
    }
}

/// The shared memory; none where the library was not preloaded.
pub fn shared() -> Option<&'static Shared> {
    // SAFETY: set once by the postmaster, mapped for the life of every process, only atomics inside.
    unsafe { SHARED.load(Ordering::Acquire).as_ref() }
}

impl Shared {
    /// The slot of a database.
    pub fn slot(&self, database: pg_sys::Oid) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.database() == database)
    }
}

impl Slot {
    pub fn database(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.database.load(Ordering::SeqCst))
    }

    pub fn is_free(&self) -> bool {
        self.database() == pg_sys::InvalidOid
    }

    /// Gives the slot to a database, or to none. Only the launcher does, and only where no worker is.
    pub fn assign(&self, database: pg_sys::Oid) {
        self.database.store(0, Ordering::SeqCst);
        self.set_phase(Phase::Vacant);
        self.held_until.store(0, Ordering::SeqCst);
        [&self.wanted, &self.hungry, &self.ticking, &self.drained]
            .iter()
            .for_each(|flag| flag.store(false, Ordering::SeqCst));
        self.take_changed(&[u64::MAX; WORDS]);
        self.database.store(database.to_u32(), Ordering::SeqCst);
    }

    pub fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::SeqCst))
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u32, Ordering::SeqCst);
    }

    /// Whether it has a scheduler, or one that is about to come.
    pub fn is_there(&self) -> bool {
        !self.is_free() && matches!(self.phase(), Phase::Running | Phase::Starting)
    }

    /// Moves from one phase to another; false if it is in neither.
    pub fn turn(&self, from: Phase, to: Phase) -> bool {
        self.phase.compare_exchange(from as u32, to as u32, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Until when workers must stay away, as a timestamp; in the past when they need not.
    pub fn held_until(&self) -> i64 {
        self.held_until.load(Ordering::SeqCst)
    }

    pub fn hold(&self, until: i64) {
        self.held_until.store(until, Ordering::SeqCst);
    }

    /// Puts it to sleep until something changes, or until this time; the scheduler is about to end.
    pub fn sleep(&self, until: i64) {
        self.wake_at.store(until, Ordering::SeqCst);
        self.set_phase(Phase::Dormant);
    }

    /// When a dormant one is to be woken if nothing changes.
    pub fn wake_at(&self) -> i64 {
        self.wake_at.load(Ordering::SeqCst)
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Marks sources as changed; true when one of them was not marked yet.
    ///
    /// The fence orders the writer's commit before its look at the bits, as [`Slot::take_changed`] orders
    /// clearing them before the reader's snapshot: a writer that finds its bit set and leaves is seen by
    /// that snapshot.
    pub fn mark(&self, sources: &[i32]) -> bool {
        fence(Ordering::SeqCst);
        let mut news = false;
        for source in sources {
            let (word, bit) = place(*source);
            if self.changed[word].load(Ordering::SeqCst) & bit == 0 {
                news |= self.changed[word].fetch_or(bit, Ordering::SeqCst) & bit == 0;
            }
        }
        news
    }

    pub fn mark_all(&self) {
        self.changed.iter().for_each(|word| word.store(u64::MAX, Ordering::SeqCst));
    }

    pub fn changed(&self) -> Bits {
        std::array::from_fn(|word| self.changed[word].load(Ordering::SeqCst))
    }

    /// Clears these marks and returns those of them that were set. To be called before the snapshot that
    /// reads the changes.
    pub fn take_changed(&self, which: &Bits) -> Bits {
        let taken =
            std::array::from_fn(|word| self.changed[word].fetch_and(!which[word], Ordering::SeqCst) & which[word]);
        fence(Ordering::SeqCst);
        taken
    }
}

impl Shared {
    /// The seats of a database.
    pub fn seats_of(&self, database: pg_sys::Oid) -> impl Iterator<Item = (usize, &Seat)> {
        self.seats.iter().enumerate().filter(move |(_, seat)| seat.database() == database)
    }
}

impl Seat {
    pub fn database(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.database.load(Ordering::SeqCst))
    }

    /// Takes a free seat for a database; the ticket of the reservation.
    pub fn reserve(&self, database: pg_sys::Oid) -> Option<u32> {
        let (free, taken) = (pg_sys::InvalidOid.to_u32(), database.to_u32());
        self.database.compare_exchange(free, taken, Ordering::SeqCst, Ordering::SeqCst).ok()?;
        let ticket = self.ticket().wrapping_add(1) % (u32::MAX / STAGES);
        self.stage.store(ticket * STAGES + Stage::Idle as u32, Ordering::SeqCst);
        Some(ticket)
    }

    /// The ticket of the last reservation.
    pub fn ticket(&self) -> u32 {
        self.stage.load(Ordering::SeqCst) / STAGES
    }

    /// Gives the seat back, where no worker is: its worker does as it leaves, unless it was given something that
    /// its scheduler has not read. Then the scheduler does.
    pub fn free(&self) {
        self.database.store(pg_sys::InvalidOid.to_u32(), Ordering::SeqCst);
    }

    pub fn stage(&self) -> Stage {
        let stages = [Stage::Idle, Stage::Written, Stage::Given, Stage::Done, Stage::Leaving];
        stages[(self.stage.load(Ordering::SeqCst) % STAGES) as usize]
    }

    /// Moves from one stage to another; false if it is in neither, or if the ticket is an old one.
    pub fn turn(&self, ticket: u32, from: Stage, to: Stage) -> bool {
        let word = |stage: Stage| ticket * STAGES + stage as u32;
        self.stage.compare_exchange(word(from), word(to), Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Hands a tick over; false when the worker is leaving, or has left. At most [`TABLES`] tables.
    pub fn give(&self, ticket: u32, ids: &[i32]) -> bool {
        if !self.turn(ticket, Stage::Idle, Stage::Written) {
            return false;
        }
        for (task, id) in self.tables.iter().zip(ids) {
            task.id.store(*id, Ordering::SeqCst);
            task.fate.store(0, Ordering::SeqCst);
            task.took.store(0, Ordering::SeqCst);
        }
        self.count.store(ids.len().min(TABLES) as u32, Ordering::SeqCst);
        self.turn(ticket, Stage::Written, Stage::Given)
    }

    pub fn ids(&self) -> Vec<i32> {
        self.tasks().map(|task| task.id.load(Ordering::SeqCst)).collect()
    }

    /// Says how the tables fared, as numbers of the caller's that are not zero, and how long each took.
    pub fn answer(&self, fates: impl Iterator<Item = (u32, i64)>) {
        for (task, (fate, took)) in self.tasks().zip(fates) {
            task.took.store(took, Ordering::SeqCst);
            task.fate.store(fate, Ordering::SeqCst);
        }
    }

    /// What was answered; zero where nothing was.
    pub fn answers(&self) -> Vec<(i32, u32, i64)> {
        let read = |task: &Task| {
            let (id, fate) = (task.id.load(Ordering::SeqCst), task.fate.load(Ordering::SeqCst));
            (id, fate, task.took.load(Ordering::SeqCst))
        };
        self.tasks().map(read).collect()
    }

    fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tables.iter().take(self.count.load(Ordering::SeqCst) as usize)
    }
}

/// The word and the bit of a source.
pub fn place(source: i32) -> (usize, u64) {
    let number = source.rem_euclid(BITS) as usize;
    (number / 64, 1 << (number % 64))
}

impl Phase {
    fn from_number(number: u32) -> Phase {
        [Phase::Vacant, Phase::Starting, Phase::Running, Phase::Absent, Phase::Dormant][number as usize % 5]
    }
}

impl Post {
    /// Takes the post for this process; false while another has it.
    pub fn take(&self) -> bool {
        // SAFETY: plain variables of this process, set before any code of ours runs in it.
        let (pid, entry) = unsafe {
            let first = (*pg_sys::ProcGlobal).allProcs;
            (pg_sys::MyProcPid, pg_sys::MyProc.offset_from(first) as i32)
        };
        if self.pid.compare_exchange(0, pid, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return false;
        }
        self.entry.store(entry + 1, Ordering::SeqCst);
        true
    }

    pub fn leave(&self) {
        self.set_at(pg_sys::InvalidOid);
        self.entry.store(0, Ordering::SeqCst);
        self.pid.store(0, Ordering::SeqCst);
    }

    /// The stream table that the process refreshes.
    pub fn at(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.at.load(Ordering::SeqCst))
    }

    pub fn set_at(&self, relation: pg_sys::Oid) {
        self.at.store(relation.to_u32(), Ordering::SeqCst);
    }

    /// Asks the process to leave the rest of its tick to later.
    pub fn ask_to_yield(&self) {
        self.yields.store(true, Ordering::SeqCst);
    }

    /// Whether that was asked since the tick began, or since this was asked.
    pub fn is_to_yield(&self) -> bool {
        self.yields.swap(false, Ordering::SeqCst)
    }

    /// The process that has the post.
    pub fn pid(&self) -> Option<i32> {
        Some(self.pid.load(Ordering::SeqCst)).filter(|pid| *pid != 0)
    }

    /// Wakes whoever has the post. Should it have just been left, another process looks up once: harmless.
    pub fn ring(&self) {
        let entry = self.entry.load(Ordering::SeqCst);
        if entry > 0 {
            // SAFETY: entries are indexes of the process array, which lives as long as the server.
            unsafe { pg_sys::SetLatch(&raw mut (*(*pg_sys::ProcGlobal).allProcs.add(entry as usize - 1)).procLatch) };
        }
    }
}
