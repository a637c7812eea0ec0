//! Refresh mode IMMEDIATE: the transaction that changes a source maintains the stream tables over it.
//!
//! A *pass* is a tick over the stream tables that the changes of this transaction concern, within this transaction: it locks them,
//! takes a snapshot, and follows what that sees and they do not show.
//!
//! **Law:** to every snapshot such a stream table is its query, and so it is to the statements of the transaction itself, as far as they
//! do not run within a statement that writes. For every transaction that changes a source makes a pass after its last change, and
//! holds the locks of the pass until its end. The passes over one stream table are thus in one order, that of their commits, and the
//! snapshot of each sees all that the earlier ones have committed; it sees no change of a transaction that has made no pass.
//! So what is pending for it are the changes of its own transaction. A transaction that keeps its snapshot fails where another
//! one has changed the stream table since, as it would where both had updated a row.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use ivm::sql::ident::QName;
use pgrx::PgSqlErrorCode::{
    ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INSUFFICIENT_PRIVILEGE,
    ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_T_R_SERIALIZATION_FAILURE,
};
use pgrx::pg_sys::{self, Oid};

use crate::api::succeeded;
use crate::capture;
use crate::catalog::history::Refresh;
use crate::catalog::stream_table::{self, Status, StreamTable};
use crate::catalog::{dependency, frontier, source};
use crate::error::{Error, Kind, Result};
use crate::guc::{self, ImmediateAt};
use crate::pg::maintaining::Maintainer;
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::xact::{self, Nested, Sub, Top};
use crate::pg::{call, counters, guard, object, relation, wake};
use crate::refresh::{self, Extent, Locks, Rebuilds};

pub const MAINTAINER: Maintainer =
    Maintainer { is_pending, concerns, at_statement, maintain, redefined, on_top, on_sub };

thread_local! {
    /// Up to which change this transaction has made passes.
    static PASSED: RefCell<Nested<u64>> = const { RefCell::new(Nested::new()) };
    /// Whether a statement of this transaction changed what queries mean.
    static REDEFINED: Cell<bool> = const { Cell::new(false) };
}

/// The schedule of stream tables that need none.
pub const SCHEDULE: &str = "0s";

fn redefined() {
    REDEFINED.set(true);
}

fn passed() -> u64 {
    PASSED.with_borrow(|passed| passed.get().copied().unwrap_or_default())
}

fn is_pending() -> bool {
    REDEFINED.get() || has_changed()
}

/// Whether it has changed rows since the last pass.
fn has_changed() -> bool {
    capture::last_change() > passed()
}

fn at_statement() -> bool {
    match guc::immediate_at() {
        ImmediateAt::Auto => xact::keeps_its_snapshot(),
        ImmediateAt::Statement => true,
        ImmediateAt::Commit => false,
    }
}

/// The stream tables that pending changes concern, with their relations.
fn concerned() -> Result<Vec<(i32, Oid)>> {
    if !has_catalog()? {
        return Ok(vec![]);
    }
    let sources = capture::changed_after(passed());
    let tables = refresh::immediate_tables()?;
    // After DDL any of them may be outdated.
    let reads = |all: &[i32]| REDEFINED.get() || all.iter().any(|source| sources.contains(source));
    Ok(tables.into_iter().filter(|(_, _, sources)| reads(sources)).map(|(id, table, _)| (id, table)).collect())
}

fn concerns(relations: &[Oid]) -> Result<bool> {
    let concerned = concerned()?;
    if concerned.is_empty() {
        return Ok(false);
    }
    if concerned.iter().any(|(_, table)| relations.contains(table)) {
        return Ok(true);
    }
    // What is read live is computed from what it reads.
    refresh::read_live(relations, |id| concerned.iter().any(|(concerned, _)| *concerned == id))
}

/// Makes a pass over everything that this transaction's changes since its last pass concern.
pub fn maintain() -> Result<()> {
    if !is_pending() {
        return Ok(());
    }
    // What the last command has written counts: chunks, and in the catalog.
    xact::advance_command();
    let number = capture::last_change();
    pass(concerned()?.into_iter().map(|(id, _)| id).collect())?;
    PASSED.with_borrow_mut(|passed| passed.set(number));
    Ok(())
}

/// One in so many transactions removes the change rows that no stream table needs any more.
const PRUNES: u64 = 64;

fn pass(ids: Vec<i32>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    require_unchanged(&ids)?;
    let refreshes = refresh::tick(&ids, Extent::Attached, Locks::Wait, Rebuilds::Within)?;
    let (failed, refreshes): (Vec<Refresh>, Vec<Refresh>) = refreshes.into_iter().partition(Refresh::is_failed);
    end_in_failure(failed)?;
    let mut consumed = BTreeSet::new();
    for refresh in &refreshes {
        counters::refreshed_at_commit(refresh.id, refresh.counted());
        refresh::log_duration(refresh, || stream_table::display(refresh.id));
        consumed.extend(&refresh.consumed);
    }
    if xact::top_xid_if_any().is_some_and(|xid| xid % PRUNES == 0) {
        refresh::prune(&consumed)?;
    }
    Ok(())
}

/// What fails in the rows that it writes, or for now, fails the transaction. What does not concern it, such as a right that the owner
/// of a stream table has lost, does not: the stream table is recomputed later, or suspended and recomputed when it is resumed.
fn end_in_failure(failed: Vec<Refresh>) -> Result<()> {
    let is_of_writer = |refresh: &Refresh| {
        let error = refresh.error.as_ref().filter(|_| !refresh.skipped);
        error.is_some_and(|error| {
            error.code() != ERRCODE_INSUFFICIENT_PRIVILEGE && error.kind() != Kind::Schema && error.kind() != Kind::Bug
        })
    };
    if let Some(id) = failed.iter().find(|refresh| is_of_writer(refresh)).map(|refresh| refresh.id) {
        let of_writer = failed.into_iter().filter(is_of_writer).collect();
        return succeeded(of_writer).map(drop).map_err(|error| {
            let name = stream_table::display(id);
            error.more_detail(&format!(
                "This transaction maintains stream table {name}, which is in refresh mode IMMEDIATE."
            ))
        });
    }
    for refresh in &failed {
        let Some(error) = &refresh.error else { continue };
        let (name, text) = (stream_table::display(refresh.id), error.in_full());
        spi::connect(None, |session| frontier::reinitialize(session, refresh.id, &text))?;
        match !refresh.skipped && refresh::record_failure(refresh, error)? {
            true => pgrx::log!("stream table {name} is suspended: {text}"),
            false => pgrx::log!("could not maintain stream table {name}: {text}"),
        }
        wake::catalog_changed();
    }
    Ok(())
}

/// An error where this transaction keeps its snapshot and another one has changed a stream table since.
fn require_unchanged(ids: &[i32]) -> Result<()> {
    if !xact::keeps_its_snapshot() {
        return Ok(());
    }
    refresh::lock_with_upstream(ids)?;
    let own = Snapshot::of_transaction();
    for id in ids {
        let name = || stream_table::display(*id);
        match refresh::sees_all_refreshes(&own, *id) {
            Some(true) => {}
            Some(false) => {
                let message = "could not serialize access due to concurrent update";
                return Err(Error::new(ERRCODE_T_R_SERIALIZATION_FAILURE, message)
                    .detail(format!(
                        "Another transaction has changed stream table {}, which this one maintains.",
                        name()
                    ))
                    .hint("Try the transaction again."));
            }
            None => {
                let message = format!("a transaction that keeps its snapshot cannot maintain stream table {}", name());
                return Err(Error::new(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, message)
                    .detail("There is no room in shared memory for what has changed it.")
                    .hint("Raise pg_trickle.max_counted_tables and restart the server, or use READ COMMITTED."));
            }
        }
    }
    Ok(())
}

/// Before the end: constraints and triggers that were deferred have fired, and what they changed is maintained, too.
fn before_commit() -> Result<()> {
    if !has_catalog()? {
        return Ok(());
    }
    loop {
        // The server has turned off the timeout of the statement.
        guard::with_settings(&[("lock_timeout", &guard::shorter_timeout())], maintain)?;
        REDEFINED.set(false);
        // Triggers on the stream tables may have changed sources.
        xact::fire_deferred_triggers();
        if !is_pending() {
            return capture::flush();
        }
    }
}

fn on_top(event: Top) {
    match event {
        Top::PreCommit if is_pending() => {
            before_commit().unwrap_or_else(|error| call::raise(error));
        }
        Top::PreCommit => {}
        Top::Commit | Top::Prepared | Top::Abort => {
            REDEFINED.set(false);
            PASSED.with_borrow_mut(Nested::clear);
        }
    }
}

/// The extension may have been dropped, or be of another version: then stream tables are not maintained, and the script of the update
/// has to have them recomputed.
fn has_catalog() -> Result<bool> {
    let found = object::find(&QName::qualified("pgtrickle", "pgt_dependencies"))?;
    Ok(found.is_some() && spi::other_version()?.is_none())
}

fn on_sub(event: Sub) {
    PASSED.with_borrow_mut(|passed| passed.on_sub(event));
}

/// An error where a request for this mode has what the mode does not.
pub fn check_request(schedule: Option<&str>, initialize: bool) -> Result<()> {
    let refused = |message| Error::new(ERRCODE_INVALID_PARAMETER_VALUE, message);
    if schedule.is_some_and(|schedule| !["calculated", SCHEDULE].contains(&schedule.trim())) {
        return Err(refused("a stream table in refresh mode IMMEDIATE has no schedule")
            .detail("The transactions that change its sources maintain it.")
            .hint("Leave out the schedule, or use another refresh mode."));
    }
    if !initialize {
        return Err(refused("a stream table in refresh mode IMMEDIATE is filled when it is created")
            .hint("Create it in another refresh mode, and change the mode when it is filled."));
    }
    if !wake::has_shared_memory() {
        let message = "refresh mode IMMEDIATE needs the library in every session";
        return Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .detail("The server has not preloaded pg_trickle: other sessions would not maintain the stream table.")
            .hint("Add pg_trickle to shared_preload_libraries and restart the server."));
    }
    Ok(())
}

/// Has the writers of its sources maintain a stream table from the end of this transaction on; they wait until then. An error where
/// it cannot be maintained so. A refresh must follow.
pub fn begin(table: &StreamTable) -> Result<()> {
    require_maintainable(table)?;
    lock_sources(table)
}

/// Locks out the writers of what a stream table reads. Before its own lock, as they do.
pub fn lock_sources(table: &StreamTable) -> Result<()> {
    let sources = |session: &Session| -> Result<Vec<_>> {
        let found = dependency::of(session, table.id)?;
        found.into_iter().map(|it| Ok(source::get(session, it.source)?.map(|source| source.relid))).collect()
    };
    spi::connect(None, sources)?.into_iter().flatten().for_each(refresh::lock_out_writers);
    Ok(())
}

/// Ends that writers maintain a stream table, whose sources are locked.
pub fn end(table: &StreamTable) -> Result<()> {
    let readers = refresh::immediate_readers(table.id)?;
    if let Some(reader) = readers.first() {
        let (reader, name) = (stream_table::display(*reader), table.display());
        let message = format!("stream table {name} must stay in refresh mode IMMEDIATE");
        return Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .detail(format!("Stream table {reader} reads it in this mode."))
            .hint(format!("Give {reader} another refresh mode first.")));
    }
    maintain()?;
    refresh::store_frontier(table.id)
}

fn require_maintainable(table: &StreamTable) -> Result<()> {
    let name = table.display();
    let refused = |detail: String, hint: &str| {
        let message = format!("stream table {name} cannot be in refresh mode IMMEDIATE");
        Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, message).detail(detail).hint(hint))
    };
    if table.temporal {
        let detail = "Its query reads the clock: its rows change without a write.";
        return refused(detail.to_owned(), "Use refresh mode AUTO with schedule '0s'.");
    }
    if table.status != Status::Active {
        return refused(format!("Its status is {}.", table.status.as_str()), "Call resume_stream_table() first.");
    }
    if let Some(group) = &table.refresh_group {
        let detail = format!("It is in refresh group \"{group}\", whose stream tables are refreshed together.");
        return refused(detail, "Drop the group first.");
    }
    let immediate = refresh::immediate_tables()?;
    for dependency in spi::connect(None, |session| dependency::of(session, table.id))? {
        let upstream = dependency.stream_table.filter(|id| immediate.iter().all(|(known, ..)| known != id));
        // Its owner can have writers wait and fail, as with a trigger; capture alone does not.
        if dependency.stream_table.is_none() && !relation::may(table.owner, dependency.relid, pg_sys::ACL_TRIGGER) {
            let source = relation::display(dependency.relid);
            let message = format!("permission denied for table {source}");
            return Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, message)
                .detail(format!(
                    "Transactions that change it would maintain stream table {name}, and wait and fail with it."
                ))
                .hint("Ask its owner for the privilege TRIGGER, or use refresh mode AUTO with schedule '0s'."));
        }
        if let Some(upstream) = upstream {
            let detail = format!("It reads stream table {}, which workers refresh.", stream_table::display(upstream));
            return refused(detail, "Give that one refresh mode IMMEDIATE first, or use mode AUTO with schedule '0s'.");
        }
    }
    Ok(())
}
