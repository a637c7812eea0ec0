//! The parts of a join condition: those that read the left side only, those that read the right one only, and others.

use crate::expr::Expr as Generic;
use crate::plan::{Expr, Semi, equality};

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
    pub fn of(semi: &Semi) -> Condition {
        let (left, right) = (semi.left.ids(), semi.right.ids());
        let mut condition = Condition::default();
        for part in semi.on.clone().conjuncts() {
            let [of_left, of_right] =
                [&left, &right].map(|side| part.columns().into_iter().any(|id| side.contains(id)));
            match (part.subqueries().is_empty(), of_left, of_right) {
                (true, _, false) => condition.left.push(part),
                (true, false, true) => condition.right.push(part),
                (true, true, true) if !part.any(&mut |e| matches!(e, Generic::Row(_))) => match equality(&part, &right)
                {
                    Some((l, r)) => condition.equal.push((l.clone(), r.clone())),
                    None => condition.rest.push(part),
                },
                _ => condition.rest.push(part),
            }
        }
        condition
    }
}
