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
use std::ffi::c_char;

use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::defer::Defer;
use crate::pg::node;

thread_local! {
    /// The text of our statement that is about to start.
    static OWN: Cell<*const c_char> = const { Cell::new(std::ptr::null()) };
}

/// A statement of anyone has started.
pub(super) unsafe fn started(query: *mut pg_sys::QueryDesc) {
    // SAFETY: a started statement has its state.
    unsafe {
        let own = OWN.get();
        if !own.is_null() && (*query).sourceText == own {
            OWN.set(std::ptr::null());
            release((*query).estate);
        }
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
