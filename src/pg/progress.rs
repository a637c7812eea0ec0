//! What a statement of a user is at, in `pg_stat_activity`, ahead of its own text. Background workers report by themselves.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

/// Puts the text of the statement back, however it ends.
struct Restored(*const c_char);

impl Drop for Restored {
    fn drop(&mut self) {
        // SAFETY: the server keeps the text for as long as the statement runs, and copies it.
        unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, self.0) };
    }
}

/// Runs `f`, which does `what`.
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
