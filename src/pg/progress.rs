//! The progress of a user's statement, shown in `pg_stat_activity` ahead of its text. Background workers have their own.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

/// Restores the text of the statement, however it ends.
struct Restored(*const c_char);

impl Drop for Restored {
    fn drop(&mut self) {
        // SAFETY: the text lives as long as the statement runs; the server copies it.
        unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, self.0) };
    }
}

/// Runs `f` and shows `what` meanwhile.
pub fn during<R>(what: impl FnOnce() -> String, f: impl FnOnce() -> R) -> R {
    // SAFETY: null, or the text of the statement that the client sent.
    let statement = unsafe { pg_sys::debug_query_string };
    if statement.is_null() {
        return f();
    }
    // SAFETY: as above, NUL-terminated.
    let text = unsafe { CStr::from_ptr(statement) }.to_bytes();
    let text = [what().into_bytes(), b": ".to_vec(), text.to_vec()].concat();
    let restored = CString::new(text).ok().map(|text| {
        // SAFETY: the server copies the text.
        unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr()) };
        Restored(statement)
    });
    let result = f();
    drop(restored);
    result
}
