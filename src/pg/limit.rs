//! The timeout of a refresh, which ends it as a cancelled statement ends. See `utils/misc/timeout.c`.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::pg_sys;

use crate::pg::defer::Defer;

/// The first timeout id that is left to extensions.
#[cfg(any(feature = "pg15", feature = "pg16"))]
const USER_TIMEOUT: c_int = 12;
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
const USER_TIMEOUT: c_int = 13;

unsafe extern "C-unwind" {
    fn RegisterTimeout(id: c_int, handler: unsafe extern "C-unwind" fn()) -> c_int;
    fn enable_timeout_after(id: c_int, milliseconds: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// The timeout has fired.
static FIRED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Our timeout, once it is registered.
    static TIMEOUT: Cell<Option<c_int>> = const { Cell::new(None) };
    /// The limit that was exceeded last, until it is read.
    static EXCEEDED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Called from the signal handler of the server's timer.
unsafe extern "C-unwind" fn on_timeout() {
    FIRED.store(true, Ordering::SeqCst);
    // SAFETY: flags that signal handlers set.
    unsafe {
        pg_sys::InterruptPending = 1;
        pg_sys::QueryCancelPending = 1;
    }
}

/// A new timeout of this process; the server calls `handler` in its signal handler.
pub fn register_timeout(handler: unsafe extern "C-unwind" fn()) -> c_int {
    // SAFETY: the server's own function, called as it calls it; the handler lives as long as the process.
    unsafe { RegisterTimeout(USER_TIMEOUT, handler) }
}

/// Runs `f` and cancels it after this time; zero means no limit.
pub fn within<R>(limit: Duration, f: impl FnOnce() -> R) -> R {
    if limit.is_zero() {
        return f();
    }
    // SAFETY: the server's own functions, called as it calls them; the handler lives as long as the process.
    let timeout = TIMEOUT.get().unwrap_or_else(|| register_timeout(on_timeout));
    TIMEOUT.set(Some(timeout));
    FIRED.store(false, Ordering::SeqCst);
    let _disable = Defer(|| {
        // SAFETY: enabled below. If `f` has ended all the same, the statement is not cancelled.
        unsafe { disable_timeout(timeout, false) };
        if FIRED.swap(false, Ordering::SeqCst) {
            EXCEEDED.set(Some(limit));
            if !std::thread::panicking() {
                // SAFETY: a flag that signal handlers set.
                unsafe { pg_sys::QueryCancelPending = 0 };
            }
        }
    });
    // SAFETY: as above.
    unsafe { enable_timeout_after(timeout, limit.as_millis().clamp(1, i32::MAX as u128) as c_int) };
    f()
}

/// The limit that was exceeded since the last call.
pub fn exceeded() -> Option<Duration> {
    EXCEEDED.take()
}
