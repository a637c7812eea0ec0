//! Builds what a stream table needs in the database: internal node tables, indexes, captured sources, catalog rows; and drops
//! it.

use std::collections::BTreeSet;

use ivm::sql::ident::QName;
use ivm::view::{Node, View};
use pgrx::PgSqlErrorCode::{ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INVALID_OBJECT_DEFINITION};
use pgrx::pg_sys::{Oid, ShareRowExclusiveLock};

use crate::capture::{self, Wanted};
use crate::catalog::admission::SourceTable;
use crate::catalog::dependency::Dependency;
use crate::catalog::stream_table::{self, Mode, StreamTable};
use crate::catalog::{ddl, dependency, frontier, quietly, restored, shape, source};
use crate::error::{Error, Kind, Result};
use crate::frontend::{self, Definition, Path};
use crate::pg::lock::Lock;
use crate::pg::spi::{self, OwnerSession, Session};
use crate::pg::{event, guard, object, relation, subxact, wake, xact};
use crate::refresh::loaded::{self, Loaded};
use crate::refresh::prepared::Ready;
use crate::refresh::{freshness, graph, prepared};

/// Compiles the definition and makes everything it needs. `table` holds the user's request; the rest of it is filled in
/// here.
pub fn build(session: &Session, mut table: StreamTable, definition: Definition) -> Result<StreamTable> {
    table.canonical = definition.canonical;
    table.definition_digest = loaded::definition_digest(session, &table)?.digest;
    refuse_cycle(session, &table, &definition.sources)?;
    let (polled, captured): (Vec<_>, Vec<_>) =
        definition.sources.into_iter().partition(|source| source.uncaptured.is_some());
    table.polled = polled.iter().map(|source| source.relid).collect();
    let ast = match polled.first() {
        Some(source) => Err(whole(&table, source)?),
        None => definition.ast,
    };
    let reads_clock = definition.reads_clock;
    let view = compile(session, &mut table, definition.path, ast)?;
    if table.full_reason.is_none() {
        loaded::require_same_relations(
            &view,
            captured.iter().map(|source| QName::qualified(&source.schema, &source.name)),
        )?;
    }
    table.node_count = view.nodes.len() as i32 - 1;
    table.fingerprint = loaded::fingerprint(session, &view)?;
    table.temporal = reads_clock && (table.full_reason.is_some() || view.reads_clock());
    for node in &view.nodes {
        make_node(session, &table, node)?;
    }
    let proven = view.nodes.last().into_iter().flat_map(|node| &node.columns).filter(|column| column.not_null);
    table.not_null = proven.map(|column| column.name.as_str().to_owned()).collect();
    stream_table::put(session, &table)?;
    dependency::delete(session, table.id)?;
    let touch = table.full_reason.is_some() || table.mode == Mode::Full;
    let mut wanted = vec![];
    for source in &captured {
        let columns = read_columns(&view, &QName::qualified(&source.schema, &source.name));
        let columns = if touch { vec![] } else { columns };
        refuse_added_columns(session, source, &columns)?;
        wanted.push(Wanted { relid: source.relid, columns, touch });
    }
    capture::start(&wanted)?;
    for Wanted { relid, columns, touch } in &wanted {
        let source = capture::track(*relid, columns, *touch)?;
        if xact::keeps_its_snapshot() && source::get(session, source)?.is_none() {
            let what = format!("capture of {} was started after this transaction", relation::display(*relid));
            return Err(Error::Altered(what));
        }
        dependency::insert(session, table.id, source, columns)?;
        if table.is_immediate() {
            lock_out_writers(*relid);
        }
    }
    graph::announce(Some(table.relid))?;
    freshness::redefine(table.id)?;
    loaded::keep(&table, view);
    Ok(table)
}

/// Locks out the writers of a source until the end of this transaction. Those that come then read from the catalog which stream
/// tables they maintain.
pub fn lock_out_writers(relid: Oid) {
    // With partitions and children, of which each has triggers of its own.
    relation::lock_tree(relid, ShareRowExclusiveLock).into_iter().for_each(relation::invalidate);
}

/// The incremental view, or the opaque one with its reason.
fn compile(
    session: &Session,
    table: &mut StreamTable,
    mut path: Path,
    ast: std::result::Result<ivm::sql::ast::Query, ivm::Error>,
) -> Result<View> {
    let name = QName::qualified(&table.schema, &table.name);
    let compiled = match ast {
        Ok(reading) => under_path(session, table, &mut path, |owner, table| {
            subxact::subtransaction(|| frontend::compile(owner, &reading, &name, table.id))
        }),
        Err(error) => Err(Error::Query(error)),
    };
    let error = match compiled {
        Ok(view) => {
            (table.full_reason, table.full_hint) = (None, None);
            return Ok(view);
        }
        Err(error) if error.kind() == Kind::Transient => return Err(error),
        // An error of the server about a query that we made of this one is our reason, not the user's error.
        Err(error) => match error.while_planned() {
            Error::Query(error) => error,
            other => other.as_reason().unwrap_or_else(|| ivm::Error::Catalog(other.in_full())),
        },
    };
    if table.mode.only_follows() {
        return Err(match error {
            ivm::Error::Unsupported { .. } => Error::Query(error),
            other => Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, "the query cannot be maintained incrementally")
                .detail(other.to_string())
                .hint("Use refresh mode AUTO or FULL to have it recomputed."),
        });
    }
    (table.full_reason, table.full_hint) = match error {
        ivm::Error::Unsupported { construct, reason, hint } => (Some(format!("{construct}: {reason}")), Some(hint)),
        other => (Some(other.to_string()), None),
    };
    let mut path = Path::default();
    under_path(session, table, &mut path, |owner, table| loaded::opaque(owner, table, name.clone()))
}

/// Runs `compile` as the owner, with the table's path, which grows until it has the schemas that the result needs.
fn under_path(
    session: &Session,
    table: &mut StreamTable,
    path: &mut Path,
    compile: impl Fn(&OwnerSession, &StreamTable) -> Result<(View, BTreeSet<String>)>,
) -> Result<View> {
    loop {
        table.search_path = path.text();
        let (view, schemas) = session.as_owner(table.owner, &table.evaluation(), |owner| compile(owner, table))?;
        if !path.extend(schemas) {
            return Ok(view);
        }
    }
}

/// Why a query that reads `source` is recomputed. Only mode FULL requests that on a schedule: it is the only way to find the
/// changes.
fn whole(table: &StreamTable, source: &SourceTable) -> Result<ivm::Error> {
    let (what, name) =
        (source.uncaptured.as_deref().unwrap_or_default(), QName::qualified(&source.schema, &source.name));
    let copy = "Let a stream table with refresh mode FULL and a schedule of its own copy it, and read the copy, \
                whose changes are followed.";
    if table.mode == Mode::Full {
        let reason = "its changes cannot be captured: on its schedule the query is run as a whole and compared";
        return Ok(ivm::Error::unsupported(format_args!("{what} {name}"), reason, copy));
    }
    Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, format!("changes of {what} {name} cannot be followed"))
        .detail("It has no triggers that fire for every change.")
        .hint(copy))
}

/// A refresh writes the columns of its table's query, not those that users added to the table.
fn refuse_added_columns(session: &Session, source: &SourceTable, columns: &[String]) -> Result<()> {
    let Some(id) = stream_table::id_of(session, source.relid)? else { return Ok(()) };
    let known = shape::of_query(session, id, columns)?;
    let Some(column) = columns.iter().find(|column| !known.contains(column)) else { return Ok(()) };
    let name = QName::qualified(&source.schema, &source.name);
    Err(Error::new(
        ERRCODE_FEATURE_NOT_SUPPORTED,
        format!("changes of column \"{column}\" of {name} cannot be followed"),
    )
    .detail("It was added to the stream table and is no column of its query.")
    .hint("Compute it in the query of either stream table."))
}

fn refuse_cycle(session: &Session, table: &StreamTable, sources: &[SourceTable]) -> Result<()> {
    let mut reads = vec![];
    for source in sources {
        reads.extend(stream_table::id_of(session, source.relid)?);
    }
    let Err(Error::Query(ivm::Error::Cycle(path))) = graph::edges()?.with(table.id, &reads) else {
        return Ok(());
    };
    let mut names = vec![];
    for id in path.iter().filter_map(|id| id.parse().ok()) {
        names.push(stream_table::find(session, id)?.map_or_else(|| table.display(), |found| found.display()));
    }
    Err(Error::new(ERRCODE_INVALID_OBJECT_DEFINITION, "stream tables would depend on each other in a circle")
        .detail(names.join(" -> "))
        .hint("A stream table cannot read itself, directly or through others."))
}

/// Gives a stream table, whose row holds the new mode already, what that mode captures; its rows stay. False where it has to
/// be rebuilt instead.
pub fn set_mode(session: &Session, table: &StreamTable) -> Result<bool> {
    let is_incremental = table.full_reason.is_none();
    if !is_incremental && (table.mode.only_follows() || !table.polled.is_empty()) {
        return Ok(false);
    }
    let Ready::Yes(prepared) = prepared::load(table.id)? else { return Ok(false) };
    if is_incremental && table.mode != Mode::Full {
        // The changes that were captured without these columns make the next refresh recompute.
        for Dependency { source, relid, columns, .. } in &prepared.loaded.dependencies {
            let read = read_columns(&prepared.loaded.view, &object::name(*relid));
            if read != *columns {
                capture::track(*relid, &read, false)?;
                dependency::insert(session, table.id, *source, &read)?;
            }
        }
    }
    relation::invalidate(table.relid);
    stream_table::put(session, table)?;
    Ok(true)
}

/// The columns of the source with this name that the view's deltas read.
fn read_columns(view: &View, name: &QName) -> Vec<String> {
    let found = view.sources.iter().find(|source| source.name == *name);
    found.map_or_else(Vec::new, |s| s.columns.iter().map(|column| column.as_str().to_owned()).collect())
}

/// Makes the table of an internal node with its indexes. The stream table itself exists already: it may hold the rows of
/// another definition, so that its indexes are made after it was filled ([`index_table`]).
fn make_node(session: &Session, table: &StreamTable, node: &Node) -> Result<()> {
    if node.table.schema.as_ref().is_none_or(|schema| schema.as_str() != "pgtrickle_state") {
        return Ok(());
    }
    let indexes = ivm::apply::plan(node).indexes;
    ddl::create_node(session, &node.table, &node.columns, table.owner)?;
    object::depend_internally(object::oid(&node.table)?, table.relid);
    session.as_owner(table.owner, &table.evaluation(), |owner| ddl::settle_indexes(owner, &node.table, &indexes))
}

/// Makes the indexes by which the rows of a stream table that was just filled are found again.
pub fn index_table(loaded: &Loaded) -> Result<()> {
    let node = loaded.view.nodes.last().ok_or(Error::Bug("a view has a last node"))?;
    let (table, indexes) = (&loaded.table, ivm::apply::plan(node).indexes);
    spi::connect_as(table.owner, &table.evaluation(), None, |owner| ddl::settle_indexes(owner, &node.table, &indexes))
}

/// Drops the indexes of a node's table that belong to another definition of it: the rows may have no such key any more. Readers
/// of the table wait from here to the end of the transaction.
pub fn drop_old_indexes(session: &Session, node: &Node) -> Result<()> {
    ddl::drop_other_indexes(session, &node.table, &ivm::apply::plan(node).indexes)
}

/// Compiles the definition again after it, or an object under it, changed; the next refresh recomputes.
pub fn rebuild(table: &StreamTable, reason: &str) -> Result<()> {
    rebuild_as(table, reason, None)
}

/// Rebuilds a stream table whose definition or capture has changed, unless another transaction holds its lock; in a transaction
/// of its own, so that the writers of its sources and the readers of its table wait no longer than that takes.
pub fn repair(id: i32) -> Result<()> {
    quietly(|| {
        if Lock::StreamTable(id).try_acquire()
            && let Ready::Stale(table, reason) = prepared::load(id)?
        {
            rebuild(&table, &reason)?;
            if let Ready::Yes(prepared) = prepared::load(id)? {
                let node = prepared.loaded.view.nodes.last();
                node.map_or(Ok(()), |node| spi::connect(None, |session| drop_old_indexes(session, node)))?;
            }
        }
        Ok(())
    })
}

/// Recomputes a query from now on that was compiled, but for which the server refuses to apply changes, as the error says.
/// Any other error is returned, and this one too in mode DIFFERENTIAL.
pub fn recompute_from_now_on(table: &StreamTable, error: Error) -> Result<()> {
    match error.as_reason().filter(|_| table.mode == Mode::Auto && table.full_reason.is_none()) {
        Some(why) => rebuild_as(table, "the changes could not be followed", Some(why)),
        None => Err(error),
    }
}

fn rebuild_as(table: &StreamTable, reason: &str, whole: Option<ivm::Error>) -> Result<()> {
    event::own(|| {
        spi::connect(None, |session| {
            let mut definition = define(session, table)?;
            definition.ast = whole.map_or(definition.ast, Err);
            put_under_guard(session, table)?;
            drop_nodes(session, table)?;
            ddl::make_publishable(session, table.relid)?;
            let built = build(session, table.clone(), definition)?;
            frontier::reinitialize_redefined(session, built.id, reason)?;
            prepared::forget(table.id);
            release_orphans(session).map(drop)
        })
    })?;
    wake::catalog_changed();
    Ok(())
}

/// Reads the definition of a stream table, as its owner.
pub fn define(session: &Session, table: &StreamTable) -> Result<Definition> {
    session.as_owner(table.owner, &[guard::catalog_path()], |owner| frontend::define(owner, table.definition))
}

/// Guards a stream table again whose guard was dropped. Its readers may not have seen its rows as changes.
fn put_under_guard(session: &Session, table: &StreamTable) -> Result<()> {
    if !ddl::guard(session, table.relid)? {
        return Ok(());
    }
    let reason = format!("stream table {}, which it reads, was not guarded", table.display());
    let edges = graph::edges()?;
    let readers = edges.readers.get(&table.id).into_iter().flat_map(|readers| &readers.ids);
    readers.into_iter().try_for_each(|reader| frontier::reinitialize(session, *reader, &reason))
}

fn drop_nodes(session: &Session, table: &StreamTable) -> Result<()> {
    restored::nodes(session, table.id)?.into_iter().for_each(object::drop_internal);
    Ok(())
}

/// Deletes a stream table whose relation was dropped, and releases the sources that no other one reads.
pub fn delete(session: &Session, id: i32) -> Result<()> {
    stream_table::delete(session, id)?;
    prepared::forget(id);
    graph::announce(None)?;
    release_orphans(session).map(drop)
}

/// The same in the background, for a stream table that was dropped while others used its sources, or that could not be created.
pub fn release_unread() -> Result<bool> {
    quietly(|| event::own(|| spi::connect(None, release_orphans)))
}

/// Ends the capture of sources that no stream table reads; returns whether one is left for later, because another transaction
/// uses it.
fn release_orphans(session: &Session) -> Result<bool> {
    let mut left = false;
    for source in dependency::orphans(session)? {
        left |= !capture::release(source)?;
    }
    Ok(left)
}
