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
    let outer = Outer::leave();
    let result = caught(f);
    outer.resume(keeps(&result));
    result
}

/// Where the enclosing (sub)transaction allocates: the server leaves memory context and resource owner pointing into a
/// subtransaction that ended. Apart from [`within`], which is compiled again for each closure.
struct Outer {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Outer {
    /// Begins a subtransaction.
    #[inline(never)]
    fn leave() -> Outer {
        // SAFETY: plain state of this backend.
        unsafe {
            let outer = Outer { context: pg_sys::CurrentMemoryContext, owner: pg_sys::CurrentResourceOwner };
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::MemoryContextSwitchTo(outer.context);
            outer
        }
    }

    /// Releases the subtransaction or rolls it back.
    #[inline(never)]
    fn resume(self, keep: bool) {
        // SAFETY: the subtransaction of `leave`; context and owner outlive it.
        unsafe {
            match keep {
                true => pg_sys::ReleaseCurrentSubTransaction(),
                false => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
            }
            pg_sys::MemoryContextSwitchTo(self.context);
            pg_sys::CurrentResourceOwner = self.owner;
        }
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
