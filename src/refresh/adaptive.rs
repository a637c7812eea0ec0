//! How a stream table is brought up to date: by applying the changes, or recomputed. In mode AUTO each refresh takes the way
//! that is expected to be cheaper, by the planner's costs and the times of earlier refreshes (`ivm::choice`).
//!
//! Either way the same changes reach the table and its consumers. Mode DIFFERENTIAL never recomputes, and says when that would
//! have been much faster.
//!
//! The planner knows little of skewed keys and nothing of recursions. A delta that turns out to be larger than expected is
//! abandoned at the cost of about one recomputation, at most: see [`Work::limit`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ivm::choice::{Choice, Costs, Way};
use ivm::plan::Relation;

use crate::capture::Pending;
use crate::catalog::history::Action;
use crate::catalog::stream_table::Mode;
use crate::error::{Error, Result};
use crate::pg::spi::OwnerSession;
use crate::pg::tuplestore::Tuplestore;
use crate::refresh::cost::estimate;
use crate::refresh::loaded::Loaded;
use crate::refresh::prepared::Prepared;
use crate::refresh::program::{self, Changes, Work};

/// The changes of the sources.
pub type Deltas = BTreeMap<Relation, Pending>;

/// Rows of a source after which the share of them that concerns a query is known. Reading all of them would be in vain where
/// the choice is to recompute.
const SAMPLE: i64 = 10_000;
/// Milliseconds of a fill from which on recomputing is planned right after it.
const LONG: f64 = 50.0;
/// A delta may take as long as recomputing is expected to take, and at least this: one that waited for the machine is no
/// reason to start over; but one that is only tried is. The greatest limit, in milliseconds.
const LEAST_LIMIT: Duration = Duration::from_millis(500);
const LEAST_LIMIT_OF_TRIAL: Duration = Duration::from_millis(5);
const MOST_LIMIT: f64 = 1e9;
/// A refresh without a choice says so when it took this many times as long as recomputing is expected to take, from so many
/// milliseconds on.
const SAID_FROM: f64 = 3.0;
const LEAST_SAID: f64 = 1000.0;

/// Fills an empty stream table, which gives the first rate of recomputing.
pub fn fill(session: &OwnerSession, prepared: &Prepared) -> Result<Changes> {
    let work = Work::new(session, prepared);
    let changes = program::fill(&work)?;
    // Computing the rows again and comparing them takes about as long as writing them did.
    let chooses = !prepared.loaded.recomputes() && work.milliseconds() > LONG;
    let cost = if chooses { estimate::full_cost(session, prepared)? } else { work.cost() };
    prepared.model.rates.borrow_mut().measured_full(cost, work.milliseconds());
    Ok(changes)
}

/// Recomputes, at any cost; `replaces` as for [`program::full`].
pub fn full(session: &OwnerSession, prepared: &Prepared, replaces: bool) -> Result<Changes> {
    estimate::invalidate_on_resize(prepared)?;
    let work = Work::new(session, prepared);
    let changes = program::full(&work, replaces)?;
    if !prepared.loaded.recomputes() && prepared.loaded.table.mode == Mode::Auto {
        prepared.model.rates.borrow_mut().measured_full(work.cost(), work.milliseconds());
    }
    Ok(changes)
}

/// How many changed rows of a source a refresh reads before it chooses its way.
pub fn enough(loaded: &Loaded) -> i64 {
    match loaded.table.mode {
        _ if loaded.recomputes() => 0,
        Mode::Auto => SAMPLE,
        _ => i64::MAX,
    }
}

/// What a refresh did.
pub struct Done {
    pub action: Action,
    pub changes: Changes,
    /// The expected times, where it had a choice.
    pub choice: Option<Choice>,
    /// The expected time of recomputing, where it had none and took several times as long.
    pub recompute_ms: Option<f64>,
}

/// Applies the changes or recomputes, whichever is expected to be cheaper where there is a choice. `deltas` holds
/// [`enough`] rows of each source; `read_rest` reads the others.
pub fn refresh_by_cheaper_plan(
    session: &OwnerSession,
    prepared: &Prepared,
    deltas: Deltas,
    read_rest: impl FnOnce(Deltas) -> Result<Deltas>,
) -> Result<Done> {
    let done = |action, changes| Done { action, changes, choice: None, recompute_ms: None };
    if prepared.loaded.recomputes() {
        return Ok(done(Action::Full, full(session, prepared, false)?));
    }
    estimate::invalidate_on_resize(prepared)?;
    let work = Work::new(session, prepared);
    if prepared.loaded.table.mode != Mode::Auto {
        let changes = program::differential(&work, stores(deltas))?;
        let recompute_ms = much_faster_recomputing(session, prepared, &work)?;
        return Ok(Done { recompute_ms, ..done(Action::Differential, changes) });
    }
    let costs = estimate::costs(session, prepared, &deltas)?;
    let choice = prepared.model.rates.borrow().choose(costs);
    // Reading many changes takes long by itself.
    let tries = choice.tries && deltas.values().all(Pending::is_whole);
    let choice = if choice.tries && !tries { Choice { way: Way::Full, ..choice } } else { choice };
    let (action, changes, reading) = match choice.way {
        Way::Delta => {
            let began = Instant::now();
            let deltas = read_rest(deltas)?;
            let reading = began.elapsed();
            let least = if tries { LEAST_LIMIT_OF_TRIAL } else { LEAST_LIMIT };
            work.limit(least.max(Duration::from_secs_f64(choice.full_ms.min(MOST_LIMIT) / 1e3)));
            match program::differential(&work, stores(deltas)) {
                Err(Error::Abandoned) => return recompute_after_all(prepared, (costs, choice), &work),
                result => (Action::Differential, result?, reading),
            }
        }
        Way::Full => (Action::Full, program::full(&work, false)?, Duration::ZERO),
    };
    prepared.model.rates.borrow_mut().measured(costs, choice, reading.as_secs_f64() * 1e3 + work.milliseconds());
    Ok(Done { choice: Some(choice), ..done(action, changes) })
}

/// The expected times of following these changes and of recomputing, in mode AUTO.
pub fn expected(session: &OwnerSession, prepared: &Prepared, deltas: &Deltas) -> Result<Option<Choice>> {
    if prepared.loaded.recomputes() || prepared.loaded.table.mode != Mode::Auto {
        return Ok(None);
    }
    let costs = estimate::costs(session, prepared, deltas)?;
    Ok(Some(prepared.model.rates.borrow().choose(costs)))
}

/// Recomputes after a delta was abandoned, which has used about the time that recomputing is expected to take, or less.
fn recompute_after_all(prepared: &Prepared, (costs, choice): (Costs, Choice), work: &Work) -> Result<Done> {
    let (cost, ms) = (work.cost(), work.milliseconds());
    work.limit(Duration::ZERO);
    let changes = program::full(work, false)?;
    let mut rates = prepared.model.rates.borrow_mut();
    rates.abandoned(costs);
    rates.measured_full(work.cost() - cost, work.milliseconds() - ms);
    let choice = Some(Choice { way: Way::Full, ..choice });
    Ok(Done { action: Action::Full, changes, choice, recompute_ms: None })
}

/// The expected time of recomputing, where following the changes took several times as long.
fn much_faster_recomputing(session: &OwnerSession, prepared: &Prepared, work: &Work) -> Result<Option<f64>> {
    if work.milliseconds() < LEAST_SAID {
        return Ok(None);
    }
    // The differences are the same, whatever computes them.
    let cost = estimate::full_cost(session, prepared)?;
    let ms = prepared.model.rates.borrow().full_ms(cost) + work.writing_milliseconds();
    Ok(Some(ms).filter(|ms| work.milliseconds() > SAID_FROM * ms))
}

pub fn stores(deltas: Deltas) -> BTreeMap<Relation, Tuplestore> {
    deltas.into_iter().map(|(relation, pending)| (relation, pending.store)).collect()
}
