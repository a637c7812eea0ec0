//! Moving bounds: ⋈ with an input S of one row that only comparisons read.   Bilinear:  P ⋈ ΔS = crossed(P)
//!
//! `v > (SELECT avg(v) …)` is such a join, and so is a temporal filter, `v > now() - interval '1 day'`. By the bilinear
//! law all rows of P would be deleted with the old bound and inserted with the new one. As nothing shows which of the
//! two a row was joined with, both cancel unless a [`Comparison`] flips: only the rows of P between the two bounds are read, a range
//! that an index serves.
//!
//! The old and the new row are read in two ways. Those of the clock are columns of one relation, both always exist, and
//! their values are ordered in one way: the delta needs no steps (`clock`). The delta of any other row may lack either,
//! which steps find out (`steps`).

mod clock;
mod steps;

use std::collections::BTreeSet;

use crate::bounds::{Comparison, Reading};
use crate::error::{Error, Result};
use crate::expr::IsTest;
use crate::plan::{ColId, Expr};

pub use clock::{Clock, delta};
pub use steps::crossed;

/// The predicates of a join, by how they read its bounds.
struct Predicates<'a> {
    others: Vec<&'a Expr>,
    gates: Vec<&'a Expr>,
    comparisons: Vec<Comparison<'a>>,
}

impl<'a> Predicates<'a> {
    /// `single` are the columns of inputs of one row, those of the `bounds` among them.
    fn of(all: &'a [Expr], bounds: &BTreeSet<ColId>, single: &BTreeSet<ColId>) -> Result<Predicates<'a>> {
        let mut predicates = Predicates { others: vec![], gates: vec![], comparisons: vec![] };
        for e in all {
            match Reading::of(e, bounds, single) {
                Reading::None => predicates.others.push(e),
                Reading::Gate => predicates.gates.push(e),
                Reading::Comparison(comparison) => predicates.comparisons.push(comparison),
                Reading::Other => return Err(Error::Bug("a bound is read by something else than a comparison")),
            }
        }
        Ok(predicates)
    }
}

/// The conditions of one term for each range, whose rows satisfy `all`: a row in several ranges belongs to the first. A NULL is in none.
fn each_once(all: Vec<Expr>, ranges: Vec<Vec<Expr>>) -> impl Iterator<Item = Vec<Expr>> {
    let mut earlier = all;
    ranges.into_iter().map(move |range| {
        let conditions = earlier.iter().chain(&range).cloned().collect();
        earlier.push(Expr::all(range).is(IsTest::NotTrue));
        conditions
    })
}
