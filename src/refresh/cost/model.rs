//! The cost model of one stream table: how fast its refreshes were, the estimates that were made, and the table sizes that
//! plans and estimates rest on.

use std::cell::RefCell;
use std::rc::Rc;

use ivm::choice::{Costs, Rates};
use ivm::plan::Relation;
use pgrx::pg_sys::Oid;

use crate::catalog::frontier;
use crate::error::Result;
use crate::pg::spi::Session;
use crate::pg::{planner, relation};
use crate::refresh::cost::plans::{SIZE_TOLERANCE, distance};
use crate::refresh::cost::skew::Key;

pub struct CostModel {
    /// How fast refreshes were, corrected by each.
    pub rates: RefCell<Rates>,
    /// The rates as the catalog has them.
    stored: RefCell<Rates>,
    /// The estimates that were used last, the latest first.
    estimates: RefCell<Vec<Estimate>>,
    /// The largest tables, and the pages that they had when plans were made.
    pages: RefCell<Vec<(Oid, u32)>>,
    /// Keys with frequent values, by the deltas that are not empty.
    keys: RefCell<Vec<KnownKeys>>,
}

/// The keys of deltas where these are not empty.
type KnownKeys = (Vec<Relation>, Rc<Vec<Key>>);

/// What deltas of these sizes cost.
pub struct Estimate {
    pub relations: Vec<Relation>,
    /// Those of each delta, then the class of its skew.
    pub rows: Vec<f64>,
    pub costs: Costs,
}

/// Estimates of one stream table.
const MAX_ESTIMATES: usize = 16;
/// A delta of more rows is estimated for nearly its true size: the choice is a close one, and planning is short compared
/// with the refresh.
const MANY: f64 = 64.0;
const ESTIMATE_TOLERANCE: f64 = 1.5;
/// Tables whose size is checked.
const MAX_WATCHED: usize = 16;
/// A table was resized when it grew or shrank by this factor, and by more than a few pages.
const RESIZE_FACTOR: u32 = 2;
const RESIZE_PAGES: u32 = 16;

/// The factor by which the sizes of an estimate may be off.
pub fn tolerance(rows: &[f64]) -> f64 {
    if rows.iter().any(|rows| *rows > MANY) { ESTIMATE_TOLERANCE } else { SIZE_TOLERANCE }
}

impl CostModel {
    pub fn load(session: &Session, id: i32) -> Result<CostModel> {
        let rates = Rates::of(&frontier::rates(session, id)?);
        Ok(CostModel {
            stored: RefCell::new(rates.clone()),
            rates: RefCell::new(rates),
            estimates: RefCell::default(),
            pages: RefCell::default(),
            keys: RefCell::default(),
        })
    }

    /// The rates, where those in the catalog are far off.
    pub fn rates_to_store(&self) -> Option<Vec<Option<f64>>> {
        let rates = self.rates.borrow();
        let moved = rates.moved_from(&self.stored.borrow());
        moved.then(|| {
            self.stored.replace(rates.clone());
            rates.all()
        })
    }

    pub fn find(&self, relations: &[&Relation], rows: &[f64]) -> Option<Costs> {
        let mut estimates = self.estimates.borrow_mut();
        let fits = |estimate: &Estimate| {
            estimate.relations.iter().eq(relations.iter().copied())
                && distance(&estimate.rows, rows).is_some_and(|apart| apart <= tolerance(rows))
        };
        let at = estimates.iter().position(fits)?;
        estimates[..=at].rotate_right(1);
        Some(estimates[0].costs)
    }

    pub fn keep(&self, estimate: Estimate) {
        let mut estimates = self.estimates.borrow_mut();
        estimates.insert(0, estimate);
        estimates.truncate(MAX_ESTIMATES);
    }

    pub fn drop_estimates(&self) {
        self.estimates.borrow_mut().clear();
        self.keys.borrow_mut().clear();
    }

    pub fn keys(&self, changed: &[&Relation]) -> Option<Rc<Vec<Key>>> {
        let known = self.keys.borrow();
        let (_, keys) = known.iter().find(|(relations, _)| relations.iter().eq(changed.iter().copied()))?;
        Some(Rc::clone(keys))
    }

    pub fn keep_keys(&self, changed: &[&Relation], keys: Vec<Key>) -> Rc<Vec<Key>> {
        let (relations, keys) = (changed.iter().copied().cloned().collect(), Rc::new(keys));
        let mut known = self.keys.borrow_mut();
        known.insert(0, (relations, Rc::clone(&keys)));
        known.truncate(MAX_ESTIMATES);
        keys
    }

    /// Whether a table has another size than plans and estimates were made for, or no sizes are known.
    pub fn is_outdated(&self) -> bool {
        let resized = |(oid, then): &(Oid, u32)| {
            let now = relation::pages(*oid);
            now > RESIZE_FACTOR * then + RESIZE_PAGES || *then > RESIZE_FACTOR * now + RESIZE_PAGES
        };
        let pages = self.pages.borrow();
        pages.is_empty() || pages.iter().any(resized)
    }

    /// Notes the sizes of the largest of these tables; whether all of them fit into memory.
    pub fn watch_sizes(&self, tables: impl IntoIterator<Item = Oid>) -> bool {
        let mut pages: Vec<(Oid, u32)> = tables.into_iter().map(|oid| (oid, relation::pages(oid))).collect();
        pages.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
        pages.truncate(MAX_WATCHED);
        let sum: u64 = pages.iter().map(|(_, pages)| u64::from(*pages)).sum();
        self.pages.replace(pages);
        sum <= planner::cached_pages()
    }
}
