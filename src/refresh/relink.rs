//! What pg_upgrade leaves to be done. It moves the files of all tables, with the ids of tables, types and roles and with
//! transaction ids, so that frontiers, change buffers and nodes are valid. It creates triggers and functions under new ids, and
//! drops the dependencies that we recorded. Capture goes on meanwhile ([`cluster::captures`]).

use std::cell::Cell;
use std::collections::HashSet;

use ivm::view::View;

use crate::catalog::stream_table::{self, StreamTable};
use crate::catalog::{cluster, restored, source};
use crate::error::Result;
use crate::frontend;
use crate::pg::spi::{self, Session};
use crate::pg::subxact::subtransaction;
use crate::pg::{event, guard, object, relation, xact};
use crate::refresh::reattach::own_indexes;
use crate::refresh::{graph, loaded};

thread_local! {
    /// The catalog belongs to this cluster, as long as this process runs.
    static SETTLED: Cell<bool> = const { Cell::new(false) };
}

/// Adapts the catalog after pg_upgrade, once.
pub fn relink() -> Result<()> {
    if SETTLED.get() {
        return Ok(());
    }
    if spi::connect(None, cluster::is_moved)? {
        // This transaction may yet fail: the next call looks again.
        return event::own(|| spi::connect(None, relink_all));
    }
    SETTLED.set(true);
    Ok(())
}

fn relink_all(session: &Session) -> Result<()> {
    // Waits for another session that does it.
    if !cluster::settle(session)? {
        return Ok(());
    }
    cluster::pending_views(session)?.into_iter().for_each(object::follow_extension);
    for id in cluster::complete_sources(session)? {
        relink_source(session, id)?;
    }
    for id in cluster::stream_tables(session)? {
        let table = stream_table::get(session, id)?;
        relink_parts(session, &table)?;
        // Where it fails, the next refresh finds another definition, and recomputes or says why not.
        let _ = subtransaction(|| redefine(session, table));
    }
    graph::announce(None)
}

/// Records the triggers of a source, unless one is missing, which the next refresh finds.
fn relink_source(session: &Session, id: i32) -> Result<()> {
    let Some(source) = source::get(session, id)? else { return Ok(()) };
    for (table, trigger, truncate) in cluster::capture_triggers(session, id)? {
        source::record_trigger(session, id, table, trigger, truncate)?;
    }
    xact::advance_command();
    let members = source::members(session, &source)?;
    let recorded: HashSet<_> = source::recorded(session, id)?.into_iter().map(|(relid, _)| relid).collect();
    let is_derived = source::is_stream_table(session, source.relid)?;
    let is_complete = members.iter().all(|member| is_derived || member.is_covered())
        && members.iter().map(|member| member.relid).collect::<HashSet<_>>() == recorded;
    if is_complete {
        source::record(session, id, &members)?;
    }
    members.iter().for_each(|member| relation::invalidate(member.relid));
    Ok(())
}

/// Makes definition, nodes and indexes parts of the stream table again.
fn relink_parts(session: &Session, table: &StreamTable) -> Result<()> {
    let nodes = restored::nodes(session, table.id)?;
    nodes.iter().chain([&table.relid]).try_for_each(|relid| own_indexes(session, *relid))?;
    nodes.into_iter().chain([table.definition]).for_each(|part| object::depend_internally(part, table.relid));
    Ok(())
}

/// Takes over the text and the digest that the definition has here, where it compiles to the same tables.
fn redefine(session: &Session, mut table: StreamTable) -> Result<()> {
    let path = [guard::catalog_path()];
    table.canonical = session.as_owner(table.owner, &path, |owner| frontend::canonical(owner, table.definition))?;
    table.definition_digest = loaded::definition_digest(session, &table)?.digest;
    let view = loaded::view(session, &table)?;
    if has_tables_of(&table, &view)? {
        table.fingerprint = loaded::fingerprint(session, &view)?;
        stream_table::put(session, &table)?;
    }
    Ok(())
}

/// Whether the nodes of a view are the tables that there are, by their columns.
fn has_tables_of(table: &StreamTable, view: &View) -> Result<bool> {
    let mut same = view.nodes.len() == table.node_count as usize + 1;
    for node in &view.nodes {
        let columns = object::find(&node.table)?.and_then(relation::attributes).unwrap_or_default();
        let is_there = |name: &str| columns.iter().any(|column| column.name == name);
        same &= node.columns.iter().all(|column| is_there(column.name.as_str()));
    }
    Ok(same)
}
