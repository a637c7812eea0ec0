//! Timeouts of a refresh and of a part of it, which end it as a cancelled statement ends. See `utils/misc/timeout.c`.

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

/// What is limited; each has a timeout of its own.
#[derive(Clone, Copy)]
pub enum Limited {
    /// A refresh, which fails.
    Refresh,
    /// A delta, whose caller recomputes.
    Delta,
}

/// The timeout has fired.
static FIRED: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

thread_local! {
    /// Our timeouts, once they are registered.
    static TIMEOUTS: [Cell<Option<c_int>>; 2] = const { [const { Cell::new(None) }; 2] };
    /// The limits that were exceeded last, until they are read.
    static EXCEEDED: [Cell<Option<Duration>>; 2] = const { [const { Cell::new(None) }; 2] };
}

/// Called from the signal handler of the server's timer.
unsafe extern "C-unwind" fn on_refresh() {
    FIRED[Limited::Refresh as usize].store(true, Ordering::SeqCst);
    // SAFETY: flags that signal handlers set.
    unsafe {
        pg_sys::InterruptPending = 1;
        pg_sys::QueryCancelPending = 1;
    }
}

/// As above. A statement that is being cancelled already is cancelled for that reason.
unsafe extern "C-unwind" fn on_delta() {
    // SAFETY: as above.
    unsafe {
        if pg_sys::QueryCancelPending == 0 {
            FIRED[Limited::Delta as usize].store(true, Ordering::SeqCst);
            pg_sys::InterruptPending = 1;
            pg_sys::QueryCancelPending = 1;
        }
    }
}

/// A new timeout of this process; the server calls `handler` in its signal handler.
pub fn register_timeout(handler: unsafe extern "C-unwind" fn()) -> c_int {
    // SAFETY: the server's own function, called as it calls it; the handler lives as long as the process.
    unsafe { RegisterTimeout(USER_TIMEOUT, handler) }
}

/// Runs `f` and cancels it after this time; zero means no limit.
pub fn within<R>(what: Limited, limit: Duration, f: impl FnOnce() -> R) -> R {
    if limit.is_zero() {
        return f();
    }
    let _disable = enable(what, limit);
    f()
}

/// Enables a timeout until the result is dropped. Apart from [`within`], which is compiled again for each closure.
#[inline(never)]
fn enable(what: Limited, limit: Duration) -> Defer<impl FnMut()> {
    let at = what as usize;
    let timeout = TIMEOUTS.with(|timeouts| {
        let handler = match what {
            Limited::Refresh => on_refresh,
            Limited::Delta => on_delta as unsafe extern "C-unwind" fn(),
        };
        let timeout = timeouts[at].get().unwrap_or_else(|| register_timeout(handler));
        timeouts[at].set(Some(timeout));
        timeout
    });
    FIRED[at].store(false, Ordering::SeqCst);
    let disable = Defer(move || {
        // SAFETY: enabled below. If `f` has ended all the same, the statement is not cancelled.
        unsafe { disable_timeout(timeout, false) };
        if FIRED[at].swap(false, Ordering::SeqCst) {
            EXCEEDED.with(|exceeded| exceeded[at].set(Some(limit)));
            if !std::thread::panicking() {
                // SAFETY: a flag that signal handlers set.
                unsafe { pg_sys::QueryCancelPending = 0 };
            }
        }
    });
    // SAFETY: as above.
    unsafe { enable_timeout_after(timeout, limit.as_millis().clamp(1, i32::MAX as u128) as c_int) };
    disable
}

/// The limit that was exceeded since the last call.
pub fn exceeded(what: Limited) -> Option<Duration> {
    EXCEEDED.with(|exceeded| exceeded[what as usize].take())
}

/// Whether the time of what runs is over.
pub fn is_over(what: Limited) -> bool {
    FIRED[what as usize].load(Ordering::SeqCst)
}
