//! News on their way to the scheduler and the launcher.
//!
//! **Invariant:** nothing is lost. A mark is set before the latch, and the scheduler clears marks before it
//! takes the snapshot that reads the changes. Without shared memory everything here does nothing.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Once;
use std::sync::atomic::Ordering;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};

use crate::pg::shmem::{Phase, Seat, Slot, Stage, shared};
use crate::pg::xact;

/// What a transaction has to tell once it has committed.
#[derive(Clone, Copy, Default)]
struct News {
    /// The catalog of stream tables changed.
    catalog: bool,
    /// Anything may have changed: objects that queries depend on, or rows of unknown sources.
    everything: bool,
    /// The list of databases changed.
    databases: bool,
}

thread_local! {
    static PENDING: Cell<News> = const { Cell::new(News::NONE) };
    /// Committed, to be told as soon as locks are released and invalidations sent.
    static COMMITTED: Cell<News> = const { Cell::new(News::NONE) };
    static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static HELD: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

impl News {
    const NONE: News = News { catalog: false, everything: false, databases: false };
}

/// The slot of this process's database.
fn my_slot() -> Option<&'static Slot> {
    // SAFETY: a plain variable of this process.
    let database = unsafe { pg_sys::MyDatabaseId };
    if let Some(slot) = SLOT.get().filter(|slot| slot.database() == database) {
        return Some(slot);
    }
    let slot = shared().filter(|_| database != pg_sys::InvalidOid).and_then(|shared| shared.slot(database));
    SLOT.set(slot);
    slot
}

/// Tells that rows of these sources have been committed. For `XACT_EVENT_COMMIT`: raises no error and
/// allocates nothing. A scheduler that knows already is left asleep.
pub fn sources_changed(sources: &[i32]) {
    if let (Some(shared), Some(xid)) = (shared(), xact::top_xid_if_any()) {
        // SAFETY: the time of this commit, which the server has just written to its log.
        shared.moments.note(xid, unsafe { pg_sys::GetCurrentTransactionStopTimestamp() });
    }
    if let Some(slot) = my_slot()
        && slot.mark(sources)
    {
        rouse(slot);
    }
}

/// Wakes the scheduler of a slot, or has one started that made room for others. Marks are set before.
fn rouse(slot: &Slot) {
    slot.worker.ring();
    if slot.turn(Phase::Dormant, Phase::Vacant) {
        ring_launcher();
    }
}

/// At commit, lets the scheduler read the catalog again; starts one where there is none.
pub fn catalog_changed() {
    tell(|news| news.catalog = true);
}

/// At commit, lets the scheduler look at every stream table, and at the catalog.
pub fn everything_changed() {
    if my_slot().is_some_and(|slot| matches!(slot.phase(), Phase::Running | Phase::Starting | Phase::Dormant)) {
        tell(|news| news.everything = true);
    }
}

/// At commit, lets the launcher read the list of databases again.
pub fn databases_changed() {
    tell(|news| news.databases = true);
}

/// Lets no refresh begin in this database, or lets them again; false where there is nobody to hear it.
pub fn drain(drained: bool) -> bool {
    let slot = my_slot();
    if let Some(slot) = slot {
        slot.drained.store(drained, Ordering::SeqCst);
        rouse(slot);
    }
    slot.is_some()
}

/// Whether none may begin and none is under way.
pub fn drained() -> bool {
    let Some((shared, slot)) = shared().zip(my_slot()) else { return false };
    let scheduler = slot.worker.pid().is_some();
    let working = scheduler && slot.ticking.load(Ordering::SeqCst);
    let busy = |(_, seat): (usize, &Seat)| seat.stage() == Stage::Given && (scheduler || seat.worker.pid().is_some());
    slot.drained.load(Ordering::SeqCst) && !working && !shared.seats_of(slot.database()).any(busy)
}

/// Keeps workers out of a database until the end of this transaction, or `until` at the latest.
pub fn hold(slot: &'static Slot, until: i64) {
    follow_transactions();
    slot.hold(until);
    HELD.set(Some(slot));
}

fn tell(change: impl FnOnce(&mut News)) {
    if shared().is_some() {
        follow_transactions();
        let mut news = PENDING.get();
        change(&mut news);
        PENDING.set(news);
    }
}

fn follow_transactions() {
    static ONCE: Once = Once::new();
    // SAFETY: both callbacks live as long as the process and touch nothing but atomics and cells.
    ONCE.call_once(|| unsafe {
        pg_sys::RegisterXactCallback(Some(at_transaction_event), std::ptr::null_mut());
        pg_sys::RegisterResourceReleaseCallback(Some(at_release), std::ptr::null_mut());
    });
}

unsafe extern "C-unwind" fn at_transaction_event(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    match event {
        XACT_EVENT_COMMIT => {
            let news = PENDING.take();
            COMMITTED.set(news);
            // A tick that waits for our locks can tell what happened to it as soon as it has them.
            if (news.catalog || news.everything)
                && let Some(slot) = my_slot()
            {
                slot.next_generation();
            }
        }
        // What a prepared transaction did is told by whoever commits it.
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => PENDING.set(News::NONE),
        _ => {}
    }
}

/// Later than the commit event: who is woken here finds no lock of ours and has been sent our invalidations.
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
        ring_launcher();
    }
}

fn publish(news: News) {
    if news.databases {
        request_attention();
    }
    if !news.catalog && !news.everything {
        return;
    }
    let Some(slot) = my_slot() else { return request_attention() };
    if news.everything {
        slot.mark_all();
    }
    slot.next_generation();
    // The scheduler says that it is not needed before it looks at the generation for the last time.
    if slot.turn(Phase::Absent, Phase::Vacant) || slot.phase() == Phase::Vacant {
        ring_launcher();
    }
    rouse(slot);
}

fn request_attention() {
    if let Some(shared) = shared() {
        shared.attention.store(true, Ordering::SeqCst);
        shared.launcher.ring();
    }
}

/// Lets the launcher look at the slots.
pub fn ring_launcher() {
    if let Some(shared) = shared() {
        shared.launcher.ring();
    }
}

/// When a transaction that changed a source committed, as far as that is remembered.
pub fn committed_at(xid: u64) -> Option<TimestampWithTimeZone> {
    shared()?.moments.of(xid)?.try_into().ok()
}
