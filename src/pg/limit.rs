//! A limit of time for what a refresh does. It ends as a cancelled statement does. See `utils/misc/timeout.c`.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::pg_sys;

/// The first reason for a timeout that is left to extensions.
#[cfg(any(feature = "pg15", feature = "pg16"))]
const USER_TIMEOUT: c_int = 12;
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
const USER_TIMEOUT: c_int = 13;

unsafe extern "C-unwind" {
    fn RegisterTimeout(id: c_int, handler: unsafe extern "C-unwind" fn()) -> c_int;
    fn enable_timeout_after(id: c_int, milliseconds: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// The time is over.
static OVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Our own reason, once it is registered.
    static REASON: Cell<Option<c_int>> = const { Cell::new(None) };
    /// The limit that was exceeded last.
    static EXCEEDED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Called from the signal handler of the server's timer.
unsafe extern "C-unwind" fn on_timeout() {
    OVER.store(true, Ordering::SeqCst);
    // SAFETY: flags that signal handlers set.
    unsafe {
        pg_sys::InterruptPending = 1;
        pg_sys::QueryCancelPending = 1;
    }
}

/// Ends the time, however `f` ends.
struct Running {
    reason: c_int,
    limit: Duration,
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: enabled before. A statement that came to its end in time is not cancelled for it.
        unsafe {
            disable_timeout(self.reason, false);
            if OVER.swap(false, Ordering::SeqCst) {
                EXCEEDED.set(Some(self.limit));
                if !std::thread::panicking() {
                    pg_sys::QueryCancelPending = 0;
                }
            }
        }
    }
}

/// Runs `f`, which is cancelled when the time is over; zero means that there is no limit.
pub fn within<R>(limit: Duration, f: impl FnOnce() -> R) -> R {
    if limit.is_zero() {
        return f();
    }
    // SAFETY: the server's own functions, called as it calls them; the handler lives as long as the process.
    let reason = REASON.get().unwrap_or_else(|| unsafe { RegisterTimeout(USER_TIMEOUT, on_timeout) });
    REASON.set(Some(reason));
    OVER.store(false, Ordering::SeqCst);
    let running = Running { reason, limit };
    // SAFETY: as above.
    unsafe { enable_timeout_after(reason, limit.as_millis().clamp(1, i32::MAX as u128) as c_int) };
    let result = f();
    drop(running);
    result
}

/// The limit that was exceeded since this was asked last.
pub fn exceeded() -> Option<Duration> {
    EXCEEDED.take()
}
