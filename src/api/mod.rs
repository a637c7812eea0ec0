//! The SQL functions, one file per verb. Each opens its errors as PostgreSQL errors and does its work in
//! the caller's transaction: an error leaves nothing behind.
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
mod refresh;
mod rights;
mod status;
mod tree;
mod verify;
mod wait;

use std::time::Duration;

use pgrx::PgSqlErrorCode::{
    ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
    ERRCODE_UNDEFINED_TABLE, ERRCODE_WRONG_OBJECT_TYPE,
};
use pgrx::datum::Interval;
use pgrx::pg_sys::{self, Oid};

use crate::catalog::stream_table::{self, StreamTable};
use crate::catalog::{frontier, quietly};
use crate::error::{Error, Result};
use crate::pg::{guard, object, spi};

/// An argument that has no default.
fn given<T>(argument: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| {
        Error::new(ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("argument \"{argument}\" must not be NULL"))
            .hint("Only arguments that have a default may be NULL, which stands for it.")
    })
}

/// How long a user lets a function wait; by default `usual`.
fn patience(timeout: Option<Interval>, usual: Duration) -> Result<Duration> {
    let Some(timeout) = timeout else { return Ok(usual) };
    let micros = u64::try_from(timeout.as_micros().min(i64::MAX.into())).map_err(|_| {
        Error::new(ERRCODE_INVALID_PARAMETER_VALUE, "the timeout must not be negative")
            .hint("Use '0s' to look once, without waiting.")
    })?;
    Ok(Duration::from_micros(micros))
}

/// The stream table that a user names.
fn named(name: &str) -> Result<StreamTable> {
    let (_, id) = resolve(name)?;
    let table = quietly(|| spi::connect(None, |session| stream_table::find(session, id)))?;
    table.ok_or_else(|| missing(name))
}

/// The stream table that a user names and owns.
fn owned(name: &str) -> Result<StreamTable> {
    let table = named(name)?;
    must_own(name, table.relid)?;
    Ok(table)
}

/// The id of the stream table that a user names and owns.
fn owned_id(name: &str) -> Result<i32> {
    let (relid, id) = resolve(name)?;
    must_own(name, relid)?;
    Ok(id)
}

/// The relation and the id of a stream table that a user names, resolved under the caller's search path.
fn resolve(name: &str) -> Result<(Oid, i32)> {
    let relid = object::find(&object::split_name(name)?)?.ok_or_else(|| missing(name))?;
    let id = quietly(|| spi::connect(None, |session| stream_table::id_of(session, relid)))?.ok_or_else(|| {
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

/// Whether the caller may read what errors of a stream table say.
fn shows_messages(table: &StreamTable) -> Result<bool> {
    let asker = guard::current_role();
    quietly(|| spi::connect(None, |session| frontier::shows_messages(session, table.relid, asker)))
}

/// An error of a stream table for somebody who may not read what it says: that there is one, and of which kind.
fn veiled(table: &StreamTable, error: Error) -> Error {
    match error {
        Error::Report(_) | Error::Broken(..) => {
            let name = table.display();
            Error::new(error.code(), format!("an error in stream table {name}"))
                .detail(
                    "What it says may hold values of rows: it is for the owner and for members of pg_read_all_stats.",
                )
                .hint(format!("Ask the owner of {name}, who is told when he refreshes it."))
        }
        error => error,
    }
}
