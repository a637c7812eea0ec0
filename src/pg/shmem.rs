//! Memory that the server's processes share: a slot per database and one per worker of the pool, fixed in size, made of
//! atomics and of condition variables, which are set up with the memory. All-zero atomics are a valid empty state, so a restart
//! after a crash needs no repair.

use std::ptr::null_mut;
use std::slice::from_raw_parts;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};

use monitor::failures::Failures;
use monitor::moments::Moments;
use monitor::progress::{Progress, REFRESHES};
use monitor::rows::Owner;
use monitor::sources::SourceRow;
use monitor::tables::TableRow;
use monitor::{Counters, DATABASES, Memory as Counted};
use pgrx::shmem::PgSharedMemoryInitialization;
use pgrx::{pg_guard, pg_sys};

mod database;
mod process;
mod signal;
mod worker;
mod writers;

pub use database::{MARKS, Marks, Phase, Slot, mark};
pub use process::Process;
pub use signal::Signal;
pub use worker::{MAX_TICK_TABLES, Stage, WorkerSlot};
use writers::Writers;

/// Databases that can have a scheduler, or be known to need none, at the same time.
pub const SLOTS: usize = DATABASES;
/// Workers that the pool can have.
pub const WORKERS: usize = 16;
/// Counters of inserts into pages of change buffers. Pages that share a counter are read more often than needed.
pub const PAGE_INSERT_COUNTERS: usize = 8192;
/// The same of segments of consecutive pages.
pub const SEGMENT_INSERT_COUNTERS: usize = 4096;

/// Identifies the layout of the memory: no other version of the library has it.
const LAYOUT: u64 =
    layout(env!("CARGO_PKG_VERSION"), size_of::<Shared>() + size_of::<TableRow>() + size_of::<SourceRow>());

/// FNV-1a of a version and a size; never 0, which is memory that no library has set up.
const fn layout(version: &str, size: usize) -> u64 {
    let (text, mut hash, mut at) = (version.as_bytes(), 0xcbf2_9ce4_8422_2325_u64 ^ size as u64, 0);
    while at < text.len() {
        hash = (hash ^ text[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash | 1
}

#[repr(C)]
pub struct Shared {
    /// [`LAYOUT`] of the library that set it up.
    layout: AtomicU64,
    /// Rows for stream tables, and as many for sources, which follow in memory; then their owners.
    rows: AtomicUsize,
    pub launcher: Process,
    pub exporter: Process,
    /// The launcher has to read the list of databases again.
    pub databases_changed: AtomicBool,
    /// A database waits for a worker process: one of the schedulers has to yield its own.
    pub scheduler_wanted: AtomicBool,
    /// It was logged that the pool has fewer processes than it may have.
    pub logged_few_workers: AtomicBool,
    pub slots: [Slot; SLOTS],
    pub workers: [WorkerSlot; WORKERS],
    /// Inserts into pages of change buffers, by a hash of the page.
    pub page_inserts: [AtomicU64; PAGE_INSERT_COUNTERS],
    pub writers: Writers,
    pub segment_inserts: [AtomicU64; SEGMENT_INSERT_COUNTERS],
    /// When transactions that changed a source committed.
    pub moments: Moments,
    /// Failures of refreshes that could not be recorded in the catalog.
    pub failures: Failures,
    counters: Counters,
    pub progress: [Progress; REFRESHES],
}

/// The bytes of the memory with so many rows.
fn size(rows: usize) -> usize {
    size_of::<Shared>() + rows * (size_of::<TableRow>() + size_of::<SourceRow>() + 2 * size_of::<Owner>())
}

/// How many rows the memory is requested with.
static ROWS: AtomicUsize = AtomicUsize::new(0);
static SHARED: AtomicPtr<Shared> = AtomicPtr::new(null_mut());
static MEMORY: Memory = Memory;

struct Memory;

impl PgSharedMemoryInitialization for Memory {
    type Value = ();

    unsafe fn on_shmem_request(&'static self) {
        // SAFETY: called by the request hook.
        unsafe { pg_sys::RequestAddinShmemSpace(size(ROWS.load(Acquire))) };
    }

    unsafe fn on_shmem_startup(&'static self, _: ()) {
        let mut found = false;
        // SAFETY: the postmaster runs this before there is any other process, at start and again after a crash; the server
        // aligns the memory to cache lines.
        unsafe {
            let rows = ROWS.load(Acquire);
            let memory = pg_sys::ShmemInitStruct(c"pg_trickle".as_ptr(), size(rows), &mut found);
            if !found {
                memory.cast::<u8>().write_bytes(0, size(rows));
                (*memory.cast::<Shared>()).rows.store(rows, Release);
                (*memory.cast::<Shared>()).slots.iter().for_each(|slot| slot.refreshed.init());
                (*memory.cast::<Shared>()).layout.store(LAYOUT, Release);
            }
            SHARED.store(memory.cast(), Release);
        }
    }
}

/// Requests the memory with so many rows of stream tables, and of sources; to be called while the server preloads libraries.
#[allow(unexpected_cfgs)] // The macro names majors of the server that we are not built for.
pub fn init(rows: usize) {
    ROWS.store(rows, Release);
    pgrx::pg_shmem_init!(MEMORY);
}

/// The shared memory; none where the library was not preloaded, or where another version of it set the memory up.
pub fn shared() -> Option<&'static Shared> {
    // SAFETY: set once by the postmaster, mapped for the life of every process, only atomics inside. Every version has the
    // layout first.
    unsafe { SHARED.load(Acquire).as_ref() }.filter(|shared| shared.layout.load(Acquire) == LAYOUT)
}

/// The database of this process.
pub fn my_database() -> pg_sys::Oid {
    // SAFETY: a plain variable of this process.
    unsafe { pg_sys::MyDatabaseId }
}

impl Shared {
    /// Everything that is counted.
    pub fn counters(&'static self) -> Counted<'static> {
        let rows = self.rows.load(Acquire);
        // SAFETY: the memory has these rows behind `self`, aligned as it is, made of atomics, for which zero is valid.
        unsafe {
            let tables = std::ptr::from_ref(self).add(1).cast::<TableRow>();
            let sources = tables.add(rows).cast::<SourceRow>();
            let owners = from_raw_parts(sources.add(rows).cast::<Owner>(), 2 * rows);
            self.counters.with(from_raw_parts(tables, rows), from_raw_parts(sources, rows), owners)
        }
    }

    /// The slot of a database.
    pub fn slot(&self, database: pg_sys::Oid) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.database() == database)
    }

    /// The slots of databases, with their numbers.
    pub fn used_slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_free())
    }

    /// The slots of workers that are reserved for a database.
    pub fn workers_of(&self, database: pg_sys::Oid) -> impl Iterator<Item = &WorkerSlot> {
        self.workers.iter().filter(move |worker| worker.database() == database)
    }

    /// The processes of a database: its scheduler and its workers of the pool.
    pub fn processes_of(&self, database: pg_sys::Oid) -> impl Iterator<Item = &Process> {
        let scheduler = self.slot(database).map(|slot| &slot.scheduler);
        scheduler.into_iter().chain(self.workers_of(database).map(|worker| &worker.process))
    }
}
