//! The progress of refreshes: in shared memory, and for a user's statement in `pg_stat_activity` ahead of its text. Background
//! workers have their own text there.
//!
//! While a long statement runs a timer copies the number of its rows from the executor's state.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::SeqCst;

use monitor::cell::Cell as _;
use monitor::progress::{self, Phase, Progress, Shown};
use pgrx::pg_sys;

use crate::pg::bgworker;
use crate::pg::defer::Defer;
use crate::pg::limit::register_timeout;
use crate::pg::shmem::{my_database, shared};

/// A statement with a lower cost, in units of the planner, is over before a reader looks.
const LONG: f64 = 50_000.0;
/// How often its rows are copied, in milliseconds.
const EVERY: c_int = 250;

unsafe extern "C-unwind" {
    fn enable_timeout_every(id: c_int, first: pg_sys::TimestampTz, milliseconds: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// The entry of the refresh that runs in this process.
static ENTRY: AtomicPtr<Progress> = AtomicPtr::new(null_mut());
/// The number of rows in the executor's state of the statement that runs.
static ROWS: AtomicPtr<u64> = AtomicPtr::new(null_mut());

thread_local! {
    /// The next statement of this process that starts is the one whose rows are to be copied.
    static AWAITED: Cell<bool> = const { Cell::new(false) };
    static TIMEOUT: Cell<Option<c_int>> = const { Cell::new(None) };
    static CLEANS_UP: Cell<bool> = const { Cell::new(false) };
}

fn entry() -> Option<&'static Progress> {
    // SAFETY: null, or an entry of shared memory, which is mapped for the life of the process.
    unsafe { ENTRY.load(SeqCst).as_ref() }
}

/// Runs `f`, the refresh of a relation, and shows it meanwhile; `what` as for [`during`].
pub fn refreshing<R>(relation: pg_sys::Oid, what: impl FnOnce() -> String, f: impl FnOnce() -> R) -> R {
    let outer = ENTRY.load(SeqCst);
    // SAFETY: a plain variable of this process.
    let pid = unsafe { pg_sys::MyProcPid };
    let object = (my_database().to_u32(), relation.to_u32());
    let entry = shared().and_then(|shared| progress::begin(&shared.progress, pid, object, bgworker::now()));
    if entry.is_some() && !CLEANS_UP.replace(true) {
        // SAFETY: the callback lives as long as the process.
        unsafe { pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::from(0usize)) };
    }
    ENTRY.store(entry.map_or(null_mut(), |entry| std::ptr::from_ref(entry).cast_mut()), SeqCst);
    let _end = Defer(|| {
        entry.into_iter().for_each(Progress::end);
        ENTRY.store(outer, SeqCst);
    });
    during(what, f)
}

/// A process that ends by FATAL leaves no entry behind.
unsafe extern "C-unwind" fn at_exit(_code: c_int, _argument: pg_sys::Datum) {
    entry().into_iter().for_each(Progress::end);
}

/// The refresh that runs enters a phase.
pub fn enter(phase: Phase) {
    entry().into_iter().for_each(|entry| entry.enter(phase));
}

/// Runs `f`, a statement of the refresh that is expected to cost this and to process so many rows.
pub fn statement<R>(cost: f64, rows: f64, f: impl FnOnce() -> R) -> R {
    let Some(entry) = entry().filter(|_| cost >= LONG) else { return f() };
    entry.expect(rows.max(0.0) as u64);
    let timeout = TIMEOUT.get().unwrap_or_else(|| register_timeout(on_timeout));
    TIMEOUT.set(Some(timeout));
    AWAITED.set(true);
    let _disable = Defer(|| {
        // SAFETY: enabled below.
        unsafe { disable_timeout(timeout, false) };
        AWAITED.set(false);
        ROWS.store(null_mut(), SeqCst);
    });
    // SAFETY: the server's own function, called as it calls it; the handler lives as long as the process.
    unsafe { enable_timeout_every(timeout, pg_sys::GetCurrentTimestamp() + i64::from(EVERY) * 1000, EVERY) };
    f()
}

/// Called from the signal handler of the server's timer: copies a number.
unsafe extern "C-unwind" fn on_timeout() {
    // SAFETY: null, or in the state of a statement that has not ended: `ended` is called before that is freed.
    if let (Some(rows), Some(entry)) = (unsafe { ROWS.load(SeqCst).as_ref() }, entry()) {
        entry.rows.set(rows);
    }
}

/// The executor has started a statement.
///
/// # Safety
/// `state` is its state.
pub unsafe fn started(state: *mut pg_sys::EState) {
    if AWAITED.replace(false) {
        // SAFETY: by contract.
        ROWS.store(unsafe { &raw mut (*state).es_processed }, SeqCst);
    }
}

/// The executor is about to free the state of a statement.
pub fn ended(state: *mut pg_sys::EState) {
    // SAFETY: the address of a field, which is not read.
    if !ROWS.load(SeqCst).is_null() && ROWS.load(SeqCst) == unsafe { &raw mut (*state).es_processed } {
        ROWS.store(null_mut(), SeqCst);
    }
}

/// The refreshes that run in this database.
pub fn all() -> Vec<Shown> {
    let mine = |shown: &Shown| shown.database == my_database().to_u32();
    shared().into_iter().flat_map(|shared| shared.progress.iter().filter_map(Progress::read)).filter(mine).collect()
}

/// Runs `f` and shows `what` in `pg_stat_activity` meanwhile, where it is a part of a user's statement.
pub fn during<R>(what: impl FnOnce() -> String, f: impl FnOnce() -> R) -> R {
    // SAFETY: null, or the text of the statement that the client sent, which lives as long as the statement runs.
    let statement = unsafe { pg_sys::debug_query_string };
    if statement.is_null() {
        return f();
    }
    // SAFETY: as above, NUL-terminated.
    let text = unsafe { CStr::from_ptr(statement) }.to_bytes();
    let Ok(text) = CString::new([what().as_bytes(), b": ", text].concat()) else { return f() };
    // SAFETY: the server copies the text.
    let show = |text: *const c_char| unsafe {
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text);
    };
    show(text.as_ptr());
    let _restore = Defer(|| show(statement));
    f()
}
