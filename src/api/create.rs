//! `create_stream_table` and its kin.

use std::collections::BTreeMap;

use ivm::schedule::Schedule;
use ivm::sql::ident::QName;
use pgrx::PgSqlErrorCode::{ERRCODE_DUPLICATE_TABLE, ERRCODE_INVALID_TABLE_DEFINITION};
use pgrx::pg_sys::Oid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, default, pg_extern};

use crate::api::{alter, drop, given, rights, shows_messages, veiled};
use crate::catalog::stream_table::{self, Mode, Status, StreamTable};
use crate::catalog::{ddl, frontier, quietly};
use crate::error::{Error, Result};
use crate::frontend;
use crate::pg::spi::OwnerSession;
use crate::pg::{failures, guard, object, query, spi, view, wake};
use crate::refresh;

/// The schedule of a stream table that is created without one.
const SCHEDULE: &str = "calculated";

/// What a user asks for; `None`: what there is, or the default.
pub struct Request<'a> {
    pub name: &'a str,
    pub query: &'a str,
    pub schedule: Option<&'a str>,
    pub mode: Option<Mode>,
    pub initialize: bool,
}

impl<'a> Request<'a> {
    fn new(
        (name, query): (Option<&'a str>, Option<&'a str>),
        schedule: Option<&'a str>,
        mode: Option<&str>,
        initialize: Option<bool>,
    ) -> Result<Request<'a>> {
        let (name, query) = (given("name", name)?, given("query", query)?);
        schedule.map(Schedule::parse).transpose()?;
        let mode = mode.map(Mode::parse).transpose()?;
        Ok(Request { name, query, schedule, mode, initialize: initialize.unwrap_or(true) })
    }
}

/// Creates a stream table: a table that stays equal to `query`.
#[pg_extern]
fn create_stream_table(
    name: Option<&str>,
    query: Option<&str>,
    schedule: default!(Option<&str>, "'calculated'"),
    refresh_mode: default!(Option<&str>, "'AUTO'"),
    initialize: default!(Option<bool>, true),
) -> std::result::Result<(), ErrorReport> {
    Ok(create(&Request::new((name, query), schedule, refresh_mode, initialize)?)?)
}

/// Creates a stream table unless a relation of this name exists.
#[pg_extern]
fn create_stream_table_if_not_exists(
    name: Option<&str>,
    query: Option<&str>,
    schedule: default!(Option<&str>, "'calculated'"),
    refresh_mode: default!(Option<&str>, "'AUTO'"),
    initialize: default!(Option<bool>, true),
) -> std::result::Result<(), ErrorReport> {
    let request = Request::new((name, query), schedule, refresh_mode, initialize)?;
    if object::find(&target(request.name)?)?.is_some() {
        pgrx::notice!("relation \"{}\" already exists, skipping", request.name);
        return Ok(());
    }
    Ok(create(&request)?)
}

/// Creates a stream table, or gives an existing one a new query; schedule and mode that are left out stay what they
/// are.
#[pg_extern]
fn create_or_replace_stream_table(
    name: Option<&str>,
    query: Option<&str>,
    schedule: default!(Option<&str>, "NULL"),
    refresh_mode: default!(Option<&str>, "NULL"),
    initialize: default!(Option<bool>, true),
) -> std::result::Result<(), ErrorReport> {
    let request = Request::new((name, query), schedule, refresh_mode, initialize)?;
    Ok(replace(&request)?)
}

fn replace(request: &Request) -> Result<()> {
    if object::find(&target(request.name)?)?.is_none() {
        return create(request);
    }
    let table = crate::api::owned(request.name)?;
    if alter::same_columns(&table, request.query)? {
        return alter::redefine(&table, Some(request.query), request.schedule, request.mode);
    }
    drop::drop_table(&table, false)?;
    let schedule = request.schedule.or(Some(&table.schedule));
    create(&Request { schedule, mode: request.mode.or(Some(table.mode)), ..*request })
}

/// The name in full: without a schema, the first of the search path.
fn target(name: &str) -> Result<QName> {
    let split = object::split_name(name)?;
    match split.schema {
        Some(_) => Ok(split),
        None => Ok(QName::qualified(object::creation_schema()?, split.name.as_str())),
    }
}

fn create(request: &Request) -> Result<()> {
    let name = target(request.name)?;
    if object::find(&name)?.is_some() {
        return Err(Error::new(ERRCODE_DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
            .hint("Choose another name, or use create_or_replace_stream_table."));
    }
    query::check_is_select(request.query)?;
    let id = quietly(|| spi::connect(None, stream_table::next_id))?;
    let definition = define_view(id, request.query)?;
    let relid = make_table(&name, definition, id)?;
    let table = StreamTable {
        id,
        relid,
        definition,
        defining_query: request.query.to_owned(),
        canonical: String::new(),
        meaning: String::new(),
        timeout: None,
        schedule: request.schedule.unwrap_or(SCHEDULE).to_owned(),
        mode: request.mode.unwrap_or(Mode::Auto),
        status: Status::Active,
        search_path: String::new(),
        settings: evaluation_settings()?,
        full_reason: None,
        full_hint: None,
        node_count: 0,
        fingerprint: String::new(),
        temporal: false,
        polled: vec![],
        schema: name.schema.as_ref().map(|schema| schema.as_str().to_owned()).unwrap_or_default(),
        name: name.name.as_str().to_owned(),
        owner: guard::current_role(),
    };
    rights::require_capture(table.owner, definition)?;
    let built = quietly(|| {
        spi::connect(None, |session| {
            let read = refresh::define(session, &table)?;
            let built = refresh::build(session, table, read)?;
            frontier::insert(session, id)?;
            Ok(built)
        })
    })?;
    announce(&built);
    rights::warn_of_open_schemas(&built)?;
    if request.initialize {
        refresh_now(&[id])?;
    }
    if let Err(error) = advise(&built) {
        refresh::give_up(&built, error)?;
        if request.initialize {
            refresh_now(&[id])?;
        }
    }
    let known = quietly(|| spi::connect(None, |session| stream_table::find(session, id)))?;
    known.iter().filter(|known| known.full_reason != built.full_reason).for_each(announce);
    // The workers go on from here: a session that creates many keeps no plans of theirs.
    refresh::forget(id);
    wake::catalog_changed();
    Ok(())
}

/// Refreshes in the caller's transaction; its failure is the caller's, who may not own all that is refreshed on the way.
pub fn refresh_now(ids: &[i32]) -> Result<()> {
    let mut refreshes = refresh::tick(ids, refresh::Locks::Wait)?;
    let failed = refreshes.iter_mut().find(|refresh| refresh.is_failed());
    let Some((id, error)) = failed.and_then(|refresh| Some((refresh.id, refresh.error.take()?))) else {
        refreshes.iter().for_each(|refresh| failures::forget(refresh.id));
        return refresh::conclude(&refreshes);
    };
    let table = quietly(|| spi::connect(None, |session| stream_table::get(session, id)))?;
    match shows_messages(&table)? {
        true => Err(error),
        false => Err(veiled(&table, error)),
    }
}

/// A query that can only be recomputed says so at once.
fn announce(table: &StreamTable) {
    if let Some(reason) = &table.full_reason {
        let message = format!("stream table {} will be recomputed as a whole", table.display());
        let notice =
            ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "pg_trickle").set_detail(reason);
        let notice = match &table.full_hint {
            Some(hint) => notice.set_hint(hint),
            None => notice,
        };
        notice.report(PgLogLevel::NOTICE);
    }
}

/// Says which indexes would make small deltas cheap.
fn advise(table: &StreamTable) -> Result<()> {
    let refresh::Ready::Yes(loaded) = refresh::load(table.id)? else {
        return Ok(());
    };
    refresh::plan_deltas(&loaded)?;
    for missing in refresh::missing_indexes(&loaded)? {
        let message = format!("stream table {} needs an index on {missing}", table.display());
        ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "pg_trickle")
            .set_detail("Without it a refresh reads the whole table for a few changed rows.")
            .set_hint(format!("{};", missing.statement()))
            .report(PgLogLevel::NOTICE);
    }
    Ok(())
}

fn evaluation_settings() -> Result<BTreeMap<String, String>> {
    guard::EVALUATION_SETTINGS.into_iter().map(|name| Ok((name.to_owned(), guard::setting(name)?))).collect()
}

/// Stores the query as a view: PostgreSQL analyses it as the user, who must be allowed to read what it reads, under the
/// user's own path and settings, and records everything it depends on.
fn define_view(id: i32, query: &str) -> Result<Oid> {
    let name = frontend::definition_view(id);
    as_caller(|caller| {
        ddl::probe(caller, query)?;
        let relations = ddl::prepare_query(caller, query)?.relations()?;
        caller.catalog(|session| frontend::checked(session, relations, caller.role()))?;
        view::create(caller, &name, query)
    })
}

/// Runs `f` in a session of the caller, under the caller's settings.
pub fn as_caller<R>(f: impl FnOnce(&OwnerSession) -> Result<R>) -> Result<R> {
    spi::connect_as(guard::current_role(), &[], None, f)
}

/// The table itself: the columns of the query, their types and collations, and nothing else.
fn make_table(name: &QName, definition: Oid, id: i32) -> Result<Oid> {
    if name.schema.as_ref().map_or(Ok(false), |schema| object::is_temporary(schema.as_str()))? {
        return Err(Error::new(ERRCODE_INVALID_TABLE_DEFINITION, format!("stream table {name} cannot be temporary"))
            .detail("It would end with this session; the workers and other sessions could not see it.")
            .hint("Name a schema that lasts."));
    }
    let view = frontend::definition_view(id);
    as_caller(|caller| ddl::create_stream_table(caller, name, &view))?;
    let relid = object::oid(name)?;
    object::depend_internally(definition, relid);
    quietly(|| spi::connect(None, |session| ddl::guard(session, relid)))?;
    Ok(relid)
}
