//! How a stream table is brought up to date: by applying the changes, or recomputed. In mode AUTO each refresh takes the way
//! that is expected to be cheaper, by the planner's costs and the times of earlier refreshes (`ivm::choice`).
//!
//! Either way the same changes reach the table and its consumers. Mode DIFFERENTIAL never recomputes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ivm::choice::{Choice, Way};
use ivm::plan::Relation;

use crate::capture::Pending;
use crate::catalog::history::Action;
use crate::catalog::stream_table::Mode;
use crate::error::Result;
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

/// Fills an empty stream table, which gives the first rate of recomputing.
pub fn fill(session: &OwnerSession, prepared: &Prepared) -> Result<Changes> {
    let work = Work::new(session, prepared);
    let changes = program::fill(&work)?;
    prepared.model.rates.borrow_mut().measured_full(work.cost(), work.milliseconds());
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

/// Applies the changes or recomputes, whichever is expected to be cheaper where there is a choice. `deltas` holds
/// [`enough`] rows of each source; `read_rest` reads the others.
pub fn refresh_by_cheaper_plan(
    session: &OwnerSession,
    prepared: &Prepared,
    deltas: Deltas,
    read_rest: impl FnOnce(Deltas) -> Result<Deltas>,
) -> Result<(Action, Changes, Option<Choice>)> {
    if prepared.loaded.recomputes() {
        return Ok((Action::Full, full(session, prepared, false)?, None));
    }
    estimate::invalidate_on_resize(prepared)?;
    let work = Work::new(session, prepared);
    if prepared.loaded.table.mode != Mode::Auto {
        return Ok((Action::Differential, program::differential(&work, stores(deltas))?, None));
    }
    let costs = estimate::costs(session, prepared, &deltas)?;
    let choice = prepared.model.rates.borrow().choose(costs);
    let (action, changes, reading) = match choice.way {
        Way::Delta => {
            let began = Instant::now();
            let deltas = read_rest(deltas)?;
            let reading = began.elapsed();
            (Action::Differential, program::differential(&work, stores(deltas))?, reading)
        }
        Way::Full => (Action::Full, program::full(&work, false)?, Duration::ZERO),
    };
    prepared.model.rates.borrow_mut().measured(costs, choice, reading.as_secs_f64() * 1e3 + work.milliseconds());
    Ok((action, changes, Some(choice)))
}

pub fn stores(deltas: Deltas) -> BTreeMap<Relation, Tuplestore> {
    deltas.into_iter().map(|(relation, pending)| (relation, pending.store)).collect()
}
