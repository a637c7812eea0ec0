//! Wakes the scheduler and the launcher when a commit changes something for them.
//!
//! **Invariant:** no change is lost. A mark is set before the latch, and the scheduler clears marks before it takes the
//! snapshot that reads the changes. Without shared memory everything here does nothing.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Once;
use std::sync::atomic::Ordering::SeqCst;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;

use crate::pg::bgworker::{self, EPOCH};
use crate::pg::shmem::{Phase, Shared, Signal, Slot, Stage, my_database, shared};
use crate::pg::xact::{self, Top};
use crate::pg::{counters, writes};

/// What a transaction changed, as far as the workers are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The list of databases.
    Databases = 1,
    /// The catalog of stream tables, or the extension itself.
    Catalog = 2,
    /// Objects that queries may depend on.
    Everything = 4,
    /// Rows of unknown sources.
    Rows = 8,
}

/// A set of [`Change`]s.
type Changes = u32;

thread_local! {
    static PENDING: Cell<Changes> = const { Cell::new(0) };
    /// Committed, to be published as soon as locks are released and invalidations are sent.
    static COMMITTED: Cell<Changes> = const { Cell::new(0) };
    static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static HELD: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// The slot of this process's database.
fn my_slot() -> Option<&'static Slot> {
    let database = my_database();
    if let Some(slot) = SLOT.get().filter(|slot| slot.database() == database) {
        return Some(slot);
    }
    let slot = shared().filter(|_| database != pg_sys::InvalidOid).and_then(|shared| shared.slot(database));
    SLOT.set(slot);
    slot
}

/// Announces that this transaction is about to write changes of a source.
pub fn source_changes(source: i32) {
    if let Some(shared) = shared() {
        shared.writers.raise(my_database(), source, xact::top_xid());
    }
}

/// Announces that this transaction changes definitions of stream tables, or their tables.
pub fn definitions_change() {
    if let Some(shared) = shared() {
        shared.writers.raise_all(xact::top_xid());
    }
}

/// Whether every change of a definition that this server has seen since its start was made by an older transaction than this one.
pub fn definitions_are_older_than(xid: u64) -> bool {
    shared().is_some_and(|shared| !xact::is_in_recovery() && shared.writers.newest_of_catalog() < xid)
}

/// Publishes that rows of these sources have been committed. For `XACT_EVENT_COMMIT`: raises no error and allocates
/// nothing. A scheduler whose marks are set already is not woken again.
pub fn sources_changed(sources: &[i32]) {
    // SAFETY: the time of this commit, which the server has just written to its log.
    let committed_at = unsafe { pg_sys::GetCurrentTransactionStopTimestamp() };
    let xid = xact::top_xid_if_any();
    xid.into_iter().for_each(writes::committed);
    if let (Some(shared), Some(xid)) = (shared(), xid) {
        shared.moments.note(xid, committed_at);
    }
    if let Some(slot) = my_slot()
        && slot.mark(sources, committed_at + EPOCH)
    {
        wake(slot);
    }
}

/// Wakes the scheduler of a slot, or has one started where it yielded its process. Marks are set before.
fn wake(slot: &Slot) {
    slot.scheduler.wake();
    if slot.transition(Phase::Dormant, Phase::Vacant) {
        wake_launcher();
    }
}

/// At commit, has the scheduler read the catalog again, or one started where there is none.
pub fn catalog_changed() {
    at_commit(Change::Catalog);
}

/// Publishes a change of this transaction once it has committed.
pub fn at_commit(change: Change) {
    // Only a transaction with an id changes anything.
    if let (Some(shared), Some(xid), Change::Catalog | Change::Everything) = (shared(), xact::top_xid_if_any(), change)
    {
        shared.writers.raise_all(xid);
    }
    if change == Change::Rows {
        writes::commits_prepared();
        shared().into_iter().for_each(|shared| shared.writers.raise_prepared(xact::next_xid() - 1));
    }
    let is_served = || my_slot().is_some_and(|slot| slot.has_scheduler() || slot.phase() == Phase::Dormant);
    if shared().is_some() && (matches!(change, Change::Databases | Change::Catalog) || is_served()) {
        follow_transactions();
        PENDING.set(PENDING.get() | change as Changes);
    }
}

/// Has the scheduler refresh a stream table now, with all that it reads, if it is behind. Where too many are requested it is for the
/// caller to try again.
pub fn request_refresh(id: i32) {
    if let Some(slot) = my_slot().filter(|_| !xact::is_in_recovery()) {
        slot.request(id);
        wake(slot);
    }
}

/// Broadcast when a refresh in this database has committed.
pub fn refreshed() -> Option<&'static Signal> {
    my_slot().map(|slot| &slot.refreshed)
}

/// Whether refreshes may not begin in the background of this database.
pub fn is_draining() -> bool {
    my_slot().is_some_and(|slot| slot.drained.load(SeqCst))
}

/// The newest transaction that wrote changes of a source which a snapshot sees that was taken before.
pub fn newest_change(source: i32) -> u64 {
    shared().map_or(u64::MAX, |shared| shared.writers.newest_change(my_database(), source))
}

/// What transactions have written of some sources, or are about to write, as numbers that grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The newest transaction that wrote changes of one of them.
    pub newest: u64,
    writes: u64,
    definitions: u64,
}

/// A transaction that is newer than all that began before the server started; none without shared memory.
pub fn first_transaction() -> Option<u64> {
    Some(shared()?.writers.first(xact::next_xid()))
}

/// What was written of these sources by now; none without shared memory, and on a standby, where nothing counts it.
pub fn written(sources: &[i32]) -> Option<Written> {
    let Shared { writers, .. } = shared().filter(|_| !xact::is_in_recovery())?;
    let (database, definitions) = (my_database(), writers.newest_of_catalog());
    let newest = sources.iter().map(|source| writers.newest(database, *source)).max().unwrap_or(definitions);
    let writes = sources.iter().map(|source| writers.writes(database, *source)).sum();
    Some(Written { newest, writes, definitions })
}

/// Forbids or allows refreshes to begin in the background of this database; false where it has no scheduler.
pub fn set_drained(drained: bool) -> bool {
    let slot = my_slot();
    if let Some(slot) = slot {
        slot.drained.store(drained, SeqCst);
        wake(slot);
    }
    slot.is_some()
}

/// Whether no refresh may begin in the background, and none is running.
pub fn is_drained() -> bool {
    let Some((shared, slot)) = shared().zip(my_slot()) else { return false };
    let has_scheduler = slot.scheduler.is_running();
    let ticking = has_scheduler && slot.ticking.load(SeqCst);
    let mut workers = shared.workers_of(slot.database()).filter(|worker| worker.stage() == Stage::Assigned);
    slot.drained.load(SeqCst) && !ticking && !workers.any(|worker| has_scheduler || worker.process.is_running())
}

/// Keeps workers out of a database until the end of this transaction, or `until` at the latest.
pub fn hold(slot: &'static Slot, until: i64) {
    follow_transactions();
    slot.hold(until);
    HELD.set(Some(slot));
}

fn follow_transactions() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        xact::observe(at_end, |_| ());
        // SAFETY: the callback lives as long as the process and touches nothing but atomics and cells.
        unsafe { pg_sys::RegisterResourceReleaseCallback(Some(at_release), std::ptr::null_mut()) };
    });
}

fn at_end(event: Top) {
    match event {
        Top::PreCommit => {}
        Top::Commit => {
            let changes = PENDING.take();
            COMMITTED.set(changes);
            // A tick that waits for our locks can then see the new generation as soon as it has them.
            if changes & !(Change::Databases as Changes) != 0
                && let Some(slot) = my_slot()
            {
                slot.next_generation();
            }
        }
        // COMMIT PREPARED publishes what a prepared transaction did.
        Top::Abort | Top::Prepared => PENDING.set(0),
    }
}

/// Runs later than the commit event: a process woken here meets no lock of ours and has been sent our invalidations.
unsafe extern "C-unwind" fn at_release(
    phase: pg_sys::ResourceReleasePhase::Type,
    is_commit: bool,
    is_top_level: bool,
    _arg: *mut c_void,
) {
    if !is_top_level || phase != pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_AFTER_LOCKS {
        return;
    }
    if is_commit {
        publish(COMMITTED.take());
    }
    if let Some(slot) = HELD.take() {
        slot.hold(0);
        wake_launcher();
    }
}

fn publish(changes: Changes) {
    let has = |change: Change| changes & change as Changes != 0;
    let all_changed = has(Change::Everything) || has(Change::Rows);
    let in_database = has(Change::Catalog) || all_changed;
    if has(Change::Databases) || in_database && my_slot().is_none() {
        if let Some(shared) = shared() {
            shared.databases_changed.store(true, SeqCst);
        }
        wake_launcher();
    }
    let Some(slot) = my_slot().filter(|_| in_database) else { return };
    if has(Change::Rows) {
        counters::prepared_transaction_committed();
    }
    if all_changed {
        slot.mark_all(bgworker::now());
    }
    slot.next_generation();
    // The scheduler sets `Absent` before it reads the generation for the last time.
    if slot.transition(Phase::Absent, Phase::Vacant) || slot.phase() == Phase::Vacant {
        wake_launcher();
    }
    wake(slot);
}

/// Whether the server has preloaded this library, so that all its processes have it.
pub fn has_shared_memory() -> bool {
    shared().is_some()
}

/// Has the launcher check the slots.
pub fn wake_launcher() {
    if let Some(shared) = shared() {
        shared.launcher.wake();
    }
}

/// When a transaction that changed a source committed, if that is still known.
pub fn committed_at(xid: u64) -> Option<TimestampWithTimeZone> {
    shared()?.moments.of(xid)?.try_into().ok()
}
