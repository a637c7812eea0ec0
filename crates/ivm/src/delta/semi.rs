//! ⋉, semi join, and ▷, anti join.   Δ(L ⋉ R) = ΔL ⋉ R + L ⋈ F − ΔL ⋈ F,  Δ(L ▷ R) = ΔL ▷ R − L ⋈ F + ΔL ⋈ F
//!
//! F are the *flips*: +1 where ΔR inserts the first match and −1 where it deletes the last one. States are read after
//! the change; the number of matches before it is the number after it less the weights of ΔR, and no more are
//! counted than decide it. With a join on equal keys the matches are counted once for each touched key:
//! `L ⋉ R = L ⋈ δ(keys of R)`, a bilinear law. With other conditions they are counted for each left row that may match a
//! changed one.

mod condition;
mod flips;

use crate::error::Result;
use crate::plan::Semi;

use super::{Cx, Delta};
use condition::Condition;

pub fn delta(semi: &Semi, cx: &mut Cx) -> Result<Option<Delta>> {
    let (left, right) = (cx.delta(&semi.left)?, cx.delta(&semi.right)?);
    let Some(right) = right else { return Ok(left.map(|delta| linear(semi, delta))) };
    let left = left.map(|left| cx.shared(left, "d_left", "linear"));
    let right = cx.shared(right, "d_right", "linear");
    Ok(Some(of(semi, left, right, cx)))
}

/// The delta of a join whose right side changed; both deltas are read more than once.
pub fn of(semi: &Semi, left: Option<Delta>, right: Delta, cx: &mut Cx) -> Delta {
    let flips = flips::of(semi, &Condition::of(semi), right, cx);
    let linear = left.clone().map(|delta| linear(semi, delta));
    let flipped = flips.flipped(semi.left.clone(), None, semi.anti, cx);
    let both = left.map(|delta| flips.flipped(delta.plan, Some(&delta.w), !semi.anti, cx));
    let terms = linear.into_iter().chain([flipped]).chain(both).collect();
    Delta::total(semi.left.columns(), terms, &mut cx.ids)
}

/// ΔL ⋉ R
fn linear(semi: &Semi, delta: Delta) -> Delta {
    Delta { plan: delta.plan.semi_join(semi.right.clone(), semi.on.clone(), semi.anti), ..delta }
}
