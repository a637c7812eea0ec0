//! The settings of the extension.

use std::ffi::{CStr, CString};
use std::time::Duration;

use ivm::schedule::Schedule;
use monitor::http::Address;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

use crate::pg::shmem::WORKERS;
use crate::pg::{setting, writes};

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static MAX_CONSECUTIVE_ERRORS: GucSetting<i32> = GucSetting::<i32>::new(3);
static MAX_PARALLEL_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(4);
static MAX_BUFFER_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1 << 30);
static PLAN_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(32);
static REFRESH_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_COUNTED_TABLES: GucSetting<i32> = GucSetting::<i32>::new(2048);
static LOG_MIN_REFRESH_DURATION: GucSetting<i32> = GucSetting::<i32>::new(-1);
static METRICS_LISTEN: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static READ_YOUR_WRITES_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5000);
static READ_YOUR_WRITES_ON_FAILURE: GucSetting<OnFailure> = GucSetting::<OnFailure>::new(OnFailure::Error);
static DEFAULT_SCHEDULE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"1s"));

static IMMEDIATE_AT: GucSetting<ImmediateAt> = GucSetting::<ImmediateAt>::new(ImmediateAt::Auto);
static READS: GucSetting<Reads> = GucSetting::<Reads>::new(Reads::Auto);

/// Which stream tables queries read with their pending changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub enum Reads {
    #[name = c"auto"]
    Auto,
    #[name = c"stored"]
    Stored,
    #[name = c"live"]
    Live,
}

/// When a transaction maintains the stream tables that its changes concern, in mode IMMEDIATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub enum ImmediateAt {
    /// At the end of each statement where the transaction keeps its snapshot, else as `commit`.
    #[name = c"auto"]
    Auto,
    #[name = c"statement"]
    Statement,
    /// When it first reads one of them, else at its end.
    #[name = c"commit"]
    Commit,
}

/// What becomes of a statement that cannot see what it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub enum OnFailure {
    #[name = c"error"]
    Error,
    /// It reads older rows, and says so.
    #[name = c"warning"]
    Warning,
}

/// The version of this library, which scripts of updates compare with their own. Nothing can set it.
static VERSION: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(LIBRARY));
const LIBRARY: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// Defines the settings.
pub fn init() {
    GucRegistry::define_string_guc(
        c"pg_trickle.version",
        c"Shows the version of the library that this session has loaded.",
        c"The version of the extension in a database is in pg_extension.",
        &VERSION,
        GucContext::Internal,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_trickle.enabled",
        c"Refreshes stream tables in the background.",
        c"Turning it off stops all background workers of pg_trickle. Changes are still captured.",
        &ENABLED,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.max_consecutive_errors",
        c"Suspends a stream table after this many failed refreshes in a row.",
        c"Transient errors, such as deadlocks, are not counted.",
        &MAX_CONSECUTIVE_ERRORS,
        1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.max_parallel_workers",
        c"Sets the maximum number of workers that refresh stream tables, in addition to the schedulers, on the whole server.",
        c"They are started for long refreshes, and two of max_worker_processes are always left to others. \
          With 0 the scheduler of each database runs all refreshes itself.",
        &MAX_PARALLEL_WORKERS,
        0,
        WORKERS as i32,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.max_buffer_bytes",
        c"Retains the changes that a stream table has not read until they are larger than this.",
        c"After that the table is recomputed when it is refreshed again. -1 means no limit.",
        &MAX_BUFFER_BYTES,
        -1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.plan_cache_size",
        c"Sets the memory for plans of stream tables in each process that refreshes them.",
        c"Beyond that the stream tables that were not refreshed for longest are planned again.",
        &PLAN_CACHE_SIZE,
        1,
        i32::MAX >> 10,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.refresh_timeout",
        c"Cancels the refresh of a stream table that takes longer than this.",
        c"It counts as a failure. A stream table may have a timeout of its own. 0 turns the timeout off.",
        &REFRESH_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    setting::define_checked::<DefaultSchedule>(
        c"pg_trickle.default_schedule",
        c"Sets the schedule of stream tables with schedule \"calculated\" that no other stream table reads.",
        c"A duration such as \"1s\" or a cron expression.",
        &DEFAULT_SCHEDULE,
        GucContext::Sighup,
    );
    define_reading();
    define_monitoring();
    setting::reserve_prefix(c"pg_trickle");
}

fn define_reading() {
    GucRegistry::define_enum_guc(
        c"pg_trickle.immediate_at",
        c"Sets when a transaction maintains the stream tables in refresh mode IMMEDIATE over what it changes.",
        c"statement: at the end of each statement; commit: when it reads one of them, else when it commits; auto: the \
          latter in READ COMMITTED, the former in other isolation levels.",
        &IMMEDIATE_AT,
        GucContext::Userset,
        GucFlags::default(),
    );
    setting::define_of_plans(
        c"pg_trickle.reads",
        c"Sets whether queries see the pending changes of stream tables.",
        c"auto: those of live stream tables; stored: of none; live: of all.",
        &READS,
    );
    GucRegistry::define_bool_guc(
        c"pg_trickle.read_your_writes",
        c"Lets statements read stream tables only once these show what the session has committed.",
        c"Stream tables that are refreshed rarely are refreshed for it.",
        &writes::ENABLED,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.read_your_writes_timeout",
        c"Sets how long a statement waits for stream tables that it reads.",
        c"After that it fails, or reads older rows: see pg_trickle.read_your_writes_on_failure.",
        &READ_YOUR_WRITES_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_enum_guc(
        c"pg_trickle.read_your_writes_on_failure",
        c"Sets what becomes of a statement that cannot see what the session has committed.",
        c"It fails, or reads older rows with a warning.",
        &READ_YOUR_WRITES_ON_FAILURE,
        GucContext::Userset,
        GucFlags::default(),
    );
    setting::define_checked::<writes::Token>(
        c"pg_trickle.read_after",
        c"Lets statements read stream tables only once these show a transaction of any session.",
        c"A token of pgtrickle.last_write(). Empty turns it off.",
        &writes::READ_AFTER,
        GucContext::Userset,
    );
}

fn define_monitoring() {
    GucRegistry::define_int_guc(
        c"pg_trickle.log_min_refresh_duration",
        c"Logs the refreshes of stream tables that take at least this long.",
        c"0 logs all that do work. -1 turns it off.",
        &LOG_MIN_REFRESH_DURATION,
        -1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    // Elsewhere there is no shared memory, and the server refuses settings that only a start can change.
    if setting::is_server_starting() {
        GucRegistry::define_int_guc(
            c"pg_trickle.max_counted_tables",
            c"Sets the number of stream tables, and of sources, of the whole server that have counters of their own.",
            c"Others are counted together. Each takes 4 kB of shared memory.",
            &MAX_COUNTED_TABLES,
            16,
            1 << 20,
            GucContext::Postmaster,
            GucFlags::default(),
        );
    }
    setting::define_checked::<MetricsListen>(
        c"pg_trickle.metrics_listen",
        c"Sets the addresses at which metrics, health and the live page are served over HTTP.",
        c"Separated by commas, each an IP address with a port, such as 127.0.0.1:9188, or the path of a Unix socket. \
          Empty turns it off.",
        &METRICS_LISTEN,
        GucContext::Sighup,
    );
}

/// Whether the background workers run.
pub fn enabled() -> bool {
    ENABLED.get()
}

/// Bytes for the plans of stream tables in one process.
pub fn plan_cache_size() -> usize {
    (PLAN_CACHE_SIZE.get() as usize) << 20
}

/// How many failures in a row suspend a stream table.
pub fn max_consecutive_errors() -> i32 {
    MAX_CONSECUTIVE_ERRORS.get()
}

/// How queries of this session read stream tables.
pub fn reads() -> Reads {
    READS.get()
}

/// When transactions of this session maintain stream tables.
pub fn immediate_at() -> ImmediateAt {
    IMMEDIATE_AT.get()
}

/// The size of the pool.
pub fn max_parallel_workers() -> usize {
    MAX_PARALLEL_WORKERS.get().max(0) as usize
}

/// How large the unread changes of a stream table may grow; `None` means no limit.
pub fn max_buffer_bytes() -> Option<i64> {
    Some(i64::from(MAX_BUFFER_BYTES.get())).filter(|bytes| *bytes >= 0)
}

/// How long the refresh of a stream table without a timeout of its own may take; zero means no limit.
pub fn refresh_timeout() -> Duration {
    Duration::from_millis(REFRESH_TIMEOUT.get().max(0) as u64)
}

/// How long a statement waits for stream tables that it reads.
pub fn read_your_writes_timeout() -> Duration {
    Duration::from_millis(READ_YOUR_WRITES_TIMEOUT.get().max(0) as u64)
}

/// What becomes of a statement that cannot see what it must.
pub fn read_your_writes_on_failure() -> OnFailure {
    READ_YOUR_WRITES_ON_FAILURE.get()
}

/// The schedule of a `'calculated'` stream table that no other reads.
pub fn default_schedule() -> Schedule {
    const FALLBACK: Schedule = Schedule::Every(1_000_000);
    let text = DEFAULT_SCHEDULE.get().and_then(|text| text.into_string().ok());
    text.and_then(|text| Schedule::parse_default(&text).ok()).unwrap_or(FALLBACK)
}

/// From how many milliseconds on a refresh is logged; `None` means never.
pub fn log_min_refresh_duration() -> Option<f64> {
    Some(f64::from(LOG_MIN_REFRESH_DURATION.get())).filter(|least| *least >= 0.0)
}

/// How many stream tables, and how many sources, have counters of their own; one row more counts the rest.
pub fn counted_rows() -> usize {
    MAX_COUNTED_TABLES.get().max(1) as usize + 1
}

/// The addresses of the exporter.
pub fn metrics_listen() -> Vec<Address> {
    let text = METRICS_LISTEN.get().and_then(|text| text.into_string().ok()).unwrap_or_default();
    Address::parse_all(&text).unwrap_or_default()
}

struct MetricsListen;

impl setting::Check for MetricsListen {
    fn check(value: &str) -> Result<(), String> {
        Address::parse_all(value).map(|_| ())
    }
}

struct DefaultSchedule;

impl setting::Check for DefaultSchedule {
    fn check(value: &str) -> Result<(), String> {
        match Schedule::parse_default(value) {
            Ok(_) => Ok(()),
            Err(ivm::Error::Schedule { reason, .. }) => Err(reason),
            Err(error) => Err(error.to_string()),
        }
    }
}
