//! The progress of a user's statement, shown in `pg_stat_activity` ahead of its text. Background workers have their own.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

use crate::pg::defer::Defer;

/// Runs `f` and shows `what` meanwhile.
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
