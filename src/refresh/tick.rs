//! The tick: what is due and everything it reads, in topological order, under one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Instant;

use ivm::dag::Dag;
use pgrx::datum::{TimestampWithTimeZone, clock_timestamp};
use pgrx::pg_sys::Oid;

use crate::catalog::history::{Action, Refresh};
use crate::catalog::{dependency, frontier, history, quietly, stream_table};
use crate::error::{Error, Kind, Result};
use crate::pg::object;
use crate::pg::relation;
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::subxact::subtransaction;
use crate::pg::tuplestore::Tuplestore;
use crate::refresh::{bound_buffers, loaded, prune, table};
use crate::{capture, guc};

/// What a tick does where others hold locks that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// It waits for them.
    Wait,
    /// It leaves out the stream tables that need them. So it never stands in the way of those who wait for it, and no
    /// user's DDL is the victim of a deadlock with it.
    Skip,
}

impl Locks {
    /// Whether the lock of a stream table's refresh was taken.
    fn take(self, id: i32) -> bool {
        match self {
            Locks::Wait => lock(id),
            Locks::Skip => return object::try_lock_stream_table(id),
        }
        true
    }

    /// Whether a relation was locked for reading, and all below it.
    fn read(self, oid: Oid) -> bool {
        match self {
            Locks::Wait => drop(relation::lock_for_reading(oid)),
            Locks::Skip => return relation::try_lock_for_reading(oid),
        }
        true
    }
}

/// How one stream table fared in a tick.
#[derive(Debug)]
pub struct Outcome {
    pub id: i32,
    pub refresh: Refresh,
    pub error: Option<Error>,
    /// It was not tried, because something that it reads failed, or others had it locked.
    pub held_up: bool,
}

/// What the tables of one tick share.
pub struct Tick {
    pub snapshot: Rc<Snapshot>,
    /// Just before the snapshot.
    pub taken: TimestampWithTimeZone,
    /// Changes applied to stream tables in this tick, by the source that they are to others.
    pub deltas: BTreeMap<i32, Tuplestore>,
    /// Those of them that a change buffer holds as well, for consumers outside of the tick.
    pub written: BTreeSet<i32>,
    /// Sources of which something was read, to be pruned at the end.
    pub consumed: BTreeSet<i32>,
    pub members: BTreeSet<i32>,
    /// Stream tables whose definition had to be compiled anew: they are filled under a later snapshot.
    pub rebuilt: Vec<i32>,
}

impl Outcome {
    pub fn did_work(&self) -> bool {
        self.refresh.action != Action::NoData
    }
}

/// Refreshes the given stream tables and everything they read, but for what polls. Each is a subtransaction of its own: one
/// that fails leaves its consumers as they were.
pub fn tick(ids: &[i32], locks: Locks) -> Result<Vec<Outcome>> {
    let (mut outcomes, rebuilt) = pass(ids, locks)?;
    if !rebuilt.is_empty() {
        outcomes.retain(|outcome| !rebuilt.contains(&outcome.id));
        outcomes.extend(pass(&rebuilt, locks)?.0);
    }
    Ok(outcomes)
}

fn pass(ids: &[i32], locks: Locks) -> Result<(Vec<Outcome>, Vec<i32>)> {
    capture::flush()?;
    let (order, locked) = quietly(|| spi::connect(None, |session| plan(session, ids, locks)))?;
    let taken = clock_timestamp();
    let snapshot = Rc::new(Snapshot::latest());
    let mut tick = Tick {
        taken,
        snapshot: Rc::clone(&snapshot),
        deltas: BTreeMap::new(),
        written: BTreeSet::new(),
        consumed: BTreeSet::new(),
        members: order.iter().copied().collect(),
        rebuilt: vec![],
    };
    snapshot.active(|| {
        let outcomes = run(&mut tick, order, locked)?;
        for source in &tick.consumed {
            prune::remove(*source, &tick.snapshot)?;
        }
        bound_buffers(&tick.consumed)?;
        Ok((outcomes, tick.rebuilt))
    })
}

/// `locked`: those whose turn it is not, because others hold their locks.
fn run(tick: &mut Tick, order: Vec<i32>, locked: BTreeSet<i32>) -> Result<Vec<Outcome>> {
    let mut failed = locked;
    let mut outcomes = vec![];
    for id in order {
        let started = Instant::now();
        let obstacle = obstacle(id, &failed)?;
        let held_up = obstacle.is_some();
        let result = obstacle.map_or_else(|| attempt(tick, id, started), Err);
        outcomes.push(match result {
            Ok(refresh) => Outcome { id, refresh, error: None, held_up },
            Err(error) => {
                failed.insert(id);
                if !held_up {
                    loaded::forget(id);
                }
                Outcome { id, refresh: failure(&error, started), error: Some(error), held_up }
            }
        });
    }
    if !failed.is_empty() {
        keep_for(tick, &failed, &outcomes)?;
    }
    Ok(outcomes)
}

/// A delta evaluates expressions on rows that came and went between two refreshes, so it can fail where the
/// query does not: then the table starts over, and the history says so. What fails again is the query's error.
fn attempt(tick: &mut Tick, id: i32, started: Instant) -> Result<Refresh> {
    match subtransaction(|| table::refresh(tick, id, started, None)) {
        Err(error) if error.kind() == Kind::User => subtransaction(|| table::refresh(tick, id, started, Some(&error))),
        result => result,
    }
}

/// A table that failed will need the changes that this tick passed in memory: they go to the change
/// buffers, and those who have consumed them already count them as seen.
fn keep_for(tick: &mut Tick, failed: &BTreeSet<i32>, outcomes: &[Outcome]) -> Result<()> {
    quietly(|| {
        spi::connect(Some(&tick.snapshot), |session| {
            for id in failed {
                for dependency in dependency::of(session, *id)? {
                    if let Some(delta) = tick.deltas.get(&dependency.source)
                        && tick.written.insert(dependency.source)
                    {
                        capture::write(dependency.source, delta)?;
                    }
                }
            }
            for outcome in outcomes.iter().filter(|outcome| outcome.error.is_none() && outcome.did_work()) {
                frontier::set_own(session, outcome.id, capture::position())?;
            }
            Ok(())
        })
    })
}

/// Takes every lock of the tick, before the snapshot: one per stream table, so that refreshes of it come
/// one after the other, and a reader's lock on all they read, so that none is truncated or rewritten under us.
/// In which order the tables come, and which of them could not be locked.
fn plan(session: &Session, ids: &[i32], locks: Locks) -> Result<(Vec<i32>, BTreeSet<i32>)> {
    let mut order = in_order(session, ids)?;
    let edges = loaded::edges(session)?;
    order.retain(|id| ids.contains(id) || !edges.polling.contains(id));
    let mut sorted = order.clone();
    sorted.sort_unstable();
    let mut locked: BTreeSet<i32> = sorted.into_iter().filter(|id| !locks.take(*id)).collect();
    for id in &order {
        if !loaded::relations(session, *id)?.into_iter().all(|oid| locks.read(oid)) {
            locked.insert(*id);
        }
    }
    Ok((order, locked))
}

/// Serialises refreshes, definitions and drops of one stream table until the end of the transaction.
pub fn lock(id: i32) {
    object::lock_stream_table(id);
}

/// The given stream tables and all that they read, each after what it reads.
pub fn in_order(session: &Session, ids: &[i32]) -> Result<Vec<i32>> {
    let mut graph = Dag::default();
    for id in ids {
        graph.put(id, &[])?;
    }
    for (table, reads) in &loaded::edges(session)?.reads {
        graph.put(table, reads)?;
    }
    Ok(graph.order(&graph.upstream(&ids.iter().copied().collect())))
}

/// A stream table and all that it reads, directly or through others.
pub fn with_upstream(id: i32) -> Result<Vec<i32>> {
    quietly(|| spi::connect(None, |session| in_order(session, &[id])))
}

/// Why a stream table is not tried: others have it locked, or what it reads was not refreshed.
fn obstacle(id: i32, failed: &BTreeSet<i32>) -> Result<Option<Error>> {
    if failed.is_empty() {
        return Ok(None);
    }
    let held = |what: String| {
        let error = Error::new(pgrx::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, what);
        Ok(Some(error.detail("It keeps its last consistent state.")))
    };
    if failed.contains(&id) {
        return held("the stream table or something that it reads is locked by another transaction".to_owned());
    }
    let upstream = quietly(|| {
        spi::connect(None, |session| {
            let edges = loaded::edges(session)?;
            let found = edges.reads.get(&id).into_iter().flatten().find(|upstream| failed.contains(upstream));
            found.map_or(Ok(None), |upstream| Ok(stream_table::find(session, *upstream)?.map(|table| table.display())))
        })
    })?;
    upstream.map_or(Ok(None), |name| held(format!("stream table {name}, which it reads, could not be refreshed")))
}

fn failure(error: &Error, started: Instant) -> Refresh {
    Refresh {
        action: Action::NoData,
        inserted: 0,
        updated: 0,
        deleted: 0,
        delta_rows: 0,
        duration_ms: started.elapsed().as_secs_f64() * 1e3,
        expected: None,
        error: Some(error.in_full()),
    }
}

/// Writes down that a refresh failed; suspends the stream table after too many failures that will not
/// go away by themselves. True when it is suspended.
pub fn record_failure(id: i32, error: &Error) -> Result<bool> {
    quietly(|| {
        spi::connect(None, |session| {
            let kind = error.kind();
            let count = frontier::failed(session, id, &error.in_full(), kind != Kind::Transient)?;
            if matches!(kind, Kind::Schema | Kind::Bug) {
                frontier::reinitialize(session, id, &error.in_full())?;
            }
            history::insert(session, id, &failure(error, Instant::now()))?;
            let suspend = count >= guc::max_consecutive_errors();
            if suspend {
                stream_table::set_status(session, id, stream_table::Status::Suspended)?;
            }
            Ok(suspend)
        })
    })
}
