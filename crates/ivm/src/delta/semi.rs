//! ⋉, semi join, and ▷, anti join.   Δ(L ⋉ R) = ΔL ⋉ R + L ⋈ F − ΔL ⋈ F,  Δ(L ▷ R) = ΔL ▷ R − L ⋈ F + ΔL ⋈ F
//!
//! F are the *flips*: what ΔR does to the question whether there is a match, +1 where the first comes and
//! −1 where the last goes. States are read after the change; how many matches there were before it is
//! how many there are less the weights of ΔR, and no more need be counted than decide it. With a join on
//! equal keys the question is asked once for each touched key: `L ⋉ R = L ⋈ δ(keys of R)`, a bilinear law.
//! Other conditions are asked for each left row that may meet a changed one.

mod condition;
mod flips;

use crate::error::Result;
use crate::expr::Expr as E;
use crate::plan::{Column, Expr, Plan, Semi};

use super::{Cx, Delta};
use condition::Condition;

/// A semi or anti join by reference.
pub struct Sides<'a> {
    pub left: &'a Plan,
    pub right: &'a Plan,
    pub on: &'a Expr,
    pub anti: bool,
}

pub fn delta(semi: &Semi, cx: &mut Cx) -> Result<Option<Delta>> {
    let (left, right) = (cx.delta(&semi.left)?, cx.delta(&semi.right)?);
    let sides = Sides { left: &semi.left, right: &semi.right, on: &semi.on, anti: semi.anti };
    let Some(right) = right else { return Ok(left.map(|delta| sides.linear(delta))) };
    let left = left.map(|left| cx.shared(left, "d_left", "linear"));
    let right = cx.shared(right, "d_right", "linear");
    of(&sides, left, right, cx).map(Some)
}

/// The delta of a join whose right side changed; both deltas are read more than once.
pub fn of(sides: &Sides, left: Option<Delta>, right: Delta, cx: &mut Cx) -> Result<Delta> {
    let condition = Condition::of(sides);
    let flips = flips::of(sides, &condition, right, cx);
    let columns = sides.left.columns();
    let mut terms = vec![];
    if let Some(delta) = &left {
        terms.push(sides.linear(delta.clone()));
    }
    terms.push(flips.flipped(sides.left.clone(), None, sides.anti, cx));
    if let Some(delta) = left {
        terms.push(flips.flipped(delta.plan, Some(&delta.w), !sides.anti, cx));
    }
    Ok(Delta::total(columns, terms, &mut cx.ids))
}

impl Sides<'_> {
    /// ΔL ⋉ R
    fn linear(&self, delta: Delta) -> Delta {
        let plan = delta.plan.semi_join(self.right.clone(), self.on.clone(), self.anti);
        Delta { plan, ..delta }
    }
}

/// `sign` as a weight, times another one, negated where it takes rows away.
fn weight(sign: Expr, other: Option<&Column>, negative: bool) -> Expr {
    let product = match other {
        Some(w) => E::binary("*", sign, w.expr()),
        None => sign,
    };
    if negative { E::Unary(crate::expr::Op::plain("-"), Box::new(product)) } else { product }
}
