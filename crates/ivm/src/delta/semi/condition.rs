//! The parts of a join condition: what only the left side decides, what only the right one does, and what both do.

use std::collections::BTreeSet;

use crate::expr::Expr as Generic;
use crate::plan::{ColId, Expr, Plan};

use super::Sides;

/// The conjuncts of a join condition, by the sides that they read.
#[derive(Default)]
pub struct Condition {
    pub left: Vec<Expr>,
    pub right: Vec<Expr>,
    /// `left = right`.
    pub equal: Vec<(Expr, Expr)>,
    pub rest: Vec<Expr>,
}

impl Condition {
    pub fn of(sides: &Sides) -> Condition {
        let (left, right) = (ids(sides.left), ids(sides.right));
        let mut condition = Condition::default();
        for part in sides.on.clone().conjuncts() {
            let reads = |side: &BTreeSet<ColId>| part.columns().into_iter().any(|id| side.contains(id));
            match (part.subqueries().is_empty(), reads(&left), reads(&right)) {
                (true, _, false) => condition.left.push(part),
                (true, false, true) => condition.right.push(part),
                (true, true, true) => match equality(&part, &left, &right) {
                    Some(pair) => condition.equal.push(pair),
                    None => condition.rest.push(part),
                },
                (false, ..) => condition.rest.push(part),
            }
        }
        condition
    }
}

fn ids(plan: &Plan) -> BTreeSet<ColId> {
    plan.columns().iter().map(|column| column.id).collect()
}

/// The sides of an equality, the left side's first. One that names a collation may hold for values that are not equal
/// among themselves, so that it says nothing of keys.
fn equality(e: &Expr, left: &BTreeSet<ColId>, right: &BTreeSet<ColId>) -> Option<(Expr, Expr)> {
    let Generic::Binary(op, l, r) = e else { return None };
    let collated = e.any(&mut |e| matches!(e, Generic::Collate(..) | Generic::Row(_)));
    if !op.is("=") || collated {
        return None;
    }
    let within = |e: &Expr, side: &BTreeSet<ColId>| {
        let columns = e.columns();
        !columns.is_empty() && columns.into_iter().all(|id| side.contains(id))
    };
    match () {
        () if within(l, left) && within(r, right) => Some(((**l).clone(), (**r).clone())),
        () if within(r, left) && within(l, right) => Some(((**r).clone(), (**l).clone())),
        () => None,
    }
}
