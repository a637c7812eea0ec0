//! What a background worker needs of the server: signals, connection, transactions, activity and statistics. See
//! `postmaster/bgworker.c` and, for a loop of this kind, `autovacuum.c`.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_int};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use monitor::usage::Usage;
use pgrx::bgworkers::{BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::{check_for_interrupts, pg_sys};

use crate::error::Result;
use crate::pg::defer::Defer;
use crate::pg::latch;
use crate::pg::setting;
use crate::pg::shmem::Process;
use crate::pg::snapshot;
use crate::pg::subxact::caught;

const LIBRARY: &str = "pg_trickle";
/// Microseconds between the epochs of Unix and of PostgreSQL's timestamps.
pub const EPOCH: i64 = 946_684_800_000_000;

/// What signals requested.
pub struct Signals {
    /// The configuration was reloaded.
    pub reloaded: bool,
    /// The process has to end.
    pub terminated: bool,
}

/// Whether the server is preloading libraries, and is not the private server of an upgrade.
pub fn preloading() -> bool {
    // SAFETY: plain variables, set by the postmaster.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress && !pg_sys::IsBinaryUpgrade }
}

/// Requests a worker without a connection to a database; `None` when the server has no process for one.
pub fn start_unconnected(name: &str, function: &str) -> Option<Started> {
    // SAFETY: a plain variable of this process.
    let me = unsafe { pg_sys::MyProcPid };
    let worker =
        BackgroundWorkerBuilder::new(name).set_library(LIBRARY).set_function(function).enable_shmem_access(None);
    worker.set_notify_pid(me).load_dynamic().ok().map(Started)
}

/// A pipe that is readable once the postmaster has ended.
pub fn postmaster_alive() -> std::io::Result<OwnedFd> {
    // SAFETY: opened by the postmaster before it started this process, which never closes it.
    let watched = unsafe { BorrowedFd::borrow_raw(pg_sys::postmaster_alive_fds[pg_sys::POSTMASTER_FD_WATCH as usize]) };
    watched.try_clone_to_owned()
}

/// Lets signals in. Their handlers are installed before.
pub fn unblock_signals() {
    // SAFETY: no handler does more than to note the signal.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() };
}

/// Reads the configuration files again.
pub fn reload_configuration() {
    // SAFETY: outside of transactions.
    unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
}

fn builder(name: &str, function: &str) -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new(name).set_library(LIBRARY).set_function(function).enable_spi_access()
}

/// Registers a worker that the postmaster starts after recovery and restarts a second after it ended.
pub fn register(name: &str, function: &str) {
    builder(name, function).set_restart_time(Some(Duration::from_secs(1))).load();
}

/// How many background workers the server can have.
pub fn max_processes() -> usize {
    // SAFETY: a plain variable, set once by the postmaster.
    unsafe { pg_sys::max_worker_processes.max(0) as usize }
}

/// A worker that was requested.
pub struct Started(DynamicBackgroundWorker);

impl Started {
    /// Whether it has ended, or will not start.
    pub fn is_over(&self) -> bool {
        matches!(self.0.pid(), Err(BackgroundWorkerStatus::Stopped | BackgroundWorkerStatus::PostmasterDied))
    }
}

impl Started {
    /// Waits within a statement until the worker has ended, and ends it if the statement is cancelled.
    pub fn await_end(self) -> Result<()> {
        // The server wakes this process when the worker starts and when it ends.
        const LONG: Duration = Duration::from_secs(60);
        let ended = caught(|| {
            while !self.is_over() {
                latch::pause(LONG);
            }
            Ok(())
        });
        if ended.is_err() {
            self.0.terminate();
        }
        ended
    }
}

/// Requests a worker with an argument; `None` when the server has no process for one.
pub fn start(name: &str, function: &str, argument: usize) -> Option<Started> {
    // SAFETY: a plain variable of this process.
    let me = unsafe { pg_sys::MyProcPid };
    let worker = builder(name, function).set_argument(Some(pg_sys::Datum::from(argument))).set_notify_pid(me);
    worker.load_dynamic().ok().map(Started)
}

// The server's own handlers: a signal must not pass through a guard that sets up error handling.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
}

/// Installs the signal handlers. SIGTERM ends the process, during a query too.
pub fn begin() {
    // SAFETY: the server's own handlers, installed before signals are unblocked.
    unsafe {
        handle(pg_sys::SIGTERM as c_int, die);
        handle(pg_sys::SIGHUP as c_int, SignalHandlerForConfigReload);
    }
    unblock_signals();
}

unsafe fn handle(signal: c_int, handler: unsafe extern "C-unwind" fn(c_int)) {
    // SAFETY: `handler` is safe to call from a signal, as the server's own are.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

/// Connects to a database as the bootstrap superuser, or to the shared catalogs alone.
pub fn connect(database: Option<pg_sys::Oid>, name: &'static CStr) {
    // SAFETY: called once, from a worker that was registered with a database connection.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            database.unwrap_or(pg_sys::InvalidOid),
            pg_sys::InvalidOid,
            0,
        );
    }
    setting::set(c"application_name", name);
}

/// A function to call, with its argument.
type Callback = (fn(usize), usize);

thread_local! {
    static AT_EXIT: Cell<Option<Callback>> = const { Cell::new(None) };
    static PROCESS: Cell<Option<&'static Process>> = const { Cell::new(None) };
}

/// What a process in a tick reports as its stream table before the first, between two, and after the last.
const NO_TABLE: pg_sys::Oid = pg_sys::Oid::from_u32(1);

/// Runs `f`, which refreshes a stream table: other processes can see that and cancel it.
pub fn refreshing<R>(relation: pg_sys::Oid, f: impl FnOnce() -> R) -> R {
    let Some(process) = PROCESS.get() else { return f() };
    let before = process.refreshing();
    process.set_refreshing(relation);
    let _restore = Defer(|| process.set_refreshing(before));
    f()
}

/// Runs `f`, a tick.
pub fn in_tick<R>(f: impl FnOnce() -> R) -> R {
    refreshing(NO_TABLE, f)
}

/// Whether this process has to leave the rest of its tick for later, by a request since the last call.
pub fn take_yield_request() -> bool {
    PROCESS.get().is_some_and(Process::take_yield_request)
}

/// Makes this process findable for as long as it lives; exits with `code` if another one is. `at_exit` is called with the
/// argument however it ends.
pub fn claim(process: &'static Process, at_exit: fn(usize), argument: usize, code: i32) {
    if !process.claim() {
        exit(code);
    }
    AT_EXIT.set(Some((at_exit, argument)));
    PROCESS.set(Some(process));
    process.usage.idle(now());
    // SAFETY: the callback lives as long as the process; it runs before the process's entry is released.
    unsafe { pg_sys::on_shmem_exit(Some(run_at_exit), pg_sys::Datum::from(0usize)) };
}

unsafe extern "C-unwind" fn run_at_exit(_code: c_int, _argument: pg_sys::Datum) {
    if let Some(usage) = usage() {
        usage.end(now());
    }
    if let Some((at_exit, argument)) = AT_EXIT.take() {
        at_exit(argument);
    }
}

/// Handles the signals that came in. A request to end is left to the caller, which is in no transaction.
pub fn signals() -> Signals {
    // SAFETY: flags that the server's signal handlers set.
    unsafe {
        if pg_sys::ProcDiePending != 0 {
            return Signals { reloaded: false, terminated: true };
        }
        let reloaded = pg_sys::ConfigReloadPending != 0;
        if reloaded {
            pg_sys::ConfigReloadPending = 0;
            reload_configuration();
        }
        // No statement is running that could be cancelled.
        pg_sys::QueryCancelPending = 0;
        check_for_interrupts!();
        if pg_sys::catchupInterruptPending != 0 && pg_sys::MyDatabaseId != pg_sys::InvalidOid {
            pg_sys::ProcessCatchupInterrupt();
        }
        Signals { reloaded, terminated: false }
    }
}

/// Ends the process.
pub fn exit(code: i32) -> ! {
    // SAFETY: runs the server's exit callbacks and does not return.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        pg_sys::proc_exit(code)
    }
    #[cfg(feature = "pg18")]
    unsafe {
        pg_sys::proc_exit(code);
        std::process::abort()
    }
}

/// Runs `f` in a transaction of its own, which an error of any kind rolls back.
pub fn transaction<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: the process is in no transaction, and is in none afterwards.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        let result = caught(|| {
            let result = f()?;
            pg_sys::CommitTransactionCommand();
            Ok(result)
        });
        if result.is_err() {
            pg_sys::AbortCurrentTransaction();
        }
        pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        result
    }
}

/// Runs `f` under a new snapshot. In a transaction.
pub fn with_snapshot<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: inside a transaction.
    snapshot::pushed(unsafe { pg_sys::GetTransactionSnapshot() }, f)
}

/// What is counted of this process, if it is a background worker.
pub fn usage() -> Option<&'static Usage> {
    PROCESS.get().map(|process| &process.usage)
}

/// Shows in `pg_stat_activity` what the process does; `None` when it is idle.
pub fn report(activity: Option<&str>) {
    match (usage(), activity) {
        (Some(usage), Some(_)) => usage.busy(now()),
        (Some(usage), None) => usage.idle(now()),
        (None, _) => {}
    }
    let text = activity.and_then(|text| CString::new(text).ok());
    let (state, text) = match &text {
        Some(text) => (pg_sys::BackendState::STATE_RUNNING, text.as_ptr()),
        None => (pg_sys::BackendState::STATE_IDLE, std::ptr::null()),
    };
    // SAFETY: the server copies the text.
    unsafe { pg_sys::pgstat_report_activity(state, text) };
}

/// Flushes statistics; returns how long to wait before flushing those that are still pending, if any.
pub fn flush_statistics(force: bool) -> Option<Duration> {
    // SAFETY: called outside of transactions, as the server requires.
    let pause = unsafe { pg_sys::pgstat_report_stat(force) };
    u64::try_from(pause).ok().filter(|pause| *pause > 0).map(Duration::from_millis)
}

/// The wall clock, in microseconds since the Unix epoch.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() + EPOCH }
}

/// The server's time zone, for cron expressions.
pub struct ServerZone;

impl ivm::schedule::Zone for ServerZone {
    fn offset(&self, utc: i64) -> i64 {
        // SAFETY: the zone is valid as long as the setting; the result is read at once.
        unsafe {
            let local = pg_sys::pg_localtime(&utc, pg_sys::session_timezone);
            local.as_ref().map_or(0, |local| local.tm_gmtoff)
        }
    }
}
