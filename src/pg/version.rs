//! The version of the catalog against that of this library. They differ from the installation of new files until ALTER
//! EXTENSION UPDATE: then changes are captured, everything else is refused, and the workers wait.

use std::cell::Cell;

use pgrx::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;

use crate::error::{Error, Result};
use crate::pg::invalidation;

/// The version of this library, which is that of the catalog that it works with.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

thread_local! {
    /// The number of invalidations when the catalog was found to be of this version. A script that updates the extension
    /// defines objects, so each backend gets an invalidation before it can read another catalog.
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Whether the catalog is known to be of this version.
pub fn is_current() -> bool {
    invalidation::accept();
    CURRENT.get() == Some(invalidation::count())
}

/// An error where the catalog is of another version. `read` returns its version, or `None` where there is no extension.
pub fn require(read: impl FnOnce() -> Result<Option<String>>) -> Result<()> {
    if is_current() {
        return Ok(());
    }
    let count = invalidation::count();
    match read()? {
        Some(catalog) if catalog != LIBRARY => Err(mismatch(&catalog)),
        Some(_) => {
            CURRENT.set(Some(count));
            Ok(())
        }
        None => Ok(()),
    }
}

fn mismatch(catalog: &str) -> Error {
    let hint = match is_older(catalog, LIBRARY) {
        true => "Run ALTER EXTENSION pg_trickle UPDATE in this database.",
        false => "Restart the server, so that it loads the library of the installed version.",
    };
    let what = format!("the catalog of pg_trickle is of version {catalog}, the library of version {LIBRARY}");
    Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, what)
        .detail("Changes are captured; stream tables can be read, and are not refreshed.")
        .hint(hint)
}

/// Whether a version precedes another, number by number.
fn is_older(version: &str, other: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    numbers(version) < numbers(other)
}
