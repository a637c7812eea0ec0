//! The tick: what is due and everything it reads, in topological order, under one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Instant;

use ivm::dag::Dag;
use pgrx::datum::{TimestampWithTimeZone, clock_timestamp};

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

/// How one stream table fared in a tick.
#[derive(Debug)]
pub struct Outcome {
    pub id: i32,
    pub refresh: Refresh,
    pub error: Option<Error>,
    /// It was not tried, because something that it reads failed.
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

/// Refreshes the given stream tables and everything they read. Each is a subtransaction of its own: one
/// that fails leaves its consumers as they were.
pub fn tick(ids: &[i32]) -> Result<Vec<Outcome>> {
    let (mut outcomes, rebuilt) = pass(ids)?;
    if !rebuilt.is_empty() {
        outcomes.retain(|outcome| !rebuilt.contains(&outcome.id));
        outcomes.extend(pass(&rebuilt)?.0);
    }
    Ok(outcomes)
}

fn pass(ids: &[i32]) -> Result<(Vec<Outcome>, Vec<i32>)> {
    capture::flush()?;
    let order = quietly(|| spi::connect(None, |session| plan(session, ids)))?;
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
        let outcomes = run(&mut tick, order)?;
        for source in &tick.consumed {
            prune::remove(*source, &tick.snapshot)?;
        }
        bound_buffers(&tick.consumed)?;
        Ok((outcomes, tick.rebuilt))
    })
}

fn run(tick: &mut Tick, order: Vec<i32>) -> Result<Vec<Outcome>> {
    let mut failed: BTreeSet<i32> = BTreeSet::new();
    let mut outcomes = vec![];
    for id in order {
        let started = Instant::now();
        let upstream = upstream_failed(id, &failed)?;
        let held_up = upstream.is_some();
        let result = upstream.map_or_else(|| attempt(tick, id, started), |name| Err(upstream_error(&name)));
        outcomes.push(match result {
            Ok(refresh) => Outcome { id, refresh, error: None, held_up },
            Err(error) => {
                failed.insert(id);
                loaded::forget(id);
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
fn plan(session: &Session, ids: &[i32]) -> Result<Vec<i32>> {
    let order = in_order(session, ids)?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    sorted.iter().for_each(|id| lock(*id));
    for id in &order {
        for oid in loaded::relations(session, *id)? {
            relation::lock_for_reading(oid);
        }
    }
    Ok(order)
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
    for (table, reads) in loaded::edges(session)?.iter() {
        graph.put(table, reads)?;
    }
    Ok(graph.order(&graph.upstream(&ids.iter().copied().collect())))
}

/// A stream table and all that it reads, directly or through others.
pub fn with_upstream(id: i32) -> Result<Vec<i32>> {
    quietly(|| spi::connect(None, |session| in_order(session, &[id])))
}

fn upstream_failed(id: i32, failed: &BTreeSet<i32>) -> Result<Option<String>> {
    if failed.is_empty() {
        return Ok(None);
    }
    quietly(|| {
        spi::connect(None, |session| {
            let edges = loaded::edges(session)?;
            let found = edges.get(&id).into_iter().flatten().find(|upstream| failed.contains(upstream));
            found.map_or(Ok(None), |upstream| Ok(stream_table::find(session, *upstream)?.map(|table| table.display())))
        })
    })
}

fn upstream_error(name: &str) -> Error {
    Error::new(
        pgrx::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("stream table {name}, which it reads, could not be refreshed"),
    )
    .detail("It keeps its last consistent state.")
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
