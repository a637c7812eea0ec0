//! Functional dependencies between columns.

use std::collections::BTreeSet;

use crate::plan::{ColId, Expr};

/// `X → Y`s that hold for the rows of a plan.
#[derive(Clone, Default)]
pub struct Dependencies(Vec<(BTreeSet<ColId>, BTreeSet<ColId>)>);

impl Dependencies {
    pub fn add(&mut self, given: BTreeSet<ColId>, determined: BTreeSet<ColId>) {
        self.0.push((given, determined));
    }

    /// `a ↔ b`.
    pub fn add_equal(&mut self, a: ColId, b: ColId) {
        self.add([a].into(), [b].into());
        self.add([b].into(), [a].into());
    }

    /// `id` is the value of this expression. A column that is passed on determines its original as well.
    ///
    /// Functions may distinguish equal values that look different, so that equal arguments need not give equal
    /// results: a computed column is determined only by columns that it is equal to, or if it is constant.
    pub fn add_computed(&mut self, id: ColId, e: &Expr) {
        match e {
            Expr::Column(original) if *original == id => {}
            Expr::Column(original) => self.add_equal(*original, id),
            e if e.is_constant() => self.add(BTreeSet::new(), [id].into()),
            _ => {}
        }
    }

    pub fn extend(&mut self, other: Dependencies) {
        self.0.extend(other.0);
    }

    /// Those that still hold when rows of nulls are added: `X` has a column that was never null.
    pub fn with_null_rows(self, not_null: &BTreeSet<ColId>) -> Dependencies {
        Dependencies(self.0.into_iter().filter(|(given, _)| !given.is_disjoint(not_null)).collect())
    }

    /// All columns that `given` determines, `given` included.
    pub fn closure(&self, given: &BTreeSet<ColId>) -> BTreeSet<ColId> {
        let mut all = given.clone();
        loop {
            let before = all.len();
            for (given, determined) in &self.0 {
                if given.is_subset(&all) {
                    all.extend(determined);
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// The key without columns that the rest of it determines; later ones are dropped first.
    pub fn reduced(&self, key: BTreeSet<ColId>) -> BTreeSet<ColId> {
        let columns: Vec<ColId> = key.iter().rev().copied().collect();
        self.reduced_in_order(key, &columns)
    }

    /// The key without columns that the rest of it determines, tried in this order.
    pub fn reduced_in_order(&self, mut key: BTreeSet<ColId>, order: &[ColId]) -> BTreeSet<ColId> {
        for column in order {
            if key.remove(column) && !self.closure(&key).contains(column) {
                key.insert(*column);
            }
        }
        key
    }

    /// A key of the same rows over `output` columns: each dropped column is replaced by one that determines it.
    pub fn within(&self, key: &BTreeSet<ColId>, output: &BTreeSet<ColId>) -> Option<BTreeSet<ColId>> {
        let replacement = |column: ColId| {
            let mut candidates = std::iter::once(column).chain(output.iter().copied());
            candidates.find(|other| output.contains(other) && self.closure(&[*other].into()).contains(&column))
        };
        let constants = self.closure(&BTreeSet::new());
        key.iter().filter(|column| !constants.contains(column)).map(|column| replacement(*column)).collect()
    }
}
