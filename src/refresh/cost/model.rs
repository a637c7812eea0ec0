//! The cost model of one stream table: how fast its refreshes were, the estimates that were made, and the table sizes that
//! plans and estimates rest on.

use std::cell::RefCell;

use ivm::choice::{Costs, Rates};
use ivm::plan::Relation;
use pgrx::pg_sys::Oid;

use crate::catalog::frontier;
use crate::error::Result;
use crate::pg::relation;
use crate::pg::spi::Session;
use crate::refresh::cost::plans::{SIZE_TOLERANCE, distance};

pub struct CostModel {
    /// How fast refreshes were, corrected by each.
    pub rates: RefCell<Rates>,
    /// The rates as the catalog has them.
    stored: RefCell<Rates>,
    /// The estimates that were used last, the latest first.
    estimates: RefCell<Vec<Estimate>>,
    /// The largest tables, and the pages that they had when plans were made.
    pages: RefCell<Vec<(Oid, u32)>>,
}

/// What deltas of these sizes cost.
pub struct Estimate {
    pub relations: Vec<Relation>,
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

    /// Notes the sizes of the largest of these tables.
    pub fn watch_sizes(&self, tables: impl IntoIterator<Item = Oid>) {
        let mut pages: Vec<(Oid, u32)> = tables.into_iter().map(|oid| (oid, relation::pages(oid))).collect();
        pages.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
        pages.truncate(MAX_WATCHED);
        self.pages.replace(pages);
    }
}
