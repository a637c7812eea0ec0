//! Failures of refreshes that could not be written down: they stay in the memory that the server's processes share until
//! the stream table is refreshed, or one is written down.

use ivm::failures::Failed;
use pgrx::pg_sys;

use crate::pg::bgworker;
use crate::pg::shmem::shared;

fn database() -> u32 {
    // SAFETY: a plain variable of this process.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// A refresh of a stream table failed.
pub fn note(table: i32, sqlstate: &str, message: &str) {
    if let Some(shared) = shared() {
        shared.failures.note(database(), table, bgworker::now(), sqlstate, message);
    }
}

/// What was noted of a stream table does not hold any more.
pub fn forget(table: i32) {
    if let Some(shared) = shared() {
        shared.failures.forget(database(), table);
    }
}

/// What is noted of the stream tables of this database.
pub fn all() -> Vec<Failed> {
    shared().map_or_else(Vec::new, |shared| shared.failures.of(database()))
}
