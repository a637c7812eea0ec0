//! The guard of a stream table's rows, and the event trigger that checks the table after every command that may have changed
//! its shape. A command that would break the table is refused; one that may make a later refresh fail gets a notice.

use std::cell::Cell;

use pgrx::PgSqlErrorCode::{ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_WRONG_OBJECT_TYPE};
use pgrx::pg_sys::{self, Oid};

use crate::api::notice;
use crate::capture;
use crate::catalog::shape::{self, Affected};
use crate::catalog::{ddl, restored};
use crate::error::{Error, Result};
use crate::pg::call::{Call, V1};
use crate::pg::event::{self, Command};
use crate::pg::lock::Lock;
use crate::pg::spi::{self, Session};
use crate::pg::subscription::Subscribed;
use crate::pg::trigger::{self, Fired};
use crate::pg::{invalidation, object, relation};

pgrx::extension_sql_file!("../../sql/table.sql", name = "table", requires = ["bootstrap", "capture", forget_dropped]);

/// Refuses every row of a stream table: the statements of the refresh do not fire it (see `pg::applying`). A table that was
/// restored and is not attached is a table like any other.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_guard(call: Call) -> pg_sys::Datum {
    trigger::enter_before(&call, refuse)
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_guard() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_on_ddl(call: Call) -> pg_sys::Datum {
    event::enter(&call, on_ddl)
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_on_ddl() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

fn refuse(fired: &Fired) -> Result<()> {
    if !is_attached(fired.table())? {
        return Ok(());
    }
    let name = object::name(fired.table()).name;
    Err(Error::new(
        ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("cannot change stream table \"{}\"", name.as_str()),
    )
    .detail("Its rows are the result of its query, and only a refresh changes them.")
    .hint("Change the tables that the query reads."))
}

thread_local! {
    /// A table that is not attached, as a restore fills row by row, and the number of invalidations when that was read.
    /// Attaching a table waits for its writers and invalidates.
    static DETACHED: Cell<Option<(Oid, u64)>> = const { Cell::new(None) };
}

fn is_attached(table: Oid) -> Result<bool> {
    let known = Some((table, invalidation::count()));
    if DETACHED.get() == known {
        return Ok(false);
    }
    let attached = spi::connect(None, |session| restored::is_attached(session, table))?;
    DETACHED.set(known.filter(|_| !attached));
    Ok(attached)
}

fn on_ddl(command: &Command) -> Result<()> {
    if command.creates_temporary_table() || spi::other_version()?.is_some() {
        return Ok(());
    }
    if let Some(subscribed) = command.subscribed() {
        return refuse_targets(&subscribed);
    }
    spi::connect(None, |session| {
        if command.creates_trigger() && restored::creates_trigger_of_ours(session)? {
            Lock::Restore.hold_for_session();
        }
        let altered = shape::altered(session)?;
        if command.changes_children() {
            capture::follow(&altered)?;
        }
        shape::affected(session, &altered)?.iter().try_for_each(|table| check(session, table, command))
    })
}

/// Refuses a subscription that would write stream tables: its apply worker would fail at the guard, and try again for ever.
fn refuse_targets(subscribed: &Subscribed) -> Result<()> {
    let Some(target) = spi::connect(None, |session| shape::target_of(session, &subscribed.name))? else {
        return Ok(());
    };
    subscribed.drop_slot()?;
    let message = format!(
        "stream table {} cannot be a target of subscription \"{}\"",
        relation::display(target),
        subscribed.name
    );
    Err(Error::new(ERRCODE_WRONG_OBJECT_TYPE, message)
        .detail("Its rows are the result of its query, and only a refresh changes them.")
        .hint(
            "Leave the table out of the publication. Subscribe to the tables that its query reads, or to an ordinary table \
             of another name.",
        ))
}

fn check(session: &Session, table: &Affected, command: &Command) -> Result<()> {
    let refused = |detail: &str, hint: &str| {
        let message = format!("cannot alter stream table {} in this way", relation::display(table.relid));
        Err(Error::new(ERRCODE_WRONG_OBJECT_TYPE, message).detail(detail).hint(hint))
    };
    if table.by_part {
        return refused("The altered relation is an internal part of it.", "Alter the stream table: its parts follow.");
    }
    if let Some(column) = shape::of_query(session, table.id, &command.retyped())?.first() {
        return refused(
            &format!("Column \"{column}\" and its values come from its query."),
            "Change the query: pgtrickle.create_or_replace_stream_table().",
        );
    }
    if let Some((what, instead)) = shape::problem(session, table.id)? {
        return refused(&what, &instead);
    }
    for (part, kind) in shape::parts_of_others(session, table.id)? {
        ddl::give_to_owner_of(session, table.relid, part, kind == "v")?;
    }
    if command.creates_constraint() {
        shape::risks(session, table.id)?.iter().for_each(|risk| warn(table.relid, risk));
    }
    Ok(())
}

fn warn(table: Oid, risk: &str) {
    notice(
        format!("stream table {}: {risk}", relation::display(table)),
        "Its rows are what its query returns, and cannot be corrected by hand. After repeated failures it is suspended.",
        Some("This is safe if the query, or constraints on the tables that it reads, guarantee it."),
    );
}
