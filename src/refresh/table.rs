//! The refresh of one stream table within a tick.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chunk::LARGEST;
use ivm::frontier::Frontier;
use ivm::plan::Relation;
use monitor::progress::Phase;
use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;

use crate::capture::{self, Pending};
use crate::catalog::ddl;
use crate::catalog::dependency::Dependency;
use crate::catalog::frontier::{self, Seen};
use crate::catalog::history::{Action, Refresh};
use crate::error::{Error, Result};
use crate::guc;
use crate::pg::limit::{self, Limited};
use crate::pg::spi::{self, OwnerSession};
use crate::pg::{bgworker, progress, relation, xact};
use crate::refresh::adaptive::{self, Deltas, Done};
use crate::refresh::loaded::Loaded;
use crate::refresh::prepared::{self, Prepared, Ready};
use crate::refresh::program::Changes;
use crate::refresh::shared::{Rebuilds, Tick};
use crate::refresh::{advice, build, clock, graph, reattach};

/// Microseconds after which the frontier's time is advanced although nothing changed.
const ADVANCE_EVERY: i64 = 10_000_000;

/// Pending changes of the sources of one stream table.
pub struct Input {
    pub deltas: Deltas,
    /// Sources that have any.
    sources: Vec<i32>,
    pub rows: i64,
    /// A source was truncated: rows left without a change row.
    pub truncated: bool,
    /// A change that was too large to be recorded.
    pub oversize: Option<Error>,
}

/// Brings stream table `id` to the tick's snapshot; with `restart` it is recomputed from the start.
pub fn refresh(tick: &mut Tick, id: i32, restart: bool) -> Result<Refresh> {
    let seen = tick.seen.get(&id).cloned().ok_or_else(|| reattach::not_attached(id))?;
    let is_shared = tick.shared.contains(&id);
    let prepared = match prepared::load(id)? {
        Ready::Yes(_) if is_shared && (seen.frontier.is_none() || seen.reinitialize.is_some()) => {
            return Err(Error::Shared);
        }
        Ready::Yes(prepared) => prepared,
        Ready::Stale(..) if is_shared => return Err(Error::Shared),
        Ready::Stale(..) if tick.rebuilds == Rebuilds::Apart => return Err(Error::Stale(id)),
        Ready::Stale(table, reason) => {
            // Writers capture other columns from now on: the fill needs a snapshot that is taken afterwards.
            build::rebuild(&table, &reason)?;
            tick.again.push(id);
            return Ok(Refresh::unchanged(id));
        }
    };
    let loaded = &prepared.loaded;
    let limit = loaded.table.timeout().unwrap_or_else(guc::refresh_timeout);
    let (place, members) = (tick.place, tick.members.len());
    let activity = || format!("refreshing {} ({place} of {members})", loaded.table.display());
    let refreshed = || limit::within(Limited::Refresh, limit, || refresh_ready(tick, &prepared, &seen, restart));
    progress::refreshing(loaded.table.relid, activity, || bgworker::refreshing(loaded.table.relid, refreshed))
}

fn refresh_ready(tick: &mut Tick, prepared: &Prepared, seen: &Seen, restart: bool) -> Result<Refresh> {
    let loaded = &prepared.loaded;
    let unchanged = Refresh::unchanged(loaded.table.id);
    loaded.sources().try_for_each(|source| capture::await_members(source, &tick.snapshot))?;
    let Some(seen_frontier) = &seen.frontier else {
        let (changes, action) = as_owner(tick, loaded, None, |session| match seen.replaces {
            true => Ok((adaptive::full(session, prepared, true)?, Action::Reinitialize)),
            false => Ok((adaptive::fill(session, prepared)?, Action::Full)),
        })?;
        progress::enter(Phase::BuildingIndexes);
        build::index_table(loaded)?;
        fill_up(loaded)?;
        advice::index_nodes(loaded)?;
        return finish(tick, prepared, changes, Refresh { action, ..unchanged });
    };
    let starts_over = seen.reinitialize.is_some() || restart;
    let enough = if starts_over { 0 } else { adaptive::enough(loaded) };
    progress::enter(Phase::ReadingChanges);
    let input = pending(tick, loaded, seen_frontier, enough)?;
    let unchanged = Refresh { delta_rows: input.rows, consumed: input.sources, ..unchanged };
    if input.truncated && tick.shared.contains(&loaded.table.id) {
        return Err(Error::Shared);
    }
    if starts_over || input.truncated {
        if let Some(error) = &input.oversize {
            pgrx::log!("stream table {} is recomputed: {}", loaded.table.display(), error.in_full());
        }
        let changes = as_owner(tick, loaded, None, |session| adaptive::full(session, prepared, seen.replaces))?;
        if seen.replaces {
            build::index_table(loaded)?;
        }
        fill_up(loaded)?;
        advice::index_nodes(loaded)?;
        let refresh = Refresh { action: Action::Reinitialize, error: input.oversize, ..unchanged };
        return finish(tick, prepared, changes, refresh);
    }
    if input.rows == 0 && !loaded.view.reads_clock() && !loaded.table.polls() {
        return Ok(unchanged);
    }
    let read_rest = |deltas| read_rest(tick, loaded, seen_frontier, deltas);
    let Done { action, changes, choice, recompute_ms } = as_owner(tick, loaded, seen.moment, |session| {
        adaptive::refresh_by_cheaper_plan(session, prepared, input.deltas, read_rest)
    })?;
    if input.rows == 0 && !changes.wrote {
        advance_data_timestamp(tick, loaded, seen.moment)?;
        return Ok(unchanged);
    }
    finish(tick, prepared, changes, Refresh { action, choice, recompute_ms, ..unchanged })
}

/// Its tables were filled.
fn fill_up(loaded: &Loaded) -> Result<()> {
    spi::connect(None, |session| loaded.view.nodes.iter().try_for_each(|node| ddl::fill_up(session, &node.table)))
}

/// Reads the changes of each source that the frontier has not seen: from memory for stream tables that this tick changed,
/// else from the change buffers. Beyond `enough` rows of one source, the rest is only counted.
pub fn pending(tick: &Tick, loaded: &Loaded, seen: &Frontier, enough: i64) -> Result<Input> {
    let mut input = Input { deltas: BTreeMap::new(), sources: vec![], rows: 0, truncated: false, oversize: None };
    for dependency in &loaded.dependencies {
        let name = &loaded.names[&dependency.source];
        let seen = seen_of(tick, loaded, dependency, seen);
        let mut pending = capture::pending(dependency.source, (&seen, &tick.snapshot), &dependency.columns, enough)?;
        if pending.lost {
            capture::record_loss(dependency.source)?;
        }
        input.truncated |= pending.truncated;
        if pending.oversize {
            input.oversize = Some(oversize(dependency));
        }
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

/// Up to where the changes of a source are followed. A stream table that writers maintain is refreshed whenever one is that it reads
/// and reads its changes in memory: those that this transaction wrote for others are known to it.
fn seen_of<'a>(tick: &Tick, loaded: &Loaded, dependency: &Dependency, seen: &'a Frontier) -> Cow<'a, Frontier> {
    match dependency.stream_table.is_some() && tick.maintained.contains(&loaded.table.id) {
        true => Cow::Owned(tick.snapshot.visible()),
        false => Cow::Borrowed(seen),
    }
}

fn oversize(dependency: &Dependency) -> Error {
    let table = relation::display(dependency.relid);
    let most = LARGEST >> 20;
    let what = format!(
        "a change of a row of {table} was not recorded: its old and new values have more than {most} MB, or there was no memory for them"
    );
    Error::new(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, what)
}

/// Adds the changes that this tick made to a source that is a stream table; beyond `enough` rows they are only counted.
fn add_applied(tick: &Tick, dependency: &Dependency, pending: &mut Pending, enough: i64) -> Result<()> {
    let Some(applied) = tick.deltas.get(&dependency.source) else { return Ok(()) };
    pending.rows += applied.rows();
    if pending.read < enough {
        pending.read += applied.rows();
        applied.append_to(&pending.store, &dependency.columns)?;
    }
    Ok(())
}

/// Reads the changes that were only counted.
fn read_rest(tick: &Tick, loaded: &Loaded, seen: &Frontier, mut deltas: Deltas) -> Result<Deltas> {
    for dependency in &loaded.dependencies {
        let delta = Relation::SourceDelta(loaded.names[&dependency.source].clone());
        let Some(pending) = deltas.get_mut(&delta).filter(|pending| !pending.is_whole()) else { continue };
        let seen = seen_of(tick, loaded, dependency, seen);
        capture::rest(dependency.source, (&seen, &tick.snapshot), &dependency.columns, pending)?;
        if pending.truncated {
            return Err(Error::Altered("a source was altered".to_owned()));
        }
        add_applied(tick, dependency, pending, i64::MAX)?;
    }
    deltas.retain(|_, pending| pending.may_matter());
    Ok(deltas)
}

/// Nothing was written and no row crossed a bound: the table is exact for any time since `since`. An older timestamp
/// costs a wider range at the next refresh; it is advanced before that counts, or is taken for staleness.
fn advance_data_timestamp(tick: &Tick, loaded: &Loaded, since: Option<TimestampWithTimeZone>) -> Result<()> {
    let moment = own_clock(loaded).unwrap_or(tick.taken);
    if since.is_none_or(|since| i64::from(moment) - i64::from(since) >= ADVANCE_EVERY) {
        spi::connect(Some(&tick.snapshot), |session| {
            frontier::advance_data_timestamp(session, loaded.table.id, moment)
        })?;
    }
    Ok(())
}

/// The time of `now()` in a query that is run as the user wrote it and reads the clock: the start of the transaction.
fn own_clock(loaded: &Loaded) -> Option<TimestampWithTimeZone> {
    (loaded.table.temporal && loaded.table.full_reason.is_some()).then(xact::started)
}

/// Runs `f` as the table's owner, under the path and settings of its definition, in the tick's snapshot. Its queries read
/// the tick's time as the present and `before` as the time of the last refresh.
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
fn finish(tick: &mut Tick, prepared: &Prepared, changes: Changes, refresh: Refresh) -> Result<Refresh> {
    let id = prepared.loaded.table.id;
    prepared.loaded.sources().try_for_each(|source| capture::require_same_members(source, &tick.snapshot))?;
    tick.moments.extend(own_clock(&prepared.loaded).map(|moment| (id, moment)));
    let timed = prepared.loaded.table.temporal || prepared.loaded.view.reads_clock() || prepared.loaded.table.polls();
    tick.alone.extend(timed.then_some(id));
    tick.rates.extend(prepared.model.rates_to_store().map(|rates| (id, rates)));
    let edges = graph::edges()?;
    if let Some(readers) = edges.readers.get(&id).filter(|_| changes.delta.rows() > 0) {
        if readers.ids.iter().any(|reader| !tick.members.contains(reader)) {
            tick.write(readers.source, &changes.delta)?;
        }
        tick.deltas.insert(readers.source, changes.delta);
    }
    let Changes { inserted, updated, deleted, .. } = changes;
    Ok(Refresh { inserted, updated, deleted, ..refresh })
}
