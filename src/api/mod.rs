//! The SQL functions, one file per verb. Each works in the caller's transaction, and an error leaves nothing behind.
//!
//! **Invariant:** none is strict. A NULL stands for the default; where there is none, [`given`] refuses it.

// `#[pg_extern]` raises an `ErrorReport` with its SQLSTATE only if it gets it by value.
#![allow(clippy::result_large_err)]

mod alter;
mod create;
mod ddl;
mod drain;
mod drop;
mod explain;
mod former;
mod group;
pub mod immediate;
mod last_write;
mod moment;
mod reattach;
mod refresh;
mod rights;
mod stat;
mod status;
mod verify;
mod wait;

use std::time::Duration;

use pgrx::PgLogLevel;
use pgrx::PgSqlErrorCode::{
    ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
    ERRCODE_READ_ONLY_SQL_TRANSACTION, ERRCODE_SUCCESSFUL_COMPLETION, ERRCODE_UNDEFINED_TABLE,
    ERRCODE_WRONG_OBJECT_TYPE,
};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};

use crate::catalog::frontier;
use crate::catalog::history::Refresh;
use crate::catalog::stream_table::{self, StreamTable};
use crate::error::{Error, Result};
use crate::pg::spi::OwnerSession;
use crate::pg::{guard, object, spi, xact};

/// The value of an argument that has no default.
fn given<T>(argument: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| {
        Error::new(ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("argument \"{argument}\" must not be NULL"))
            .detail("It has no default.")
            .hint("Pass a value: NULL stands for the default of an argument.")
    })
}

/// A timeout that a user gives, or its default.
fn timeout_or(default: Duration, given: Option<Interval>) -> Result<Duration> {
    let Some(given) = given else { return Ok(default) };
    let micros = u64::try_from(given.as_micros().min(i64::MAX.into())).map_err(|_| {
        Error::new(ERRCODE_INVALID_PARAMETER_VALUE, "the timeout must not be negative")
            .hint("Use '0s' to check once, without waiting.")
    })?;
    Ok(Duration::from_micros(micros))
}

/// The stream table that a user names.
fn named(name: &str) -> Result<StreamTable> {
    let (_, id) = resolve(name)?;
    spi::connect(None, |session| stream_table::find(session, id))?.ok_or_else(|| missing(name))
}

/// The stream table that a user names and owns.
fn owned(name: &str) -> Result<StreamTable> {
    let table = named(name)?;
    must_own(name, table.relid)?;
    Ok(table)
}

/// The relation and id of a stream table that a user names and owns.
fn resolve_owned(name: &str) -> Result<(Oid, i32)> {
    let found = resolve(name)?;
    must_own(name, found.0)?;
    Ok(found)
}

/// The relation and id of a stream table that a user names, under the caller's search path.
fn resolve(name: &str) -> Result<(Oid, i32)> {
    let relid = object::find(&object::split_name(name)?)?.ok_or_else(|| missing(name))?;
    let id = spi::connect(None, |session| stream_table::id_of(session, relid))?.ok_or_else(|| {
        Error::new(ERRCODE_WRONG_OBJECT_TYPE, format!("\"{name}\" is not a stream table"))
            .hint("pgtrickle.pgt_status() lists the stream tables of this database.")
    })?;
    Ok((relid, id))
}

fn missing(name: &str) -> Error {
    Error::new(ERRCODE_UNDEFINED_TABLE, format!("stream table \"{name}\" does not exist"))
        .hint("pgtrickle.pgt_status() lists the stream tables of this database.")
}

fn must_own(name: &str, relid: Oid) -> Result<()> {
    match object::owns(pg_sys::RelationRelationId, relid) {
        true => Ok(()),
        false => Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, format!("must be owner of stream table \"{name}\""))),
    }
}

/// An error where nothing can be written, for a function that has to.
fn require_writable(function: &str) -> Result<()> {
    if !xact::is_read_only() {
        return Ok(());
    }
    let (state, hint) = match xact::is_in_recovery() {
        true => ("on a standby", "Call it on the primary: what it does is replicated to this server."),
        false => (
            "in a read-only transaction",
            "Call it in a transaction that is READ WRITE; see default_transaction_read_only.",
        ),
    };
    Err(Error::new(ERRCODE_READ_ONLY_SQL_TRANSACTION, format!("cannot execute {function}() {state}"))
        .detail("It writes to the catalog of pg_trickle, and to stream tables.")
        .hint(hint))
}

/// Runs `f` in a session of the caller, under the caller's settings.
fn as_caller<R>(f: impl FnOnce(&OwnerSession) -> Result<R>) -> Result<R> {
    spi::connect_as(guard::current_role(), &[], None, f)
}

/// Tells the user something that is no error.
fn notice(message: String, detail: impl Into<String>, hint: Option<&str>) {
    let report = ErrorReport::new(ERRCODE_SUCCESSFUL_COMPLETION, message, "pg_trickle").set_detail(detail);
    match hint {
        Some(hint) => report.set_hint(hint),
        None => report,
    }
    .report(PgLogLevel::NOTICE);
}

/// Whether the caller may read the messages of errors of a stream table.
fn shows_messages(table: &StreamTable) -> Result<bool> {
    // Inside of the session it is the owner of the catalog.
    let role = guard::current_role();
    spi::connect(None, |session| frontier::shows_messages(session, table.id, role))
}

/// An error of a stream table for a caller that may not read its message: the SQLSTATE alone.
fn without_message(table: &StreamTable, error: Error) -> Error {
    match error {
        Error::Report(_) | Error::Broken(..) => {
            let name = table.display();
            Error::new(error.code(), format!("an error occurred in stream table {name}"))
                .detail(
                    "The message may hold values of rows: only its owner and members of pg_read_all_stats may read it.",
                )
                .hint(format!("Ask the owner of {name} to refresh it."))
        }
        error => error,
    }
}

/// The refreshes, or the error of the first one that failed.
fn succeeded(mut refreshes: Vec<Refresh>) -> Result<Vec<Refresh>> {
    let failed = refreshes.iter_mut().find(|refresh| refresh.is_failed());
    let Some((id, error)) = failed.and_then(|refresh| Some((refresh.id, refresh.error.take()?))) else {
        return Ok(refreshes);
    };
    let table = spi::connect(None, |session| stream_table::get(session, id))?;
    match shows_messages(&table)? {
        true => Err(error),
        false => Err(without_message(&table, error)),
    }
}
