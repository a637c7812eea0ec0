//! The tick: the stream tables that are due, everything that they read and what shows one moment with these, in topological
//! order, under one snapshot.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ivm::schedule::Table;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;

use crate::capture;
use crate::catalog::frontier;
use crate::catalog::history::Refresh;
use crate::catalog::{dependency, quietly, stream_table};
use crate::error::{Error, Kind, Result};
use crate::pg::defer::Defer;
use crate::pg::limit::{self, Limited};
use crate::pg::lock::Lock;
use crate::pg::spi::{self, Session};
use crate::pg::subxact::subtransaction;
use crate::pg::{bgworker, relation};
use crate::refresh::claim::Claim;
use crate::refresh::locks::lock;
use crate::refresh::relink::relink;
use crate::refresh::shared::{Rebuilds, Tick};
use crate::refresh::{beside, build, freshness, graph, loaded, passes, prepared, table};

/// What a tick does where other transactions hold locks that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// It waits for them.
    Wait,
    /// It skips the stream tables that need them. So it never waits while others wait for it, and no user's DDL is the victim
    /// of a deadlock with it.
    Skip,
}

impl Locks {
    /// Whether the lock of a stream table's refresh was taken.
    fn take(self, id: i32) -> bool {
        match self {
            Locks::Wait => {
                lock(id);
                true
            }
            Locks::Skip => Lock::StreamTable(id).try_acquire(),
        }
    }

    /// Whether a relation was locked for reading, and all below it.
    fn read(self, oid: Oid) -> bool {
        match self {
            Locks::Wait => {
                relation::lock_for_reading(oid);
                true
            }
            Locks::Skip => relation::try_lock_for_reading(oid),
        }
    }
}

/// Stream tables that nothing has changed.
pub struct Unchanged<'a> {
    pub ids: &'a BTreeSet<i32>,
    /// Whether that is so for every snapshot that was taken before this is asked.
    pub still: &'a dyn Fn() -> bool,
}

/// What a tick refreshes beside the stream tables that it is given.
#[derive(Clone, Copy)]
pub enum Extent<'a> {
    /// Everything that they read, except tables that poll, and all that show one moment with these.
    Moments,
    /// The same, but for tables that are unchanged.
    Changed(&'a Unchanged<'a>),
    /// Only what they read: for a tick that is rolled back.
    Upstream,
    /// The same, without those that were restored and are not attached yet.
    Attached,
}

/// Refreshes the given stream tables and others with them. Each is a subtransaction of its own: one that fails leaves its
/// consumers unchanged. Where [`torn`] finds something, the transaction must be rolled back; else [`conclude`](super::conclude)
/// must follow, in this transaction or a later one.
pub fn tick(ids: &[i32], extent: Extent<'_>, locks: Locks, rebuilds: Rebuilds) -> Result<Vec<Refresh>> {
    // Except for the queries of users, which run as their owners, everything reads and writes the catalog: role and path
    // are set once for all of it.
    let _compiled = Defer(loaded::drop_compiled);
    bgworker::in_tick(|| quietly(|| passes((ids, extent), locks, rebuilds)))
}

/// The stream tables that must not be refreshed because some of these refreshes failed, if any of them was: they would show
/// another moment than those.
pub fn torn(refreshes: &[Refresh]) -> Result<BTreeSet<i32>> {
    let failed: BTreeSet<i32> = refreshes.iter().filter(|it| it.is_failed()).map(|it| it.id).collect();
    if failed.is_empty() {
        return Ok(failed);
    }
    let ids: Vec<i32> = refreshes.iter().map(|refresh| refresh.id).collect();
    let held = held(&ids, &failed)?;
    let is_torn = refreshes.iter().any(|refresh| held.contains(&refresh.id) && refresh.is_applied());
    Ok(if is_torn { held } else { BTreeSet::new() })
}

/// Those of the given stream tables that must not be refreshed where these fail.
pub fn held(ids: &[i32], failed: &BTreeSet<i32>) -> Result<BTreeSet<i32>> {
    Ok(graph::edges()?.held(ids, failed))
}

/// The refresh of a stream table that was not made because another one failed.
pub fn held_back(id: i32, failed: Option<&str>) -> Refresh {
    let what = match failed {
        Some(name) => format!("stream table {name}, which it reads or whose moment it shows, could not be refreshed"),
        None => "a stream table that it reads or whose moment it shows could not be refreshed".to_owned(),
    };
    let error = Error::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, what);
    let error = error.detail("It keeps its last consistent state.");
    Refresh { skipped: true, ..Refresh::failed(id, error, Duration::ZERO) }
}

/// How often a tick takes a later snapshot for tables that need one.
const MOST_PASSES: usize = 5;

fn passes(what: (&[i32], Extent<'_>), locks: Locks, rebuilds: Rebuilds) -> Result<Vec<Refresh>> {
    relink()?;
    let mut alone = BTreeSet::new();
    let (mut refreshes, mut again) = pass(what, (locks, &alone), rebuilds)?;
    for _ in 1..MOST_PASSES {
        if again.is_empty() {
            break;
        }
        alone.extend(&again);
        // All of them once more: such a table and its readers are to show one snapshot.
        let (later, rest) = pass(what, (locks, &alone), rebuilds)?;
        later.into_iter().for_each(|refresh| merge(&mut refreshes, refresh));
        again = rest;
    }
    again.into_iter().for_each(|id| merge(&mut refreshes, Refresh::failed(id, altered_again(), Duration::ZERO)));
    Ok(refreshes)
}

fn altered_again() -> Error {
    let message = format!("sources of the stream table were altered in each of {MOST_PASSES} attempts to refresh it");
    Error::new(PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE, message)
        .detail("It keeps its last consistent state.")
        .hint("Refresh it again.")
}

/// Adds the refresh of a later pass.
fn merge(refreshes: &mut Vec<Refresh>, later: Refresh) {
    match refreshes.iter_mut().find(|refresh| refresh.id == later.id) {
        Some(first) if later.is_applied() || later.is_failed() => {
            let consumed = [std::mem::take(&mut first.consumed), later.consumed].concat();
            *first = Refresh { consumed, ..later };
        }
        Some(_) => {}
        None => refreshes.push(later),
    }
}

/// `alone`: stream tables that need a lock that is not shared.
fn pass(
    what: (&[i32], Extent<'_>),
    (locks, alone): (Locks, &BTreeSet<i32>),
    rebuilds: Rebuilds,
) -> Result<(Vec<Refresh>, Vec<i32>)> {
    capture::flush()?;
    let position = capture::position();
    let (order, locked, shared) = spi::connect(None, |session| plan(session, what, (locks, alone)))?;
    let _claim = Claim::on(&order)?;
    freshness::begin(order.iter().copied().filter(|id| !locked.contains(id)));
    let left_out = match what.1 {
        Extent::Changed(but) => but.ids,
        Extent::Moments | Extent::Upstream | Extent::Attached => &BTreeSet::new(),
    };
    let begun = freshness::definitions(order.iter().chain(left_out).copied());
    let mut tick = Tick::new(order.iter().copied().collect(), rebuilds);
    if let Extent::Changed(but) = what.1
        && !(but.still)()
    {
        return Err(Error::Incomplete);
    }
    let snapshot = Rc::clone(&tick.snapshot);
    snapshot.active(|| {
        tick.seen = spi::connect(Some(&snapshot), |session| frontier::get(session, &order))?;
        let is_attached = |id: &i32| tick.seen.contains_key(id);
        let order = match what.1 {
            Extent::Attached => order.into_iter().filter(is_attached).collect(),
            _ => order,
        };
        let edges = graph::edges()?;
        for id in order.iter().filter(|id| edges.is_immediate(**id)) {
            let seen = tick.seen.get_mut(id).filter(|seen| seen.frontier.is_some());
            seen.into_iter().for_each(|seen| seen.frontier = Some(passes::shown(*id, &snapshot)));
            tick.maintained.insert(*id);
        }
        tick.shared = shared;
        let refreshes = run(&mut tick, order, locked)?;
        let is_done =
            |it: &&Refresh| !it.is_failed() && !tick.again.contains(&it.id) && tick.maintained.contains(&it.id);
        passes::record(refreshes.iter().filter(is_done).map(|it| it.id), position);
        tick.advance(&refreshes)?;
        if tick.again.is_empty() {
            let at = (&*graph::edges()?, &snapshot.frontier());
            freshness::publish_at_commit(begun, &refreshes, left_out, at);
        }
        Ok((refreshes, tick.again))
    })
}

/// `locked`: stream tables that are skipped because other transactions hold their locks.
fn run(tick: &mut Tick, order: Vec<i32>, locked: BTreeSet<i32>) -> Result<Vec<Refresh>> {
    let mut failed = locked;
    let mut refreshes = vec![];
    let seen = tick.snapshot.frontier().xmin();
    // An earlier request concerned another tick.
    bgworker::take_yield_request();
    let mut yields = false;
    for id in order {
        tick.place += 1;
        let started = Instant::now();
        yields |= bgworker::take_yield_request();
        failed.extend(yields.then_some(id));
        let obstacle = obstacle(id, &failed)?;
        let skipped = obstacle.is_some();
        let result = obstacle.map_or_else(|| attempt(tick, id), Err);
        let took = started.elapsed();
        refreshes.push(match result {
            Ok(refresh) => {
                let snapshot = i64::from(tick.taken) + bgworker::EPOCH;
                Refresh { duration_ms: took.as_secs_f64() * 1e3, snapshot, seen, ..refresh }
            }
            Err(error @ Error::Stale(_)) => return Err(error),
            Err(error) => {
                failed.insert(id);
                if !skipped {
                    prepared::forget(id);
                }
                Refresh { skipped, ..Refresh::failed(id, error, took) }
            }
        });
    }
    if !failed.is_empty() {
        write_for(tick, &failed)?;
    }
    Ok(refreshes)
}

/// A delta evaluates expressions on rows that were inserted and deleted between two refreshes, so it can fail where the
/// query does not: then the table starts over, and the history says so. A second error is the query's own.
fn attempt(tick: &mut Tick, id: i32) -> Result<Refresh> {
    let result = within_limit(|| table::refresh(tick, id, false))?;
    if tick.shared.contains(&id) && result.as_ref().is_err_and(|error| error.needs_lock()) {
        tick.again.push(id);
        return Ok(Refresh::unchanged(id));
    }
    let failed = match result {
        Err(error) if error.as_reason().is_some() => return recompute_from_now_on(tick, id, error),
        Err(Error::Altered(_)) => {
            tick.again.push(id);
            return Ok(Refresh::unchanged(id));
        }
        Err(error) if error.kind() == Kind::User => {
            let refresh = within_limit(|| table::refresh(tick, id, true))??;
            return Ok(Refresh { error: Some(error).filter(|_| refresh.is_applied()), ..refresh });
        }
        Err(error) => error,
        result => return result,
    };
    Err(with_path(failed, id)?)
}

/// The server refuses to apply the changes of this table.
fn recompute_from_now_on(tick: &mut Tick, id: i32, error: Error) -> Result<Refresh> {
    let Some(table) = spi::connect(None, |session| stream_table::find(session, id))? else { return Err(error) };
    subtransaction(|| build::recompute_from_now_on(&table, error))?;
    tick.again.push(id);
    Ok(Refresh::unchanged(id))
}

/// Runs `f` in a subtransaction; an error of its own where the time limit ended it.
fn within_limit<R>(f: impl FnOnce() -> Result<R>) -> Result<Result<R>> {
    match (subtransaction(f), limit::exceeded(Limited::Refresh)) {
        (Err(error), Some(limit)) if error.code() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED => Err(too_long(limit)),
        (result, _) => Ok(result),
    }
}

/// Not transient: the next refresh would take as long.
fn too_long(limit: Duration) -> Error {
    let what = format!("the refresh took longer than its limit of {limit:?}");
    Error::new(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, what)
        .detail("The table keeps its last consistent state.")
        .hint(
            "Raise the limit: alter_stream_table(…, refresh_timeout => …), or the setting pg_trickle.refresh_timeout.",
        )
}

/// Adds the search path of the refresh to an error about a name that a function uses without its schema.
fn with_path(error: Error, id: i32) -> Result<Error> {
    let names = [
        PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION,
        PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
    ];
    if !names.contains(&error.code()) {
        return Ok(error);
    }
    let Some(table) = spi::connect(None, |session| stream_table::find(session, id))? else { return Ok(error) };
    Ok(error.hint(format!(
        "Stream table {} is refreshed under search_path = {}. Let functions name what they use with its schema, or give \
         them a path: ALTER FUNCTION … SET search_path.",
        table.display(),
        table.search_path
    )))
}

/// Writes the changes that this tick passed in memory to the change buffers, for tables that failed.
fn write_for(tick: &mut Tick, failed: &BTreeSet<i32>) -> Result<()> {
    let read = |session: &Session| -> Result<Vec<_>> {
        failed.iter().map(|id| dependency::of(session, *id)).collect::<Result<Vec<_>>>()
    };
    let dependencies = spi::connect(Some(&tick.snapshot), read)?;
    let sources: BTreeSet<i32> = dependencies.iter().flatten().map(|dependency| dependency.source).collect();
    for source in sources {
        if !tick.written.contains(&source)
            && let Some(delta) = tick.deltas.remove(&source)
        {
            tick.write(source, &delta)?;
        }
    }
    Ok(())
}

/// Takes every lock of the tick, before the snapshot: one per stream table, which serialises its refreshes, and a reader's
/// lock on all they read, which keeps TRUNCATE and rewrites away. The tables in order, those that were not locked, and those of
/// which the lock is shared.
fn plan(
    session: &Session,
    (ids, extent): (&[i32], Extent<'_>),
    (locks, alone): (Locks, &BTreeSet<i32>),
) -> Result<(Vec<i32>, BTreeSet<i32>, BTreeSet<i32>)> {
    let edges = graph::edges()?;
    let order = match extent {
        Extent::Moments => edges.refreshed_with(ids),
        Extent::Changed(but) => {
            let all = edges.refreshed_with(ids).into_iter();
            all.filter(|id| ids.contains(id) || !but.ids.contains(id)).collect()
        }
        Extent::Upstream | Extent::Attached => edges.in_order(ids),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    let (mut busy, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for id in sorted {
        if matches!(extent, Extent::Attached) && !alone.contains(&id) && beside::share(id)? {
            shared.insert(id);
        } else if !locks.take(id) {
            busy.insert(id);
        }
    }
    // Another refresh has locked these and will reach others: connected tables are refreshed together, after it.
    let mut locked = edges.connected(&order, &busy);
    // Each relation once: its lock may be released in between, and readers of it would be refreshed apart.
    let mut read = HashMap::new();
    let mut may_read = |oid| *read.entry(oid).or_insert_with(|| locks.read(oid));
    for id in &order {
        if !prepared::relations(session, *id)?.into_iter().all(&mut may_read) {
            locked.insert(*id);
        }
    }
    Ok((order, locked, shared))
}

/// A stream table and all that it reads, directly or through others, each after what it reads.
pub fn with_upstream(id: i32) -> Result<Vec<i32>> {
    Ok(graph::edges()?.in_order(&[id]))
}

/// A stream table and all that are refreshed with it.
pub fn refreshed_with(id: i32) -> Result<Vec<i32>> {
    Ok(graph::edges()?.refreshed_with(&[id]))
}

/// The stream tables that show one moment with this one, itself among them if there is another.
pub fn of_one_moment(id: i32) -> Result<Vec<i32>> {
    Ok(graph::edges()?.of_one_moment(&[id].into()).into_iter().collect())
}

/// The direct readers of a stream table that writers maintain.
pub fn immediate_readers(id: i32) -> Result<Vec<i32>> {
    Ok(graph::edges()?.immediate_readers(id))
}

/// Whether workers refresh a stream table, or will when nothing pauses it. Those that writers maintain they only fill.
pub fn is_scheduled(table: &Table) -> Result<bool> {
    Ok(!graph::edges()?.is_immediate(table.id) || !table.populated || table.outdated_since.is_some())
}

/// Why a stream table is skipped: another transaction has locked it, or a source was not refreshed.
fn obstacle(id: i32, failed: &BTreeSet<i32>) -> Result<Option<Error>> {
    if failed.is_empty() {
        return Ok(None);
    }
    let held = |what: String| {
        let error = Error::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, what);
        Ok(Some(error.detail("It keeps its last consistent state.")))
    };
    if failed.contains(&id) {
        return held("the stream table or something that it reads is locked by another transaction".to_owned());
    }
    let upstream = graph::edges()?.reads(id).into_iter().find(|upstream| failed.contains(upstream));
    upstream.map_or(Ok(None), |id| held(format!("stream table {}, which it reads, could not be refreshed", name(id)?)))
}

fn name(id: i32) -> Result<String> {
    let table = spi::connect(None, |session| stream_table::find(session, id))?;
    Ok(table.map_or_else(|| "that was dropped".to_owned(), |table| table.display()))
}
