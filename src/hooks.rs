//! What utility statements do to the workers: some need a database or a stream table without them, and many change something
//! that the workers have to know once it is committed.

use std::collections::BTreeMap;
use std::time::Duration;

use ivm::sql::ident::QName;
use pgrx::pg_sys::{AccessExclusiveLock, Oid, RelationRelationId};

use crate::api::immediate;
use crate::capture;
use crate::catalog::{dependency, source, stream_table};
use crate::error::Result;
use crate::pg::lock::Lock;
use crate::pg::shmem::my_database;
use crate::pg::spi::{self, Session};
use crate::pg::utility::{self, Utility, Vacated};
use crate::pg::{bgworker, database, executor, maintaining, object, planner, reading, relation, wake};
use crate::refresh;

/// How long a statement waits for our processes to end, which they do at their next interrupt check.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Installs the hooks: that of utility statements only where there are workers.
pub fn init() {
    planner::install();
    executor::install();
    refresh::install_live_reads();
    reading::install(refresh::before_reading);
    maintaining::install(immediate::MAINTAINER);
    if bgworker::preloading() {
        utility::install(before);
    }
}

fn before(statement: &Utility) {
    match &statement.vacates {
        Some(Vacated::Database(name)) => database::vacate(database::owned(name), TIMEOUT),
        Some(Vacated::Extension) if database::owns_extension() => {
            database::vacate(Some(my_database()), TIMEOUT);
            lock_sources();
        }
        Some(Vacated::Extension) | None => {}
    }
    if let Some(needs) = statement.fixes_snapshot {
        refresh::before_fixed_snapshot(needs);
    }
    notice_restore(&statement.tables);
    cancel_refreshes(&statement.tables);
    if statement.drops {
        capture_dropped(&statement.tables);
    }
    if let Some(change) = statement.change {
        wake::at_commit(change);
    }
}

/// Captures the rows of partitions and children that their owner drops. Where that is cancelled the next refresh finds it.
fn capture_dropped(tables: &[Oid]) {
    let is_owned_part = |table: &Oid| relation::has_parent(*table) && object::owns(RelationRelationId, *table);
    let parts: Vec<Oid> = tables.iter().copied().filter(is_owned_part).collect();
    if !parts.is_empty() {
        let _ = capture::before_drop(&parts);
    }
}

/// A restore of data alone disables the trigger of the catalog that would notice it.
fn notice_restore(altered: &[Oid]) {
    let catalog = || object::find(&QName::qualified("pgtrickle", "pgt_stream_tables")).ok().flatten();
    if !altered.is_empty()
        && catalog().is_some_and(|catalog| altered.contains(&catalog) && object::owns(RelationRelationId, catalog))
    {
        Lock::Restore.hold_for_session();
    }
}

/// Locks every source before DROP EXTENSION locks the change buffers, as writers do: in the other order the two would
/// deadlock. Without a readable catalog there is nothing to lock.
fn lock_sources() {
    for source in spi::connect_to_any_version(source::all).unwrap_or_default() {
        relation::lock(source.relid, AccessExclusiveLock);
    }
}

/// Cancels the background refreshes of stream tables that a statement drops or alters, and locks the tables in the order of
/// refreshes so that no refresh begins; and long ones that read a table which it drops or alters: the statement would wait for
/// the refresh, and writers for the statement. Not where the user does not own them, because the server will refuse the statement.
fn cancel_refreshes(tables: &[Oid]) {
    let owned = || tables.iter().filter(|table| object::owns(RelationRelationId, **table));
    if owned().next().is_none() {
        return;
    }
    let owned: Vec<Oid> = owned().copied().collect();
    let read = |session: &Session| {
        let found = owned.iter().map(|table| Ok(stream_table::id_of(session, *table)?.map(|id| (id, *table))));
        let found = found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect::<BTreeMap<i32, Oid>>();
        Ok((found, dependency::readers_of_tables(session, &owned)?))
    };
    let (found, readers) = spi::connect(None, read).unwrap_or_default();
    readers.into_iter().for_each(|(id, table)| refresh::end_long_background(id, table));
    found.into_iter().for_each(|(id, table)| refresh::lock_ending_refresh(id, table));
}
