//! Waiting on the latch of this process. See `storage/ipc/latch.c`.

use std::time::Duration;

use pgrx::{check_for_interrupts, pg_sys};

/// Waits for the latch, or for this long.
pub fn wait(timeout: Option<Duration>) {
    let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH;
    let mut milliseconds = -1;
    if let Some(timeout) = timeout {
        events |= pg_sys::WL_TIMEOUT;
        // Rounded up, because a process that wakes early has to wait again.
        milliseconds = timeout.as_micros().div_ceil(1000).min(i32::MAX as u128) as i64;
    }
    // SAFETY: the latch is this process's own.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}

/// Waits within a statement, which may be cancelled here.
pub fn pause(time: Duration) {
    wait(Some(time));
    check_for_interrupts!();
}
