//! Failures of refreshes that could not be recorded in the catalog: they stay in shared memory until the stream table is
//! refreshed, or a failure of it is recorded.

use monitor::failures::Failed;

use crate::error::Error;
use crate::pg::bgworker;
use crate::pg::shmem::{my_database, shared};

/// Keeps the last failure of a stream table.
pub fn note(table: i32, error: &Error) {
    if let Some(shared) = shared() {
        let (database, at) = (my_database().to_u32(), bgworker::now());
        let (sqlstate, message) = (error.sqlstate(), error.in_full());
        shared.failures.note(&Failed { database, table, at, count: 0, sqlstate, message });
    }
}

/// Removes the failure of a stream table.
pub fn forget(table: i32) {
    if let Some(shared) = shared() {
        shared.failures.forget(my_database().to_u32(), table);
    }
}

/// The failures of this database's stream tables.
pub fn all() -> Vec<Failed> {
    shared().map_or_else(Vec::new, |shared| shared.failures.of(my_database().to_u32()))
}
