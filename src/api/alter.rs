//! `alter_stream_table` and `resume_stream_table`.

use std::time::Duration;

use ivm::schedule::Schedule;
use pgrx::PgSqlErrorCode::{
    ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
    ERRCODE_UNDEFINED_TABLE,
};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::refresh::refresh_now;
use crate::api::{given, immediate, owned, require_writable, rights};
use crate::catalog::stream_table::{self, Mode, Status, StreamTable};
use crate::catalog::{ddl, frontier};
use crate::error::{Error, Result};
use crate::pg::spi::{self, OwnerSession, Session, Statement};
use crate::pg::{guard, object, query, relation, types, view, wake};
use crate::refresh;

/// Changes what is given and leaves the rest. A new query must have the same columns.
#[pg_extern(name = "alter_stream_table")]
fn alter_or_limit(
    name: Option<&str>,
    query: default!(Option<&str>, "NULL"),
    schedule: default!(Option<&str>, "NULL"),
    refresh_mode: default!(Option<&str>, "NULL"),
    status: default!(Option<&str>, "NULL"),
    refresh_timeout: default!(Option<&str>, "NULL"),
    live: default!(Option<bool>, "NULL"),
) -> std::result::Result<(), ErrorReport> {
    let changes = Changes { query, schedule, mode: refresh_mode, status, timeout: refresh_timeout, live };
    Ok(alter(given("name", name)?, &changes)?)
}

/// Lets the scheduler refresh a suspended or paused stream table again.
#[pg_extern]
fn resume_stream_table(name: Option<&str>) -> std::result::Result<(), ErrorReport> {
    Ok(alter(given("name", name)?, &Changes { status: Some("ACTIVE"), ..Changes::default() })?)
}

/// The changes that a user asks for.
#[derive(Default)]
struct Changes<'a> {
    query: Option<&'a str>,
    schedule: Option<&'a str>,
    mode: Option<&'a str>,
    status: Option<&'a str>,
    timeout: Option<&'a str>,
    live: Option<bool>,
}

fn alter(name: &str, changes: &Changes) -> Result<()> {
    let Changes { query, schedule, .. } = *changes;
    schedule.map(Schedule::parse).transpose()?;
    let mode = changes.mode.map(Mode::parse).transpose()?;
    let status = changes.status.map(Status::parse).transpose()?;
    let limit = changes.timeout.map(parse_timeout).transpose()?;
    require_writable("alter_stream_table")?;
    let table = owned(name)?;
    if status.is_some_and(|status| status != Status::Active) && mode.unwrap_or(table.mode) == Mode::Immediate {
        let message = format!("stream table {} cannot be paused in refresh mode IMMEDIATE", table.display());
        return Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .detail("The transactions that change its sources maintain it.")
            .hint("Change its refresh mode first."));
    }
    if let Some(query) = query
        && !same_columns(&table, query)?
    {
        return Err(Error::new(
            ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("the new query of stream table \"{name}\" has other columns"),
        )
        .detail("Queries and stream tables that read this one depend on its columns.")
        .hint("Use create_or_replace_stream_table, or create a stream table with another name."));
    }
    if query.is_some() || schedule.is_some() || mode.is_some() {
        redefine(&table, query, schedule, mode)?;
    }
    if let Some(live) = changes.live {
        set_live(&table, live)?;
    }
    if let Some(limit) = limit {
        relation::invalidate(table.relid);
        spi::connect(None, |session| stream_table::set_timeout(session, table.id, limit))?;
    }
    if let Some(status) = status {
        if status != Status::Active {
            refresh::end_background(table.id, table.relid);
        }
        // It has missed what others changed.
        let is_missing = table.is_immediate() && table.status != Status::Active;
        if is_missing {
            immediate::lock_sources(&table)?;
        }
        spi::connect(None, |session| {
            frontier::clear_errors(session, table.id)?;
            stream_table::set_status(session, table.id, status)
        })?;
        if is_missing {
            refresh_now(&[table.id])?;
        }
    }
    wake::catalog_changed();
    Ok(())
}

/// Has queries read a stream table with its pending changes, or as it is stored.
pub fn set_live(table: &StreamTable, live: bool) -> Result<()> {
    require_live(Some(live))?;
    relation::invalidate(table.relid);
    spi::connect(None, |session| stream_table::set_live(session, table.id, live))
}

/// An error where live reads are wanted and not every session has the library.
pub fn require_live(live: Option<bool>) -> Result<()> {
    if live != Some(true) || wake::has_shared_memory() {
        return Ok(());
    }
    Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "live reads need the library in every session")
        .detail("The server has not preloaded pg_trickle: other sessions would read what is stored.")
        .hint("Add pg_trickle to shared_preload_libraries and restart the server."))
}

/// The limit for a refresh: a duration, zero for no limit, `default` for that of the setting.
fn parse_timeout(text: &str) -> Result<Option<Duration>> {
    if text.trim().eq_ignore_ascii_case("default") {
        return Ok(None);
    }
    match Schedule::parse(text) {
        Ok(Schedule::Every(micros)) => Ok(Some(Duration::from_micros(micros.max(0) as u64))),
        _ => Err(Error::new(ERRCODE_INVALID_PARAMETER_VALUE, format!("invalid refresh timeout \"{text}\""))
            .detail("It is not a duration.")
            .hint(
                "Use a duration such as '90s' or '5m', '0s' for no limit, or 'default' for pg_trickle.refresh_timeout.",
            )),
    }
}

/// Whether `query` has exactly the columns of the stream table: names, types, collations, order.
pub fn same_columns(table: &StreamTable, query: &str) -> Result<bool> {
    query::check_is_select(query)?;
    as_owner(table, |owner| {
        let columns = |statement: Statement| -> Result<Vec<_>> {
            let columns = types::columns(statement.result_desc()?).into_iter();
            Ok(columns.map(|column| (column.name, column.ty.name, column.ty.collation)).collect())
        };
        // The table itself may have more columns, which users added.
        let definition = ddl::prepare_table(owner, &object::name(table.definition))?;
        Ok(columns(ddl::prepare_query(owner, query)?)? == columns(definition)?)
    })
}

/// Gives a stream table a new query, schedule or mode, in place.
pub fn redefine(table: &StreamTable, query: Option<&str>, schedule: Option<&str>, mode: Option<Mode>) -> Result<()> {
    let is_immediate = mode.unwrap_or(table.mode) == Mode::Immediate;
    if is_immediate {
        immediate::check_request(schedule, true)?;
    }
    if is_immediate || table.is_immediate() {
        immediate::lock_sources(table)?;
    }
    let table = match query.is_some() || mode.is_some() {
        true => locked_for_refresh(table, query)?,
        false => locked(table)?,
    };
    let mut changed = table.clone();
    changed.schedule = if is_immediate { immediate::SCHEDULE } else { schedule.unwrap_or(&table.schedule) }.to_owned();
    changed.mode = mode.unwrap_or(table.mode);
    if query.is_none() && changed.mode == table.mode {
        relation::invalidate(table.relid);
        return spi::connect(None, |session| stream_table::put(session, &changed));
    }
    if table.is_immediate() && !is_immediate {
        immediate::end(&table)?;
    }
    if is_immediate && query.is_none() && table.full_reason.is_none() {
        immediate::begin(&changed)?;
        // The last refresh by which it follows others.
        refresh_now(&[table.id])?;
    }
    if query.is_none() && spi::connect(None, |session| refresh::set_mode(session, &changed))? {
        if is_immediate {
            refresh::record_now(table.id);
        }
        return Ok(());
    }
    if let Some(query) = query {
        // The view keeps its oid, and with it the dependencies on it.
        as_owner(&table, |owner| {
            rights::require_sources(owner, query)?;
            view::replace(owner, table.definition, query)
        })?;
        changed.defining_query = query.to_owned();
        changed.settings = guard::evaluation_settings()?;
        if table.status == Status::Suspended {
            spi::connect(None, |session| stream_table::set_status(session, table.id, Status::Active))?;
        }
    }
    refresh::rebuild(&changed, "the definition was altered")?;
    let built = locked(&table)?;
    rights::warn_of_open_schemas(&built)?;
    if is_immediate {
        immediate::begin(&built)?;
    }
    refresh_now(&[table.id])
}

/// Locks a stream table, and reads its row as the last holder of the lock left it.
fn locked(table: &StreamTable) -> Result<StreamTable> {
    refresh::require_free(table.id)?;
    refresh::lock_ending_refresh(table.id, table.relid);
    let found = spi::connect(None, |session| stream_table::find(session, table.id))?;
    found.ok_or_else(|| {
        Error::new(ERRCODE_UNDEFINED_TABLE, format!("stream table {} was dropped concurrently", table.display()))
    })
}

/// The same, with the locks of the refresh that follows: on the sources of the old query and of the new one.
fn locked_for_refresh(table: &StreamTable, query: Option<&str>) -> Result<StreamTable> {
    let relations = |query| as_owner(table, |owner| ddl::prepare_query(owner, query)?.relations());
    let sources = query.map_or(Ok(vec![]), relations)?;
    let ids = |session: &Session| sources.into_iter().map(|source| stream_table::id_of(session, source)).collect();
    let upstream: Vec<Option<i32>> = spi::connect(None, ids)?;
    let ids: Vec<i32> = upstream.into_iter().flatten().chain([table.id]).collect();
    refresh::end_background(table.id, table.relid);
    refresh::lock_with_upstream(&ids)?;
    locked(table)
}

/// Runs `f` in a session of the stream table's owner, under the caller's settings.
fn as_owner<R>(table: &StreamTable, f: impl FnOnce(&OwnerSession) -> Result<R>) -> Result<R> {
    spi::connect_as(table.owner, &[], None, f)
}
