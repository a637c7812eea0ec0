//! Runs a closure in a subtransaction, which an error rolls back; the error becomes a value. Done as in PL/pgSQL's exception
//! blocks (`exec_stmt_block`).

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, pg_sys};

use crate::error::{Error, Report, Result};

/// Runs `f` in a subtransaction: released when it returns `Ok`, rolled back otherwise.
pub fn subtransaction<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    within(f, Result::is_ok)
}

/// Runs `f` in a subtransaction that is always rolled back: for reads, whose locks would otherwise be held until the end of
/// the transaction.
pub fn rolled_back<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    within(f, |_| false)
}

fn within<R>(f: impl FnOnce() -> Result<R>, keeps: impl FnOnce(&Result<R>) -> bool) -> Result<R> {
    // SAFETY: memory context and resource owner are restored after the subtransaction's end, because the server leaves them
    // pointing into it.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = caught(f);
        match keeps(&result) {
            true => pg_sys::ReleaseCurrentSubTransaction(),
            false => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}

/// Runs `f` and returns a server error or panic as a value; after one the (sub)transaction has to be aborted.
pub fn caught<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let mut once = Some(f);
    PgTryBuilder::new(AssertUnwindSafe(|| match once.take() {
        Some(f) => f(),
        None => Err(Error::Bug("a guarded closure ran twice")),
    }))
    .catch_others(|error| Err(from_caught(error)))
    .catch_rust_panic(|error| Err(from_caught(error)))
    .execute()
}

fn from_caught(error: CaughtError) -> Error {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = error;
    Error::Report(Box::new(Report {
        code: report.sql_error_code(),
        message: report.message().to_owned(),
        detail: report.detail().map(str::to_owned),
        hint: report.hint().map(str::to_owned),
    }))
}
