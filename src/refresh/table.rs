//! The refresh of one stream table within a tick.

use std::collections::BTreeMap;
use std::time::Instant;

use ivm::choice::Choice;
use ivm::frontier::Frontier;
use ivm::plan::Relation;
use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;

use crate::capture::{self, Pending};
use crate::catalog::dependency::Dependency;
use crate::catalog::frontier::{self, Seen};
use crate::catalog::history::{Action, Expected, Failure, Refresh};
use crate::error::{Error, Result};
use crate::guc;
use crate::pg::spi::{self, OwnerSession};
use crate::pg::{bgworker, limit, progress, xact};
use crate::refresh::adaptive::{self, Deltas};
use crate::refresh::loaded::{self, Loaded, Ready};
use crate::refresh::program::Changes;
use crate::refresh::tick::Tick;
use crate::refresh::{advice, build, clock};

/// Microseconds after which the frontier's time is moved although nothing else did.
const NOTED: i64 = 10_000_000;

/// Pending changes of the sources of one stream table.
pub struct Input {
    pub deltas: Deltas,
    /// Those that have any.
    sources: Vec<i32>,
    pub rows: i64,
    /// A source was truncated: rows left without a change row.
    pub truncated: bool,
}

/// What was done: how, what it changed, what made it so.
struct Done {
    action: Action,
    changes: Changes,
    choice: Option<Choice>,
    error: Option<Failure>,
}

/// Brings stream table `id` to the tick's snapshot; with `restart`, the error of a first try, from the start.
pub fn refresh(tick: &mut Tick, id: i32, started: Instant, restart: Option<&Error>) -> Result<Refresh> {
    let seen = tick.seen.get(&id).cloned().unwrap_or_default();
    let loaded = match loaded::load(id)? {
        Ready::Yes(loaded) => loaded,
        Ready::Stale(table, reason) => {
            // What writers capture changes with this: the fill needs a snapshot that is taken afterwards.
            build::rebuild(&table, &reason)?;
            tick.rebuilt.push(id);
            return Ok(Refresh::nothing());
        }
    };
    let limit = loaded.table.timeout.unwrap_or_else(guc::refresh_timeout);
    let (place, members) = (tick.place, tick.members.len());
    let activity = || format!("refreshing {} ({place} of {members})", loaded.table.display());
    let brought = || limit::within(limit, || bring(tick, &loaded, &seen, (started, restart)));
    progress::during(activity, || bgworker::at_work(loaded.table.relid, brought))
}

/// The same of one that is ready. With `restart` the table starts over.
fn bring(tick: &mut Tick, loaded: &Loaded, seen: &Seen, attempt: (Instant, Option<&Error>)) -> Result<Refresh> {
    let (started, restart) = attempt;
    let Some(seen_frontier) = &seen.frontier else {
        let changes = as_owner(tick, loaded, None, |session| adaptive::fill(session, loaded))?;
        build::index_table(loaded)?;
        advice::index_nodes(loaded)?;
        let done = Done { action: Action::Full, changes, choice: None, error: None };
        return finish(tick, loaded, done, 0, started);
    };
    let starts_over = seen.reinitialize.is_some() || restart.is_some();
    let enough = if starts_over { 0 } else { adaptive::enough(loaded) };
    let input = pending(tick, loaded, seen_frontier, enough)?;
    tick.consumed.extend(&input.sources);
    if starts_over || input.truncated {
        let changes = as_owner(tick, loaded, None, |session| adaptive::full(session, loaded, seen.replaces))?;
        if seen.replaces {
            build::index_table(loaded)?;
        }
        advice::index_nodes(loaded)?;
        let done = Done { action: Action::Reinitialize, changes, choice: None, error: restart.map(Failure::from) };
        return finish(tick, loaded, done, input.rows, started);
    }
    if input.rows == 0 && !loaded.view.reads_clock() && !loaded.table.polls() {
        return Ok(Refresh::nothing());
    }
    let (deltas, rows) = (input.deltas, input.rows);
    let whole = |deltas| rest(tick, loaded, seen_frontier, deltas);
    let (action, changes, choice) =
        as_owner(tick, loaded, seen.moment, |session| adaptive::bring(session, loaded, deltas, whole))?;
    if rows == 0 && !changes.moved {
        return stand_still(tick, loaded, seen.moment);
    }
    finish(tick, loaded, Done { action, changes, choice, error: None }, rows, started)
}

/// Reads what each source has pending behind the frontier: from this tick's memory for stream tables that
/// it moved, from the change buffers otherwise. Of more rows than `enough` of one source, the rest is only counted.
pub fn pending(tick: &Tick, loaded: &Loaded, seen: &Frontier, enough: i64) -> Result<Input> {
    let mut input = Input { deltas: BTreeMap::new(), sources: vec![], rows: 0, truncated: false };
    for dependency in &loaded.dependencies {
        let name = &loaded.names[&dependency.source];
        let mut pending = capture::pending(dependency.source, (seen, &tick.snapshot), &dependency.columns, enough)?;
        input.truncated |= pending.truncated;
        add_applied(tick, dependency, &mut pending, enough)?;
        if pending.rows > 0 {
            input.rows += pending.rows;
            input.sources.push(dependency.source);
            if pending.may_matter() {
                input.deltas.insert(Relation::SourceDelta(name.clone()), pending);
            }
        }
    }
    Ok(input)
}

/// Adds what this tick changed in a source that is a stream table; of more rows than `enough` it is only counted.
fn add_applied(tick: &Tick, dependency: &Dependency, pending: &mut Pending, enough: i64) -> Result<()> {
    let Some(applied) = tick.deltas.get(&dependency.source) else { return Ok(()) };
    pending.rows += applied.rows();
    if pending.read < enough {
        pending.read += applied.rows();
        applied.append_to(&pending.store, &dependency.columns)?;
    }
    Ok(())
}

/// Reads what of each source was only counted.
fn rest(tick: &Tick, loaded: &Loaded, seen: &Frontier, mut deltas: Deltas) -> Result<Deltas> {
    for dependency in &loaded.dependencies {
        let delta = Relation::SourceDelta(loaded.names[&dependency.source].clone());
        let Some(pending) = deltas.get_mut(&delta).filter(|pending| !pending.is_whole()) else { continue };
        capture::rest(dependency.source, (seen, &tick.snapshot), &dependency.columns, pending)?;
        if pending.truncated {
            let altered = "a source was altered while its changes were read";
            return Err(
                Error::new(PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE, altered).hint("Refresh it again.")
            );
        }
        add_applied(tick, dependency, pending, i64::MAX)?;
    }
    deltas.retain(|_, pending| pending.may_matter());
    Ok(deltas)
}

/// Nothing was written and nothing crossed a bound, so that the table is as it was then and now. That the frontier's
/// time stays behind costs a wider range next time; it is moved before that counts, or looks like staleness.
fn stand_still(tick: &Tick, loaded: &Loaded, since: Option<TimestampWithTimeZone>) -> Result<Refresh> {
    let moment = own_clock(loaded).unwrap_or(tick.taken);
    if since.is_none_or(|since| i64::from(moment) - i64::from(since) >= NOTED) {
        spi::connect(Some(&tick.snapshot), |session| frontier::stand_still(session, loaded.table.id, moment))?;
    }
    Ok(Refresh::nothing())
}

/// What time it was to a query that is run as the user wrote it and reads the clock: that of the transaction.
fn own_clock(loaded: &Loaded) -> Option<TimestampWithTimeZone> {
    (loaded.table.temporal && loaded.table.full_reason.is_some()).then(xact::started)
}

/// Runs `f` as the table's owner, under the path and settings of its definition, in the tick's snapshot. To its
/// queries it is the tick's time, and was `before`.
pub fn as_owner<R>(
    tick: &Tick,
    loaded: &Loaded,
    before: Option<TimestampWithTimeZone>,
    f: impl FnOnce(&OwnerSession) -> Result<R>,
) -> Result<R> {
    let settings = loaded.table.evaluation();
    let clock = loaded.view.reads_clock().then(|| clock::at(tick.taken, before.unwrap_or(tick.taken))).transpose()?;
    spi::connect_as(loaded.table.owner, &settings, Some(&tick.snapshot), |session| {
        clock.iter().try_for_each(|clock| clock::register(session, clock))?;
        f(session)
    })
}

/// Hands the applied changes to the table's consumers.
fn finish(tick: &mut Tick, loaded: &Loaded, done: Done, delta_rows: i64, started: Instant) -> Result<Refresh> {
    let Done { action, changes, choice, error } = done;
    let refresh = Refresh {
        action,
        inserted: changes.inserted,
        updated: changes.updated,
        deleted: changes.deleted,
        delta_rows,
        duration_ms: started.elapsed().as_secs_f64() * 1e3,
        expected: choice.map(|choice| Expected { delta_ms: choice.delta_ms, full_ms: choice.full_ms }),
        error,
    };
    let id = loaded.table.id;
    tick.moments.extend(own_clock(loaded).map(|moment| (id, moment)));
    tick.rates.extend(loaded.experience.to_store().map(|rates| (id, rates)));
    let edges = loaded::edges()?;
    if let Some(readers) = edges.readers.get(&id).filter(|_| changes.delta.rows() > 0) {
        if readers.ids.iter().any(|reader| !tick.members.contains(reader)) {
            tick.write(readers.source, &changes.delta)?;
        }
        tick.deltas.insert(readers.source, changes.delta);
    }
    Ok(refresh)
}
