//! The hooks of the executor: what is done before a statement of anyone starts, once it has started, and when it ends. See
//! `executor/execMain.c`.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::pg::{applying, dml, maintaining, overlay, progress, reading};

static mut PREVIOUS_START: pg_sys::ExecutorStart_hook_type = None;
static mut PREVIOUS_FINISH: pg_sys::ExecutorFinish_hook_type = None;
static mut PREVIOUS_END: pg_sys::ExecutorEnd_hook_type = None;

// Without pgrx's guard, as for utility statements: errors pass as they are.
mod raw {
    use super::{c_int, pg_sys};
    unsafe extern "C-unwind" {
        pub fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
        pub fn standard_ExecutorFinish(query: *mut pg_sys::QueryDesc);
        pub fn standard_ExecutorEnd(query: *mut pg_sys::QueryDesc);
    }
}

/// Installs the hooks; to be called once, when the library is loaded.
pub fn install() {
    // SAFETY: by the one thread of a process; each hook chains to the one before it.
    unsafe {
        PREVIOUS_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(start);
        PREVIOUS_FINISH = pg_sys::ExecutorFinish_hook;
        pg_sys::ExecutorFinish_hook = Some(finish);
        PREVIOUS_END = pg_sys::ExecutorEnd_hook;
        pg_sys::ExecutorEnd_hook = Some(end);
    }
}

/// The snapshot comes before what is computed for it, and both before the statement counts as one that writes.
///
/// **Invariant:** nothing in these frames has a destructor, as errors of the statement jump over them.
unsafe extern "C-unwind" fn start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: the arguments are the server's own, passed on unchanged.
    unsafe {
        let runs = flags as u32 & pg_sys::EXEC_FLAG_EXPLAIN_ONLY == 0;
        let has_pending = runs && {
            maintaining::before_start(query);
            reading::before_start(query);
            overlay::before_start(query)
        };
        PREVIOUS_START.unwrap_or(raw::standard_ExecutorStart)(query, flags);
        progress::started((*query).estate);
        applying::started(query);
        if has_pending {
            overlay::started(query);
        }
        if runs && dml::writes(query) {
            dml::open();
        }
    }
}

unsafe extern "C-unwind" fn finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the argument is the server's own, passed on unchanged.
    unsafe {
        PREVIOUS_FINISH.unwrap_or(raw::standard_ExecutorFinish)(query);
        if dml::writes(query) {
            dml::close();
            maintaining::after_statement();
        }
    }
}

unsafe extern "C-unwind" fn end(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the argument is the server's own, passed on unchanged.
    unsafe {
        progress::ended((*query).estate);
        PREVIOUS_END.unwrap_or(raw::standard_ExecutorEnd)(query);
    }
}
