//! `alter_stream_table` and `resume_stream_table`.

use std::time::Duration;

use ivm::schedule::Schedule;
use pgrx::PgSqlErrorCode::{ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_UNDEFINED_TABLE};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{create, given, owned, rights};
use crate::catalog::stream_table::{self, Mode, Status, StreamTable};
use crate::catalog::{ddl, frontier, quietly};
use crate::error::{Error, Result};
use crate::pg::spi::{OwnerSession, Session, Statement};
use crate::pg::{guard, object, query, relation, spi, types, view, wake};
use crate::refresh;

/// Changes what is given and leaves the rest. A new query must have the same columns.
#[pg_extern]
fn alter_stream_table(
    name: Option<&str>,
    query: default!(Option<&str>, "NULL"),
    schedule: default!(Option<&str>, "NULL"),
    refresh_mode: default!(Option<&str>, "NULL"),
    status: default!(Option<&str>, "NULL"),
    refresh_timeout: default!(Option<&str>, "NULL"),
) -> std::result::Result<(), ErrorReport> {
    let changes = Changes { query, schedule, mode: refresh_mode, status, timeout: refresh_timeout };
    Ok(alter(given("name", name)?, &changes)?)
}

/// What a user wants changed.
#[derive(Default)]
struct Changes<'a> {
    query: Option<&'a str>,
    schedule: Option<&'a str>,
    mode: Option<&'a str>,
    status: Option<&'a str>,
    timeout: Option<&'a str>,
}

fn alter(name: &str, changes: &Changes) -> Result<()> {
    let Changes { query, schedule, .. } = *changes;
    schedule.map(Schedule::parse).transpose()?;
    let mode = changes.mode.map(Mode::parse).transpose()?;
    let status = changes.status.map(Status::parse).transpose()?;
    let limit = changes.timeout.map(limit).transpose()?;
    let table = owned(name)?;
    if let Some(query) = query
        && !same_columns(&table, query)?
    {
        return Err(Error::new(
            ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("the new query of stream table \"{name}\" has other columns"),
        )
        .detail("Readers and stream tables that read this one rely on its columns.")
        .hint("Use create_or_replace_stream_table, or create a stream table with another name."));
    }
    if query.is_some() || schedule.is_some() || mode.is_some() {
        redefine(&table, query, schedule, mode)?;
    }
    if let Some(limit) = limit {
        relation::invalidate(table.relid);
        quietly(|| spi::connect(None, |session| stream_table::set_timeout(session, table.id, limit)))?;
    }
    if let Some(status) = status {
        if status != Status::Active {
            refresh::end_background(table.id, table.relid);
        }
        quietly(|| {
            spi::connect(None, |session| {
                frontier::clear_errors(session, table.id)?;
                stream_table::set_status(session, table.id, status)
            })
        })?;
    }
    wake::catalog_changed();
    Ok(())
}

/// How long a refresh may take: a duration; zero for no limit, `default` for that of the setting.
fn limit(text: &str) -> Result<Option<Duration>> {
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

/// Lets the scheduler refresh a suspended or paused stream table again.
#[pg_extern]
fn resume_stream_table(name: Option<&str>) -> std::result::Result<(), ErrorReport> {
    Ok(alter(given("name", name)?, &Changes { status: Some("ACTIVE"), ..Changes::default() })?)
}

/// Whether `query` has exactly the columns of the stream table: names, types, collations, order.
pub fn same_columns(table: &StreamTable, query: &str) -> Result<bool> {
    query::check_is_select(query)?;
    as_owner(table, |owner| {
        let shape = |statement: Statement| -> Result<Vec<_>> {
            Ok(types::columns(statement.result_desc()?)?
                .into_iter()
                .map(|c| (c.name, c.ty.name, c.ty.collation))
                .collect())
        };
        // The table may have more columns, which users added.
        let name = object::name(table.definition);
        Ok(shape(ddl::prepare_query(owner, query)?)? == shape(ddl::prepare_table(owner, &name)?)?)
    })
}

/// Gives a stream table a new query, schedule or mode, in place.
pub fn redefine(table: &StreamTable, query: Option<&str>, schedule: Option<&str>, mode: Option<Mode>) -> Result<()> {
    let table = match query.is_some() || mode.is_some() {
        true => locked_for_refresh(table, query)?,
        false => locked(table)?,
    };
    let mut changed = table.clone();
    changed.schedule = schedule.unwrap_or(&table.schedule).to_owned();
    changed.mode = mode.unwrap_or(table.mode);
    if query.is_none() && changed.mode == table.mode {
        relation::invalidate(table.relid);
        return quietly(|| spi::connect(None, |session| stream_table::put(session, &changed)));
    }
    if let Some(query) = query {
        replace_view(&table, query)?;
        changed.defining_query = query.to_owned();
        changed.settings = guard::EVALUATION_SETTINGS
            .into_iter()
            .map(|name| Ok((name.to_owned(), guard::setting(name)?)))
            .collect::<Result<_>>()?;
        rights::require_capture(table.owner, table.definition)?;
        if table.status == Status::Suspended {
            quietly(|| spi::connect(None, |session| stream_table::set_status(session, table.id, Status::Active)))?;
        }
    }
    refresh::rebuild(&changed, "the definition was altered")?;
    rights::warn_of_open_schemas(&locked(&table)?)?;
    create::refresh_now(&[table.id])
}

/// Locks a stream table; how others left it who had it locked.
fn locked(table: &StreamTable) -> Result<StreamTable> {
    refresh::require_free(table.id)?;
    refresh::lock_ending_refresh(table.id, table.relid);
    let found = quietly(|| spi::connect(None, |session| stream_table::find(session, table.id)))?;
    found.ok_or_else(|| {
        Error::new(ERRCODE_UNDEFINED_TABLE, format!("stream table {} was dropped in the meantime", table.display()))
    })
}

/// The same, with the locks of the refresh that follows: of what the query reads, before and after the change.
fn locked_for_refresh(table: &StreamTable, query: Option<&str>) -> Result<StreamTable> {
    let relations = |query| as_owner(table, |owner| ddl::prepare_query(owner, query)?.relations());
    let read = query.map_or(Ok(vec![]), relations)?;
    let ids = |session: &Session| read.into_iter().map(|relation| stream_table::id_of(session, relation)).collect();
    let read: Vec<Option<i32>> = quietly(|| spi::connect(None, ids))?;
    let ids: Vec<i32> = read.into_iter().flatten().chain([table.id]).collect();
    refresh::end_background(table.id, table.relid);
    refresh::lock_with_upstream(&ids)?;
    locked(table)
}

/// Runs `f` in a session of the stream table's owner, whoever calls, under the caller's settings.
fn as_owner<R>(table: &StreamTable, f: impl FnOnce(&OwnerSession) -> Result<R>) -> Result<R> {
    spi::connect_as(table.owner, &[], None, f)
}

/// Replaces the stored definition in place: the view keeps its oid and its place in the dependencies.
fn replace_view(table: &StreamTable, query: &str) -> Result<()> {
    as_owner(table, |owner| {
        ddl::probe(owner, query)?;
        view::replace(owner, table.definition, query)
    })
}
