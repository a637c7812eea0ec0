//! What utility statements mean to the workers: they make room for statements that need a database to
//! themselves, and are woken where a commit changes what they know.

use std::time::Duration;

use pgrx::pg_sys::AccessExclusiveLock;

use crate::catalog::{self, source};
use crate::pg::hooks::{self, Effect, Room, Utility};
use crate::pg::{applying, bgworker, database, relation, spi, statistics, wake};

/// How long a statement waits for a worker to leave. It ends at its next interrupt check.
const PATIENCE: Duration = Duration::from_secs(10);

/// Installs the utility hook where there are workers, and everywhere the one of the planner.
pub fn init() {
    statistics::install();
    applying::install();
    if bgworker::preloading() {
        hooks::install(before);
    }
}

/// Writers lock a source and then its change buffer; dropping the extension would lock the buffer first and
/// meet them half-way. Without a catalog to read there is nothing to lock.
fn lock_sources() {
    let read = || spi::connect(None, source::all);
    for source in catalog::quietly(read).unwrap_or_default() {
        relation::lock(source.relid, AccessExclusiveLock);
    }
}

fn before(utility: &Utility) {
    match &utility.vacates {
        Some(Room::Database(name)) => database::vacate(database::owned(name), PATIENCE),
        Some(Room::Extension) => {
            let database = database::of_owned_extension();
            database::vacate(database, PATIENCE);
            if database.is_some() {
                lock_sources();
            }
        }
        None => {}
    }
    match utility.effect {
        Effect::Nothing => {}
        Effect::Databases => wake::databases_changed(),
        Effect::Extension => wake::catalog_changed(),
        Effect::CommitPrepared | Effect::Objects => wake::everything_changed(),
    }
}
