//! Tables that enter or leave a source: partitions and inheritance children. The command that attaches or detaches one also
//! captures its rows, as if they were inserted or deleted.
//!
//! **Law:** what is captured is committed with the command, so a snapshot sees both or neither. What cannot be captured here is
//! left alone: the recorded members then differ from the actual ones, and the consumers start over ([`lost_changes`]).
//!
//! [`lost_changes`]: super::lost_changes

use std::collections::{HashMap, HashSet};

use chunk::UNRECORDED;
use pgrx::PgSqlErrorCode::ERRCODE_QUERY_CANCELED;
use pgrx::pg_sys::{self, Oid};

use crate::capture::cache::{self, SourceInfo};
use crate::capture::track::create_triggers;
use crate::capture::trigger::{record, record_loss};
use crate::catalog::source::{self, Member, Source};
use crate::catalog::{cluster, quietly};
use crate::error::Result;
use crate::pg::lock::Lock;
use crate::pg::snapshot::Snapshot;
use crate::pg::subxact::subtransaction;
use crate::pg::{relation, spi, xact};

/// The most rows of detached tables that are captured: the command locks the source against readers meanwhile. Above that the
/// consumers are recomputed later, for which nothing waits.
const MOST_DETACHED: f64 = 20_000.0;

/// Follows a command that has changed what is below some tables; `altered` are these, their parents and their children. The
/// command does not fail where this does, except that it is cancelled.
pub fn follow(altered: &[Oid]) -> Result<()> {
    start_over_after(subtransaction(|| follow_all(altered)))
}

/// Captures the rows of tables that are about to be dropped, and of their partitions, as deleted.
pub fn before_drop(tables: &[Oid]) -> Result<()> {
    start_over_after(subtransaction(|| leave(tables)))
}

/// Logs an error, with which everything that was captured was rolled back: the consumers start over.
fn start_over_after(result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    if error.code() == ERRCODE_QUERY_CANCELED {
        return Err(error);
    }
    pgrx::log!(
        "the rows of a partition or child were not captured, so that its readers will be recomputed: {}",
        error.in_full()
    );
    Ok(())
}

/// The sources that these tables are recorded members of; none where the catalog must not be changed.
fn sources_of(tables: &[Oid]) -> Result<Vec<Source>> {
    if spi::other_version()?.is_some() {
        return Ok(vec![]);
    }
    cache::read_catalog(|session| match cluster::is_moved(session)? {
        true => Ok(vec![]),
        false => source::with_members(session, tables),
    })
}

fn follow_all(altered: &[Oid]) -> Result<()> {
    sources_of(altered)?.iter().try_for_each(follow_source)
}

fn leave(tables: &[Oid]) -> Result<()> {
    let sources = sources_of(tables)?;
    if sources.iter().all(|source| tables.contains(&source.relid)) {
        return Ok(());
    }
    // In the order of the command itself.
    let parents = tables.iter().filter_map(|table| relation::parent_of_partition(*table));
    parents.for_each(|parent| relation::lock(parent, pg_sys::AccessExclusiveLock));
    let dropped: HashSet<Oid> =
        tables.iter().flat_map(|table| relation::lock_tree(*table, pg_sys::AccessExclusiveLock)).collect();
    for source in sources.iter().filter(|source| !dropped.contains(&source.relid)) {
        let mut members = cache::read_catalog(|session| source::members(session, source))?;
        if difference(source, &members)?.is_some_and(|(attached, detached)| attached.is_empty() && detached.is_empty())
        {
            let leaving = members.extract_if(.., |member| dropped.contains(&member.relid));
            let leaving: Vec<Oid> = leaving.map(|member| member.relid).collect();
            move_members(source, &members, &[], &leaving)?;
        }
    }
    Ok(())
}

fn follow_source(source: &Source) -> Result<()> {
    let all = cache::read_catalog(|session| source::members(session, source))?;
    match difference(source, &all)? {
        Some((attached, detached)) => move_members(source, &all, &attached, &detached),
        None => Ok(()),
    }
}

/// Records that these tables are members of a source, and those are not any more, and captures their rows.
fn move_members(source: &Source, all: &[Member], attached: &[Member], detached: &[Oid]) -> Result<()> {
    if attached.is_empty() && detached.is_empty() || !is_captured(source, attached, detached)? {
        return Ok(());
    }
    // Until the transaction has ended, and other processes know of it.
    Lock::Members(source.id).acquire_shared();
    // The command has locked the table itself; its own children may have writers, which do not fire our triggers.
    attached.iter().for_each(|member| relation::lock(member.relid, pg_sys::ShareRowExclusiveLock));
    quietly(|| create_triggers(source, all))?;
    xact::advance_command();
    let is_attached = |member: &Member| attached.iter().any(|other| other.relid == member.relid);
    let now = cache::read_catalog(|session| source::members(session, source))?;
    let attached: Vec<Member> = now.into_iter().filter(is_attached).collect();
    cache::read_catalog(|session| {
        detached.iter().try_for_each(|relid| source::forget_member(session, source.id, *relid))?;
        attached.iter().try_for_each(|member| source::record_member(session, source.id, member))
    })?;
    attached.iter().map(|member| member.relid).chain([source.relid]).for_each(relation::invalidate);
    xact::advance_command();
    let info = cache::require_source(source.id)?;
    let tables = attached.iter().map(|member| (member.relid, 1)).chain(detached.iter().map(|relid| (*relid, -1)));
    let mut with_rows = tables.filter(|(table, _)| relation::kind(*table).is_some_and(|kind| kind.relkind == b'r'));
    with_rows.try_for_each(|(table, weight)| capture_rows(&info, table, weight))
}

/// The members that are not recorded, and those that are recorded and are members no more; `None` where capture of others was
/// not complete.
fn difference(source: &Source, members: &[Member]) -> Result<Option<(Vec<Member>, Vec<Oid>)>> {
    let recorded = cache::read_catalog(|session| source::recorded(session, source.id))?;
    let mut recorded: HashMap<Oid, String> = recorded.into_iter().collect();
    let mut attached = vec![];
    for member in members {
        match recorded.remove(&member.relid) {
            None => attached.push(member.clone()),
            Some(fingerprint) if fingerprint == member.fingerprint && member.is_covered() => {}
            Some(_) => return Ok(None),
        }
    }
    Ok(Some((attached, recorded.into_keys().collect())))
}

/// Whether the rows of all these tables are captured here: they are rows that a trigger could have captured, and those of
/// detached tables are few.
fn is_captured(source: &Source, attached: &[Member], detached: &[Oid]) -> Result<bool> {
    if cache::read_catalog(|session| source::is_stream_table(session, source.relid))? {
        return Ok(false);
    }
    let unlogged = relation::is_unlogged(cache::require_source(source.id)?.buffer);
    let fits = |member: &Member| match member.relkind.as_str() {
        "r" => member.is_unlogged == unlogged,
        kind => kind == "p",
    };
    // A dropped table has no kind.
    let is_there = |relid: &Oid| relation::kind(*relid).is_some_and(|kind| matches!(kind.relkind, b'r' | b'p'));
    let few = detached.iter().map(|relid| relation::estimated_rows(*relid)).sum::<f64>() <= MOST_DETACHED;
    Ok(attached.iter().all(fits) && detached.iter().all(is_there) && few)
}

/// Captures the rows of a table with this weight.
fn capture_rows(info: &SourceInfo, table: Oid, weight: i64) -> Result<()> {
    let target = cache::target_of(info, table);
    if target.to.layout == UNRECORDED {
        return record_loss(&target);
    }
    relation::for_each_row(table, target.width, |row| record(&target, row, weight))
}

/// Waits for transactions that changed the members of a source, that `snapshot` sees as committed, and whose invalidations have
/// not been sent yet: until then the relation cache of this process is older than the snapshot.
pub fn await_members(id: i32, snapshot: &Snapshot) -> Result<()> {
    if Lock::Members(id).is_held_elsewhere() {
        let recorded_by = spi::connect(Some(snapshot), |session| source::recorded_by(session, id))?;
        recorded_by.into_iter().for_each(xact::await_end);
    }
    Ok(())
}
