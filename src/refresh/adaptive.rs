//! How a stream table is brought up to date: by its deltas, or recomputed. In mode AUTO each refresh takes
//! what is expected to be cheaper, by the planner's costs and what refreshes took before (`ivm::choice`).
//!
//! Either way the same changes reach the table and its consumers. Mode DIFFERENTIAL never recomputes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use ivm::choice::{Choice, Rates, Way};
use ivm::plan::Relation;

use crate::capture::Pending;
use crate::catalog::frontier;
use crate::catalog::history::Action;
use crate::catalog::stream_table::Mode;
use crate::error::Result;
use crate::pg::spi::{OwnerSession, Session};
use crate::pg::tuplestore::Tuplestore;
use crate::refresh::estimate;
use crate::refresh::loaded::Loaded;
use crate::refresh::program::{self, Changes, Work};

/// The changes of the sources.
pub type Deltas = BTreeMap<Relation, Pending>;

/// Rows from which the share is known that concerns a query. To read all before it is decided to recompute would be for
/// nothing.
const SAMPLE: i64 = 10_000;

/// What refreshes took, as this backend knows it, and as the catalog does.
pub struct Experience {
    rates: RefCell<Rates>,
    stored: RefCell<Rates>,
}

impl Experience {
    pub fn load(session: &Session, id: i32) -> Result<Experience> {
        let rates = Rates::of(&frontier::rates(session, id)?);
        Ok(Experience { stored: RefCell::new(rates.clone()), rates: RefCell::new(rates) })
    }

    /// What the catalog should know, if it is far off.
    pub fn to_store(&self) -> Option<Vec<Option<f64>>> {
        let rates = self.rates.borrow();
        let moved = rates.moved_from(&self.stored.borrow());
        moved.then(|| {
            self.stored.replace(rates.clone());
            rates.all()
        })
    }
}

/// Fills an empty stream table. The first figure of what recomputing takes.
pub fn fill(session: &OwnerSession, loaded: &Loaded) -> Result<Changes> {
    let work = Work::new(session, loaded);
    let changes = program::fill(&work)?;
    loaded.experience.rates.borrow_mut().learn_full(work.cost(), work.milliseconds());
    Ok(changes)
}

/// Recomputes, whatever it costs; `replaces` as for [`program::full`].
pub fn full(session: &OwnerSession, loaded: &Loaded, replaces: bool) -> Result<Changes> {
    estimate::heed_sizes(loaded)?;
    let work = Work::new(session, loaded);
    let changes = program::full(&work, replaces)?;
    if loaded.table.mode == Mode::Auto && loaded.table.full_reason.is_none() {
        loaded.experience.rates.borrow_mut().learn_full(work.cost(), work.milliseconds());
    }
    Ok(changes)
}

/// How many changed rows of a source a refresh needs to see before it knows its way.
pub fn enough(loaded: &Loaded) -> i64 {
    match loaded.table.mode {
        _ if recomputes(loaded) => 0,
        Mode::Auto => SAMPLE,
        _ => i64::MAX,
    }
}

pub fn recomputes(loaded: &Loaded) -> bool {
    loaded.table.full_reason.is_some() || loaded.table.mode == Mode::Full
}

/// Brings the changes in, the cheaper way where there is a choice, which is told. Of each source enough is at
/// hand; `whole` reads the rest.
pub fn bring(
    session: &OwnerSession,
    loaded: &Loaded,
    deltas: Deltas,
    whole: impl FnOnce(Deltas) -> Result<Deltas>,
) -> Result<(Action, Changes, Option<Choice>)> {
    if recomputes(loaded) {
        return Ok((Action::Full, full(session, loaded, false)?, None));
    }
    if loaded.table.mode == Mode::Auto {
        return choose(session, loaded, deltas, whole);
    }
    estimate::heed_sizes(loaded)?;
    let changes = program::differential(&Work::new(session, loaded), stores(deltas))?;
    Ok((Action::Differential, changes, None))
}

fn choose(
    session: &OwnerSession,
    loaded: &Loaded,
    mut deltas: Deltas,
    whole: impl FnOnce(Deltas) -> Result<Deltas>,
) -> Result<(Action, Changes, Option<Choice>)> {
    estimate::heed_sizes(loaded)?;
    let costs = estimate::costs(session, loaded, &deltas)?;
    let choice = loaded.experience.rates.borrow().choose(costs);
    let work = Work::new(session, loaded);
    let began = Instant::now();
    if choice.way == Way::Delta {
        deltas = whole(deltas)?;
    }
    let reading = began.elapsed().as_secs_f64() * 1e3;
    let (action, changes) = match choice.way {
        Way::Delta => (Action::Differential, program::differential(&work, stores(deltas))?),
        Way::Full => (Action::Full, program::full(&work, false)?),
    };
    loaded.experience.rates.borrow_mut().learn(costs, choice, reading + work.milliseconds());
    Ok((action, changes, Some(choice)))
}

pub fn stores(deltas: Deltas) -> BTreeMap<Relation, Tuplestore> {
    deltas.into_iter().map(|(relation, pending)| (relation, pending.store)).collect()
}
