//! What users may not do to a stream table: the guard of its rows, and the event trigger that looks at it after every
//! command that may have changed its shape.
//!
//! Refused is what would break it, when it is done; said is what may break it later.

use pgrx::PgSqlErrorCode::{ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_WRONG_OBJECT_TYPE};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::catalog::shape::{self, Concerned};
use crate::catalog::{ddl, quietly};
use crate::error::{Error, Result};
use crate::pg::event::{self, Command};
use crate::pg::spi::{self, Session};
use crate::pg::trigger::{self, Call, Fired};
use crate::pg::{object, relation};

pgrx::extension_sql_file!("../../sql/table.sql", name = "table", requires = ["bootstrap", "capture", forget_dropped]);

/// Refuses every row: the statements of the refresh do not fire it (see `pg::applying`).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_guard(call: Call) -> pg_sys::Datum {
    trigger::enter(call, refuse)
}

/// What the server asks of a C function before it calls it.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_guard() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_on_ddl(call: Call) -> pg_sys::Datum {
    event::enter(call, on_ddl)
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_on_ddl() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };

fn refuse(fired: &Fired) -> Result<()> {
    let name = object::name(fired.table()).name;
    Err(Error::new(
        ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("cannot change stream table \"{}\"", name.as_str()),
    )
    .detail("Its rows always are the result of its query.")
    .hint("Change the tables that the query reads."))
}

fn on_ddl(command: &Command) -> Result<()> {
    if command.makes_lone_table() {
        return Ok(());
    }
    quietly(|| {
        spi::connect(None, |session| {
            let touched = shape::touched(session)?;
            for table in shape::concerned(session, &touched)? {
                look(session, &table, command)?;
            }
            Ok(())
        })
    })
}

fn look(session: &Session, table: &Concerned, command: &Command) -> Result<()> {
    let refused = |detail: &str, hint: &str| {
        let message = format!("cannot alter stream table {} in this way", relation::display(table.relid));
        Err(Error::new(ERRCODE_WRONG_OBJECT_TYPE, message).detail(detail).hint(hint))
    };
    if table.parts {
        return refused(
            "This is an internal part of it.",
            "What becomes of the stream table, becomes of its parts: name the stream table.",
        );
    }
    if let Some(column) = shape::of_query(session, table.id, &command.retyped())?.first() {
        return refused(
            &format!("Column \"{column}\" belongs to its query, and so do its values."),
            "Change the query: pgtrickle.create_or_replace_stream_table().",
        );
    }
    if let Some((what, instead)) = shape::problem(session, table.id)? {
        return refused(&what, &instead);
    }
    for (part, kind) in shape::strange_parts(session, table.id)? {
        ddl::give_to_owner_of(session, table.relid, part, kind == "v")?;
    }
    if command.constrains() {
        shape::risks(session, table.id)?.iter().for_each(|risk| warn(table.relid, risk));
    }
    Ok(())
}

fn warn(table: Oid, risk: &str) {
    let message = format!("stream table {}: {risk}", relation::display(table));
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "pg_trickle")
        .set_detail(
            "Its rows are what its query says, and nobody can correct them. After some failures it is suspended.",
        )
        .set_hint("It is safe where the query itself keeps it, or the constraints of the tables that it reads.")
        .report(PgLogLevel::NOTICE);
}
