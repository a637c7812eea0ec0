//! Sleeping in the middle of a statement. See `storage/ipc/latch.c`.

use std::time::Duration;

use pgrx::{check_for_interrupts, pg_sys};

/// Sleeps for so long at most, to the millisecond. A cancelled statement, or one that takes too long, ends here at once.
pub fn pause(time: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = time.as_micros().div_ceil(1000).min(i32::MAX as u128) as i64;
    // SAFETY: the latch is this process's own.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    check_for_interrupts!();
}
