//! What this transaction is writing: statements that have not ended, and the last command that wrote what live reads depend on.
//!
//! The rows of a statement are in their tables before the statement's triggers have captured all of them. Between a statement's start and
//! its end, and under a snapshot that is older than the last change, captured changes are not what the tables show. See
//! `executor/execMain.c`, `commands/trigger.c`.

use std::cell::{Cell, RefCell};

use pgrx::{direct_function_call, pg_sys};

use crate::pg::xact::{self, Sub, Top};

thread_local! {
    /// The nest levels in which statements that write have started and not ended.
    static OPEN: RefCell<Vec<i32>> = const { RefCell::new(vec![]) };
    /// The command after the last one that changed something.
    static CHANGED: Cell<u32> = const { Cell::new(0) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

mod raw {
    // Without a guard, because it is called for every captured row and only reads a variable.
    unsafe extern "C-unwind" {
        pub fn GetCurrentCommandId(used: bool) -> u32;
    }
}

/// A command changes what live reads depend on: rows of sources, or stream tables.
#[inline]
pub fn note() {
    // SAFETY: reads a variable of this backend.
    CHANGED.set(unsafe { raw::GetCurrentCommandId(false) } + 1);
    if !REGISTERED.get() {
        register();
    }
}

/// Whether what was captured may not be what a snapshot shows that sees the commands before this one.
pub fn is_ahead_of(command: u32) -> bool {
    CHANGED.get() > command || is_writing()
}

/// Whether a statement writes now, or a trigger runs.
pub fn is_writing() -> bool {
    OPEN.with_borrow(|open| !open.is_empty()) || is_in_trigger()
}

/// Whether a trigger runs: what fired it may be no statement, as in a worker that applies changes of a publication.
fn is_in_trigger() -> bool {
    // SAFETY: a function without arguments that reads a variable.
    unsafe { direct_function_call::<i32>(pg_sys::pg_trigger_depth, &[]) }.is_some_and(|depth| depth > 0)
}

/// Whether a statement changes rows.
pub(super) unsafe fn writes(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: a statement has a plan.
    unsafe { (*query).operation != pg_sys::CmdType::CMD_SELECT || (*(*query).plannedstmt).hasModifyingCTE }
}

/// A statement that writes has started.
pub fn open() {
    register();
    OPEN.with_borrow_mut(|open| open.push(xact::nest_level()));
}

/// The statement that started last has ended, and its triggers have fired.
pub fn close() {
    OPEN.with_borrow_mut(|open| open.pop());
}

fn register() {
    if !REGISTERED.replace(true) {
        xact::observe(on_top, on_sub);
    }
}

fn on_top(event: Top) {
    if event != Top::PreCommit {
        CHANGED.set(0);
        OPEN.with_borrow_mut(Vec::clear);
    }
}

fn on_sub(event: Sub) {
    if event == Sub::Abort {
        let nest = xact::nest_level();
        OPEN.with_borrow_mut(|open| open.retain(|level| *level < nest));
    }
}
