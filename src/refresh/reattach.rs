//! Attaching stream tables that were restored from a dump. Their rows stay until their next refresh, which creates the capture
//! of their sources, their nodes and their indexes anew, and compares the rows with the query.

use pgrx::PgSqlErrorCode::{ERRCODE_OBJECT_IN_USE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
use pgrx::pg_sys::{self, Oid};

use crate::catalog::stream_table::{self, StreamTable};
use crate::catalog::{ddl, restored, shape};
use crate::error::{Error, Result};
use crate::pg::lock::Lock;
use crate::pg::spi::{self, Session};
use crate::pg::{event, object, relation, trigger, wake, xact};
use crate::refresh::graph;

/// What became of the stream tables that are not attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reattached {
    /// So many were attached.
    All(usize),
    /// Another session is still restoring this database.
    NotYet,
}

/// Whether there are stream tables that a restore has left detached, and has restored wholly.
pub fn has_detached() -> Result<bool> {
    spi::connect(None, |session| Ok(!restored::detached(session, true)?.is_empty()))
}

/// Attaches the stream tables that a restore has left detached; `whole`: only those that it has restored wholly.
pub fn reattach(whole: bool) -> Result<Reattached> {
    let detached = |session: &Session| restored::detached(session, whole);
    if spi::connect(None, detached)?.is_empty() {
        return Ok(Reattached::All(0));
    }
    if !Lock::Restore.try_acquire() {
        return Ok(Reattached::NotYet);
    }
    // Read again under the lock.
    let attach_all = |session: &Session| attach_all(session, &detached(session)?);
    event::own(|| spi::connect(None, attach_all)).map(Reattached::All)
}

fn attach_all(session: &Session, detached: &[i32]) -> Result<usize> {
    // Those that the next refreshes create take their names.
    restored::capture_triggers(session)?.into_iter().for_each(trigger::drop);
    restored::pending_views(session)?.into_iter().for_each(object::drop_internal);
    xact::advance_command();
    for id in detached {
        attach(session, &stream_table::get(session, *id)?, "it was restored from a dump")?;
    }
    graph::announce(None)?;
    wake::catalog_changed();
    Ok(detached.len())
}

/// Attaches a stream table whose definition and rows exist. Its next refresh recomputes it, for this reason.
///
/// Before that, roles with the privilege may write to the table. Attaching waits for their transactions to end: the
/// recomputation would not see rows that are committed later, and they would stay.
pub fn attach(session: &Session, table: &StreamTable, reason: &str) -> Result<()> {
    relation::lock(table.relid, pg_sys::ShareRowExclusiveLock);
    restored::nodes(session, table.id)?.into_iter().for_each(object::drop_internal);
    object::depend_internally(table.definition, table.relid);
    own_indexes(session, table.relid)?;
    for (part, kind) in shape::parts_of_others(session, table.id)? {
        ddl::give_to_owner_of(session, table.relid, part, kind == "v")?;
    }
    restored::attach(session, table.id, reason)
}

/// Records again that our indexes are internal parts of their table: neither a dump nor pg_upgrade carries such dependencies.
pub fn own_indexes(session: &Session, relid: Oid) -> Result<()> {
    restored::indexes(session, relid)?.into_iter().for_each(|index| object::depend_internally(index, relid));
    Ok(())
}

/// The error for an operation on a stream table without frontier.
pub fn not_attached(id: i32) -> Error {
    let found = spi::connect(None, |session| {
        Ok((stream_table::get(session, id)?, restored::detached(session, false)?.contains(&id)))
    });
    match found {
        Err(error) => error,
        Ok((_, false)) => Error::Bug("a stream table has a frontier"),
        Ok((table, true)) => Error::new(
            ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("stream table {} was restored and is not attached yet", table.display()),
        )
        .detail("Background workers attach it when the session that has restored it ends.")
        .hint("As a superuser call pgtrickle.reattach()."),
    }
}

/// The error where another session is restoring the database.
pub fn still_restoring() -> Error {
    Error::new(ERRCODE_OBJECT_IN_USE, "this database is being restored")
        .detail("A session that has inserted into pgtrickle.pgt_stream_tables has not ended.")
        .hint("Wait until the restore has ended.")
}
