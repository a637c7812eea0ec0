//! How a stream table is brought up to date: by its deltas, or recomputed. In mode AUTO each refresh takes
//! what is expected to be cheaper, by the planner's costs and what refreshes took before (`ivm::choice`).
//!
//! Either way the same changes reach the table and its consumers. Mode DIFFERENTIAL never recomputes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ivm::choice::{Choice, Rates, Way};
use ivm::plan::Relation;

use crate::catalog::frontier;
use crate::catalog::history::Action;
use crate::catalog::stream_table::Mode;
use crate::error::Result;
use crate::pg::spi::Session;
use crate::pg::tuplestore::Tuplestore;
use crate::refresh::estimate;
use crate::refresh::loaded::Loaded;
use crate::refresh::program::{self, Changes, Work};

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
pub fn fill(session: &Session, loaded: &Loaded) -> Result<Changes> {
    let work = Work::new(session, loaded);
    let changes = program::fill(&work)?;
    loaded.experience.rates.borrow_mut().learn_full(work.cost(), work.milliseconds());
    Ok(changes)
}

/// Recomputes, whatever it costs.
pub fn full(session: &Session, loaded: &Loaded) -> Result<Changes> {
    estimate::heed_sizes(loaded)?;
    let work = Work::new(session, loaded);
    let changes = program::full(&work)?;
    if loaded.table.mode == Mode::Auto && loaded.table.full_reason.is_none() {
        loaded.experience.rates.borrow_mut().learn_full(work.cost(), work.milliseconds());
    }
    Ok(changes)
}

/// Brings these deltas in, the cheaper way where there is a choice, which is told.
pub fn bring(
    session: &Session,
    loaded: &Loaded,
    deltas: BTreeMap<Relation, Tuplestore>,
) -> Result<(Action, Changes, Option<Choice>)> {
    match (&loaded.table.full_reason, loaded.table.mode) {
        (Some(_), _) | (None, Mode::Full) => Ok((Action::Full, full(session, loaded)?, None)),
        (None, Mode::Differential) => {
            estimate::heed_sizes(loaded)?;
            let changes = program::differential(&Work::new(session, loaded), deltas)?;
            Ok((Action::Differential, changes, None))
        }
        (None, Mode::Auto) => choose(session, loaded, deltas),
    }
}

fn choose(
    session: &Session,
    loaded: &Loaded,
    deltas: BTreeMap<Relation, Tuplestore>,
) -> Result<(Action, Changes, Option<Choice>)> {
    estimate::heed_sizes(loaded)?;
    let costs = estimate::costs(session, loaded, &deltas)?;
    let choice = loaded.experience.rates.borrow().choose(costs);
    let work = Work::new(session, loaded);
    let (action, changes) = match choice.way {
        Way::Delta => (Action::Differential, program::differential(&work, deltas)?),
        Way::Full => (Action::Full, program::full(&work)?),
    };
    loaded.experience.rates.borrow_mut().learn(costs, choice, work.milliseconds());
    Ok((action, changes, Some(choice)))
}
