//! Exempts the statements by which a refresh writes a table of ours from its guard. See `executor/execMain.c` and
//! `commands/trigger.c`.
//!
//! **Invariant:** the guard of a stream table refuses every row. The refresh's own statement, recognised by the address of
//! its text, does not fire it; a statement within that one, in triggers, checks or operators of users, does. So the guard
//! costs a refresh nothing, and no flag disables it meanwhile.
//!
//! The AFTER triggers of users fire once all of a delta is applied, deferrable ones included: the refresh runs as a
//! security-restricted operation, which must not leave triggers to the end of the transaction, where they would run with
//! other rights.

use std::cell::Cell;
use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::defer::Defer;
use crate::pg::{node, progress};

thread_local! {
    /// The text of our statement that is about to start.
    static OWN: Cell<*const c_char> = const { Cell::new(std::ptr::null()) };
}

static mut PREVIOUS: pg_sys::ExecutorStart_hook_type = None;
static mut PREVIOUS_END: pg_sys::ExecutorEnd_hook_type = None;

// Without pgrx's guard, as for utility statements: errors pass as they are.
mod raw {
    use super::{c_int, pg_sys};
    unsafe extern "C-unwind" {
        pub fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
        pub fn standard_ExecutorEnd(query: *mut pg_sys::QueryDesc);
    }
}

/// Installs the hooks; to be called once, when the library is loaded.
pub fn install() {
    // SAFETY: by the one thread of a process; each hook chains to the one before it.
    unsafe {
        PREVIOUS = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(executor_start);
        PREVIOUS_END = pg_sys::ExecutorEnd_hook;
        pg_sys::ExecutorEnd_hook = Some(executor_end);
    }
}

/// **Invariant:** nothing in this frame has a destructor, as errors of the statement jump over it.
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: the arguments are the server's own, passed on unchanged.
    unsafe {
        PREVIOUS.unwrap_or(raw::standard_ExecutorStart)(query, flags);
        progress::started((*query).estate);
        let own = OWN.get();
        if !own.is_null() && (*query).sourceText == own {
            OWN.set(std::ptr::null());
            release((*query).estate);
        }
    }
}

unsafe extern "C-unwind" fn executor_end(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the argument is the server's own, passed on unchanged.
    unsafe {
        progress::ended((*query).estate);
        PREVIOUS_END.unwrap_or(raw::standard_ExecutorEnd)(query);
    }
}

/// Disables BEFORE row triggers, of which a stream table has only the guard, and deferral in the started statement's own
/// copy of the triggers of its tables.
unsafe fn release(state: *mut pg_sys::EState) {
    // SAFETY: result relations of a started statement, each with its own copy of the triggers, or null.
    unsafe {
        for relation in node::pointers::<pg_sys::ResultRelInfo>((*state).es_opened_result_relations) {
            let Some(triggers) = (*relation).ri_TrigDesc.as_mut() else { continue };
            triggers.trig_insert_before_row = false;
            triggers.trig_update_before_row = false;
            triggers.trig_delete_before_row = false;
            for place in 0..triggers.numtriggers.max(0) as usize {
                let trigger = triggers.triggers.add(place);
                (*trigger).tgdeferrable = false;
                (*trigger).tginitdeferred = false;
            }
        }
    }
}

/// Runs `f`, which starts our statement with this text.
pub(super) fn own<R>(text: *const c_char, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let _forget = Defer(|| OWN.set(std::ptr::null()));
    OWN.set(text);
    f()
}

/// Runs `f`, and at its end the AFTER triggers of what its own statements wrote, as if they were one statement.
pub fn as_one<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: the level opened here is closed below, or by the abort of the (sub)transaction. The server creates the state
    // that triggers need.
    unsafe {
        pg_sys::AfterTriggerBeginQuery();
        let result = f()?;
        pg_sys::AfterTriggerEndQuery(std::ptr::null_mut());
        Ok(result)
    }
}
