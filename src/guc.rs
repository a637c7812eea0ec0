//! The settings of the extension. Each has somebody who would set it.

use std::ffi::CString;
use std::time::Duration;

use ivm::schedule::Schedule;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::setting;
use crate::pg::shmem::SEATS;

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static MAX_CONSECUTIVE_ERRORS: GucSetting<i32> = GucSetting::<i32>::new(3);
static MAX_PARALLEL_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(4);
static MAX_BUFFER_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1 << 30);
static REFRESH_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(0);
static DEFAULT_SCHEDULE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"1s"));

/// Makes the settings known to the server.
pub fn init() {
    GucRegistry::define_bool_guc(
        c"pg_trickle.enabled",
        c"Refreshes stream tables in the background.",
        c"Turning it off stops all background workers of pg_trickle. Changes are captured all the same.",
        &ENABLED,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.max_consecutive_errors",
        c"Suspends a stream table after this many failed refreshes in a row.",
        c"Errors that go away by themselves, such as deadlocks, are not counted.",
        &MAX_CONSECUTIVE_ERRORS,
        1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.max_parallel_workers",
        c"The most workers that refresh stream tables beside the schedulers, on the whole server.",
        c"They are started where refreshes take long, and some of max_worker_processes are always left to others. \
          With 0 the scheduler of each database does everything itself.",
        &MAX_PARALLEL_WORKERS,
        0,
        SEATS as i32,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.max_buffer_bytes",
        c"Keeps changes for stream tables that are not refreshed until a change buffer is larger than this.",
        c"Then those that are paused or suspended are recomputed when they are resumed. -1 keeps everything.",
        &MAX_BUFFER_BYTES,
        -1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"pg_trickle.refresh_timeout",
        c"Cancels the refresh of a stream table that takes longer than this.",
        c"It counts as a failure. A stream table may have a limit of its own. 0 turns the limit off.",
        &REFRESH_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    setting::define_checked::<DefaultSchedule>(
        c"pg_trickle.default_schedule",
        c"What the schedule \"calculated\" stands for where no other stream table reads the table.",
        c"A duration such as \"1s\" or a cron expression.",
        &DEFAULT_SCHEDULE,
        GucContext::Sighup,
    );
    setting::reserve_prefix(c"pg_trickle");
}

/// Whether the workers are to run.
pub fn enabled() -> bool {
    ENABLED.get()
}

/// How many failures in a row suspend a stream table.
pub fn max_consecutive_errors() -> i32 {
    MAX_CONSECUTIVE_ERRORS.get()
}

/// How many workers the pool may have.
pub fn max_parallel_workers() -> usize {
    MAX_PARALLEL_WORKERS.get().max(0) as usize
}

/// How large a change buffer may grow for stream tables that are not refreshed; `None`: as large as it gets.
pub fn max_buffer_bytes() -> Option<i64> {
    Some(i64::from(MAX_BUFFER_BYTES.get())).filter(|bytes| *bytes >= 0)
}

/// How long the refresh of a stream table may take that has no limit of its own; zero: as long as it takes.
pub fn refresh_timeout() -> Duration {
    Duration::from_millis(REFRESH_TIMEOUT.get().max(0) as u64)
}

/// What `'calculated'` means for a stream table that no other reads.
pub fn default_schedule() -> Schedule {
    const FALLBACK: Schedule = Schedule::Every(1_000_000);
    let text = DEFAULT_SCHEDULE.get().and_then(|text| text.into_string().ok());
    text.and_then(|text| Schedule::parse_default(&text).ok()).unwrap_or(FALLBACK)
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
