//! What utility statements mean to the workers: they make room for statements that need a database to
//! themselves, and are woken where a commit changes what they know.

use std::collections::BTreeMap;
use std::time::Duration;

use pgrx::pg_sys::{AccessExclusiveLock, Oid, RelationRelationId};

use crate::catalog::{self, source, stream_table};
use crate::pg::hooks::{self, Effect, Room, Utility};
use crate::pg::spi::{self, Session};
use crate::pg::{applying, bgworker, database, object, planner, relation, wake};
use crate::refresh;

/// How long a statement waits for a worker to leave. It ends at its next interrupt check.
const PATIENCE: Duration = Duration::from_secs(10);

/// Installs the utility hook where there are workers, and everywhere the one of the planner.
pub fn init() {
    planner::install();
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

/// What drops or alters stream tables does not wait for refreshes of them, and none begins until its end. It takes the
/// locks in the order of refreshes. Whoever may not do it is about to be told so.
fn end_refreshes(tables: &[Oid]) {
    let owned = || tables.iter().filter(|table| object::owns(RelationRelationId, **table));
    if owned().next().is_none() {
        return;
    }
    let read = |session: &Session| owned().map(|table| stream_table::id_of(session, *table)).collect();
    let found: Vec<Option<i32>> = catalog::quietly(|| spi::connect(None, read)).unwrap_or_default();
    let found: BTreeMap<i32, Oid> =
        found.into_iter().zip(owned()).filter_map(|(id, table)| Some((id?, *table))).collect();
    found.into_iter().for_each(|(id, table)| refresh::lock_ending_refresh(id, table));
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
    end_refreshes(&utility.tables);
    match utility.effect {
        Effect::Nothing => {}
        Effect::Databases => wake::databases_changed(),
        Effect::Extension => wake::catalog_changed(),
        Effect::CommitPrepared | Effect::Objects => wake::everything_changed(),
    }
}
