//! Skew: which columns of a delta are compared with columns of tables that have frequent values, and whether the delta has any.
//!
//! The planner knows a delta by its size. One row with the key of half a table has as many partners as half a table has rows:
//! plans and estimates are kept by the number of such partners too, and the planner is given the values.

use std::collections::BTreeMap;
use std::rc::Rc;

use ivm::plan::Relation;
use ivm::view::View;

use crate::pg::frequent::Frequent;
use crate::pg::planner;
use crate::pg::tuplestore::Tuplestore;

/// A column of a delta, by its place, and the frequent values of a column of a table with which it is compared.
pub struct Key {
    pub delta: Relation,
    pub column: usize,
    pub frequent: Rc<Frequent>,
}

/// Fewer partners are as many as the planner expects, or cost little.
const LEAST: f64 = 512.0;
/// Partners are counted in powers of this: one plan serves for about as many.
const STEP: f64 = 8.0;

/// The class of the number of partners that these deltas have by frequent values; 1 if there are few.
pub fn class<'a>(keys: &[Key], delta: impl Fn(&Relation) -> Option<&'a Tuplestore>) -> f64 {
    let partners = |key: &Key| delta(&key.delta).map_or(0.0, |store| key.frequent.partners(store, key.column));
    let most = keys.iter().map(partners).fold(0.0, f64::max);
    if most < LEAST { 1.0 } else { STEP.powf(most.log(STEP).floor()) }
}

/// Tells the planner the frequent values of these deltas, which are registered, where they are of a class above 1.
pub fn announce(view: &View, keys: &[Key], class: f64) {
    if class <= 1.0 {
        return;
    }
    let mut columns: BTreeMap<&Relation, Vec<(usize, Rc<Frequent>)>> = BTreeMap::new();
    for key in keys {
        columns.entry(&key.delta).or_default().push((key.column, Rc::clone(&key.frequent)));
    }
    for (delta, columns) in columns {
        planner::expect(view.relation_name(delta).name.as_str(), columns);
    }
}
