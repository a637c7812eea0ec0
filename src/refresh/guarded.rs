//! Stream tables are written by their refresh alone: a statement trigger refuses everybody else.

use std::cell::Cell;

use pgrx::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;

use crate::error::{Error, Result};

thread_local! {
    static APPLYING: Cell<u32> = const { Cell::new(0) };
}

/// Runs `f` as the refresh: the guard lets its statements pass.
pub fn applying<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    struct Leave(u32);
    impl Drop for Leave {
        fn drop(&mut self) {
            APPLYING.set(self.0);
        }
    }
    let leave = Leave(APPLYING.get());
    APPLYING.set(leave.0 + 1);
    let result = f();
    drop(leave);
    result
}

/// The body of the guard trigger of table `name`.
pub fn guard_trigger(name: &str) -> Result<()> {
    match APPLYING.get() > 0 {
        true => Ok(()),
        false => {
            Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, format!("cannot change stream table \"{name}\""))
                .detail("Its rows always are the result of its query.")
                .hint("Change the tables that the query reads."))
        }
    }
}
