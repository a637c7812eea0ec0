//! What utility statements mean to the workers: they make room for statements that need a database to
//! themselves, and are woken where a commit changes what they know.

use std::time::Duration;

use crate::pg::hooks::{self, Effect, Room, Utility};
use crate::pg::{bgworker, database, wake};

/// How long a statement waits for a worker to leave. It ends at its next interrupt check.
const PATIENCE: Duration = Duration::from_secs(10);

/// Installs the utility hook where there are workers.
pub fn init() {
    if bgworker::preloading() {
        hooks::install(before);
    }
}

fn before(utility: &Utility) {
    match &utility.vacates {
        Some(Room::Database(name)) => database::vacate(database::owned(name), PATIENCE),
        Some(Room::Extension) => database::vacate(database::of_owned_extension(), PATIENCE),
        None => {}
    }
    match utility.effect {
        Effect::Nothing => {}
        Effect::Databases => wake::databases_changed(),
        Effect::Extension => wake::catalog_changed(),
        Effect::CommitPrepared | Effect::Objects => wake::everything_changed(),
    }
}
