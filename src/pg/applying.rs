//! The statements by which a refresh writes a table of ours, told from all others. See `executor/execMain.c` and
//! `commands/trigger.c`.
//!
//! **Invariant:** the guard of a stream table refuses every row. The refresh's own statement, known by the very text that
//! the server runs it from, does not fire it; whatever runs inside of that statement, in triggers, checks or operators of
//! users, does. So the guard costs a refresh nothing, and no flag stands open meanwhile.
//!
//! The triggers that users may have put behind the rows fire once all of a delta is applied, deferrable ones included: the
//! refresh runs as a security-restricted operation, which may leave nothing to the end of the transaction, where it would
//! run with other rights.

use std::cell::Cell;
use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::list;

thread_local! {
    /// The text of the statement of ours that is about to start.
    static OWN: Cell<*const c_char> = const { Cell::new(std::ptr::null()) };
}

static mut PREVIOUS: pg_sys::ExecutorStart_hook_type = None;

// Without pgrx's guard, as for utility statements: errors pass as they are.
mod raw {
    use super::{c_int, pg_sys};
    unsafe extern "C-unwind" {
        pub fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
    }
}

/// Has our own statements recognised as they start. To be called once, as the library is loaded.
pub fn install() {
    // SAFETY: by the one thread of a process; the hook chains to what was there.
    unsafe {
        PREVIOUS = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(executor_start);
    }
}

/// **Invariant:** nothing in this frame has a destructor, as errors of the statement jump over it.
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: the arguments are the server's own, passed on unchanged.
    unsafe {
        match PREVIOUS {
            Some(previous) => previous(query, flags),
            None => raw::standard_ExecutorStart(query, flags),
        }
        let own = OWN.get();
        if !own.is_null() && (*query).sourceText == own {
            OWN.set(std::ptr::null());
            release((*query).estate);
        }
    }
}

/// Takes the guard off the tables that a started statement writes, in its own copy of their triggers. No other trigger
/// fires before rows of a stream table; those behind them are not put off.
unsafe fn release(state: *mut pg_sys::EState) {
    // SAFETY: result relations of a started statement, each with its own copy of the triggers or none.
    unsafe {
        for relation in list::pointers::<pg_sys::ResultRelInfo>((*state).es_opened_result_relations) {
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

/// Runs `f`, which starts the statement with this text, as ours.
pub(super) fn own<R>(text: *const c_char, f: impl FnOnce() -> Result<R>) -> Result<R> {
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            OWN.set(std::ptr::null());
        }
    }
    let _forget = Forget;
    OWN.set(text);
    f()
}

/// Runs `f`, and at its end the triggers behind what its own statements wrote: to them it is one statement.
pub fn as_one<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: the level opened here is closed below, or by the abort of the (sub)transaction. The server makes the state
    // that triggers need itself.
    unsafe {
        pg_sys::AfterTriggerBeginQuery();
        let result = f()?;
        pg_sys::AfterTriggerEndQuery(std::ptr::null_mut());
        Ok(result)
    }
}
