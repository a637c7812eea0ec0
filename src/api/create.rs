//! `create_stream_table` and its variants.

use ivm::schedule::Schedule;
use ivm::sql::ident::QName;
use pgrx::PgSqlErrorCode::{ERRCODE_DUPLICATE_TABLE, ERRCODE_INVALID_TABLE_DEFINITION};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};
use pgrx::{default, pg_extern};

use crate::api::refresh::refresh_now;
use crate::api::{alter, as_caller, drop, given, immediate, must_own, notice, owned, require_writable, rights};
use crate::catalog::stream_table::{self, Mode, StreamTable};
use crate::catalog::{ddl, frontier, restored};
use crate::error::{Error, Result};
use crate::frontend;
use crate::pg::{guard, object, query, relation, spi, view, wake};
use crate::refresh;

/// The schedule of a stream table that is created without one.
const SCHEDULE: &str = "calculated";

/// The arguments of a call; `None` stands for the default, or for what an existing stream table has.
struct Request<'a> {
    name: &'a str,
    query: &'a str,
    schedule: Option<&'a str>,
    mode: Option<Mode>,
    /// The refresh group of a stream table that this one replaces.
    group: Option<&'a str>,
    live: Option<bool>,
    initialize: bool,
}

impl<'a> Request<'a> {
    fn new(
        (name, query): (Option<&'a str>, Option<&'a str>),
        schedule: Option<&'a str>,
        mode: Option<&str>,
        (initialize, live): (Option<bool>, Option<bool>),
    ) -> Result<Request<'a>> {
        let (name, query) = (given("name", name)?, given("query", query)?);
        require_writable("create_stream_table")?;
        schedule.map(Schedule::parse).transpose()?;
        let mode = mode.map(Mode::parse).transpose()?;
        Ok(Request { name, query, schedule, mode, group: None, live, initialize: initialize.unwrap_or(true) })
    }
}

/// Creates a stream table: a table that stays equal to `query`.
#[pg_extern(name = "create_stream_table")]
fn create_stored_or_live(
    name: Option<&str>,
    query: Option<&str>,
    schedule: default!(Option<&str>, "'calculated'"),
    refresh_mode: default!(Option<&str>, "'AUTO'"),
    initialize: default!(Option<bool>, true),
    live: default!(Option<bool>, false),
) -> std::result::Result<(), ErrorReport> {
    Ok(create(&Request::new((name, query), schedule, refresh_mode, (initialize, live))?)?)
}

/// Creates a stream table unless a relation of this name exists.
#[pg_extern(name = "create_stream_table_if_not_exists")]
fn create_stored_or_live_if_not_exists(
    name: Option<&str>,
    query: Option<&str>,
    schedule: default!(Option<&str>, "'calculated'"),
    refresh_mode: default!(Option<&str>, "'AUTO'"),
    initialize: default!(Option<bool>, true),
    live: default!(Option<bool>, false),
) -> std::result::Result<(), ErrorReport> {
    let request = Request::new((name, query), schedule, refresh_mode, (initialize, live))?;
    if object::find(&target(request.name)?)?.is_some() {
        pgrx::notice!("relation \"{}\" already exists, skipping", request.name);
        return Ok(());
    }
    Ok(create(&request)?)
}

/// Creates a stream table, or gives an existing one a new query. An existing one keeps a schedule and mode that are not given.
#[pg_extern(name = "create_or_replace_stream_table")]
fn create_or_replace_stored_or_live(
    name: Option<&str>,
    query: Option<&str>,
    schedule: default!(Option<&str>, "NULL"),
    refresh_mode: default!(Option<&str>, "NULL"),
    initialize: default!(Option<bool>, true),
    live: default!(Option<bool>, "NULL"),
) -> std::result::Result<(), ErrorReport> {
    let request = Request::new((name, query), schedule, refresh_mode, (initialize, live))?;
    Ok(replace(&request)?)
}

fn replace(request: &Request) -> Result<()> {
    let Some(relid) = object::find(&target(request.name)?)? else { return create(request) };
    if spi::connect(None, |session| restored::is_remnant(session, relid))? {
        return adopt(request, relid);
    }
    let table = owned(request.name)?;
    if alter::same_columns(&table, request.query)? {
        request.live.map_or(Ok(()), |live| alter::set_live(&table, live))?;
        return alter::redefine(&table, Some(request.query), request.schedule, request.mode);
    }
    drop::drop_table(&table, false)?;
    let schedule = request.schedule.or(Some(&table.schedule));
    create(&Request {
        schedule,
        mode: request.mode.or(Some(table.mode)),
        group: table.refresh_group.as_deref(),
        live: request.live.or(Some(table.live)),
        ..*request
    })
}

/// The name in full: without a schema, in the first schema of the search path.
fn target(name: &str) -> Result<QName> {
    let split = object::split_name(name)?;
    match split.schema {
        Some(_) => Ok(split),
        None => Ok(QName::qualified(object::creation_schema()?, split.name.as_str())),
    }
}

/// Makes a stream table again of one that was restored without its definition: a table with the guard of a stream table
/// and with the columns of the query.
fn adopt(request: &Request, relid: Oid) -> Result<()> {
    must_own(request.name, relid)?;
    query::check_is_select(request.query)?;
    let name = object::name(relid);
    relation::lock(relid, pg_sys::AccessExclusiveLock);
    let (id, definition) = define_new(request)?;
    if spi::connect(None, |session| restored::differs(session, relid, definition))? {
        return Err(Error::new(
            ERRCODE_INVALID_TABLE_DEFINITION,
            format!("table {name} has other columns than the query"),
        )
        .detail("It was restored from a stream table with another query.")
        .hint("Drop the table first, or give the query the same columns."));
    }
    let table = new_table(request, &name, (id, relid, definition))?;
    let built = spi::connect(None, |session| {
        stream_table::put(session, &table)?;
        refresh::attach(session, &table, "it was restored without its definition")?;
        let analysed = refresh::define(session, &table)?;
        refresh::build(session, table, analysed)
    })?;
    finish(request, &built)
}

fn create(request: &Request) -> Result<()> {
    let name = target(request.name)?;
    if object::find(&name)?.is_some() {
        return Err(Error::new(ERRCODE_DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
            .hint("Choose another name, or use create_or_replace_stream_table."));
    }
    query::check_is_select(request.query)?;
    alter::require_live(request.live)?;
    let (id, definition) = define_new(request)?;
    let table = new_table(request, &name, (id, create_table(&name, definition, id)?, definition))?;
    let built = spi::connect(None, |session| {
        let analysed = refresh::define(session, &table)?;
        let built = refresh::build(session, table, analysed)?;
        frontier::insert(session, id)?;
        Ok(built)
    })?;
    finish(request, &built)
}

/// Stores the query of a new stream table; returns the id that it will have, and the view.
fn define_new(request: &Request) -> Result<(i32, Oid)> {
    if request.mode == Some(Mode::Immediate) {
        immediate::check_request(request.schedule, request.initialize)?;
    }
    let id = spi::connect(None, stream_table::next_id)?;
    Ok((id, create_view(id, request.query)?))
}

fn new_table(request: &Request, name: &QName, (id, relid, definition): (i32, Oid, Oid)) -> Result<StreamTable> {
    Ok(StreamTable {
        id,
        relid,
        definition,
        defining_query: request.query.to_owned(),
        schedule: match request.mode {
            Some(Mode::Immediate) => immediate::SCHEDULE,
            _ => request.schedule.unwrap_or(SCHEDULE),
        }
        .to_owned(),
        mode: request.mode.unwrap_or_default(),
        refresh_group: request.group.map(str::to_owned),
        live: request.live.unwrap_or_default(),
        settings: guard::evaluation_settings()?,
        schema: name.schema.as_ref().map(|schema| schema.as_str().to_owned()).unwrap_or_default(),
        name: name.name.as_str().to_owned(),
        owner: guard::current_role(),
        ..StreamTable::default()
    })
}

/// Fills a stream table that was built, and tells its creator about it.
fn finish(request: &Request, built: &StreamTable) -> Result<()> {
    let id = built.id;
    report_full_refresh(built);
    rights::warn_of_open_schemas(built)?;
    if built.is_immediate() {
        immediate::begin(built)?;
    }
    if request.initialize {
        refresh_now(&[id])?;
    }
    if let Err(error) = advise(built) {
        refresh::recompute_from_now_on(built, error)?;
        if request.initialize {
            refresh_now(&[id])?;
        }
    }
    let table = spi::connect(None, |session| stream_table::get(session, id))?;
    if table.full_reason != built.full_reason {
        report_full_refresh(&table);
    }
    refresh::drop_compiled();
    // The background workers refresh it from now on: a session that creates many need not keep their plans.
    refresh::forget(id);
    wake::catalog_changed();
    Ok(())
}

/// Tells the user that a query can only be recomputed.
fn report_full_refresh(table: &StreamTable) {
    if let Some(reason) = &table.full_reason {
        let message = format!("stream table {} will be recomputed as a whole", table.display());
        notice(message, reason, table.full_hint.as_deref());
    }
}

/// Tells the user which indexes would make small deltas cheap.
fn advise(table: &StreamTable) -> Result<()> {
    let refresh::Ready::Yes(prepared) = refresh::load(table.id)? else {
        return Ok(());
    };
    refresh::plan_deltas(&prepared)?;
    for missing in refresh::missing_indexes(&prepared.loaded)?.indexes {
        let message = format!("stream table {} needs an index on {missing}", table.display());
        let detail = match missing.order {
            Some(_) => "Without it a refresh reads all rows of a group for a changed one.",
            None => "Without it a refresh reads the whole table for a few changed rows.",
        };
        notice(message, detail, Some(&format!("{};", missing.statement())));
    }
    Ok(())
}

/// Stores the query as a view: PostgreSQL analyses it as the caller, under the caller's path and settings, and records
/// everything it depends on.
fn create_view(id: i32, query: &str) -> Result<Oid> {
    let name = frontend::definition_view(id);
    as_caller(|caller| {
        rights::require_sources(caller, query)?;
        view::create(caller, &name, query)
    })
}

/// Creates the table itself: the columns of the query, their types and collations, and nothing else.
fn create_table(name: &QName, definition: Oid, id: i32) -> Result<Oid> {
    if name.schema.as_ref().map_or(Ok(false), |schema| object::is_temporary(schema.as_str()))? {
        return Err(Error::new(ERRCODE_INVALID_TABLE_DEFINITION, format!("stream table {name} cannot be temporary"))
            .detail("The background workers and other sessions cannot read a temporary table.")
            .hint("Create it in a permanent schema."));
    }
    let view = frontend::definition_view(id);
    as_caller(|caller| ddl::create_stream_table(caller, name, &view))?;
    let relid = object::oid(name)?;
    object::depend_internally(definition, relid);
    spi::connect(None, |session| ddl::guard(session, relid))?;
    Ok(relid)
}
