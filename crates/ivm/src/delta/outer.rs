//! ⟕, outer join.   `L ⟕ R = L ⋈ R ⊎ (L ▷ R) × NULLs`, so  Δ(L ⟕ R) = Δ(L ⋈ R) ⊎ Δ(L ▷ R) × NULLs
//!
//! A left row without a match is a row of the anti join, extended with NULLs. While the right side does not
//! change, the join is linear in its left side.

use crate::error::Result;
use crate::plan::{Expr, Outer, Plan, Semi};

use super::product::Input;
use super::{Cx, Delta, join, semi};

pub fn delta(outer: &Outer, cx: &mut Cx) -> Result<Option<Delta>> {
    let (left, right) = (cx.delta(&outer.left)?, cx.delta(&outer.right)?);
    let Some(right) = right else {
        let joined = |plan: Plan| plan.left_join(outer.right.clone(), outer.on.clone());
        return Ok(left.map(|delta| Delta { plan: joined(delta.plan), consolidated: false, ..delta }));
    };
    let left = left.map(|left| cx.shared(left, "d_left", "linear"));
    let right = cx.shared(right, "d_right", "linear");
    let inner = vec![Input::new(&outer.left, left.clone()), Input::new(&outer.right, Some(right.clone()))];
    let inner = join::of(inner, &outer.on.clone().conjuncts(), cx)?;
    let anti = Semi { left: outer.left.clone(), right: outer.right.clone(), on: outer.on.clone(), anti: true };
    let unmatched = semi::of(&anti, left, right, cx);
    // A join without matches gives the NULLs their types.
    let padded = Delta { plan: unmatched.plan.left_join(outer.right.clone(), Expr::bool(false)), ..unmatched };
    let columns = Plan::Outer(Box::new(outer.clone())).columns();
    Ok(Some(Delta::total(columns, inner.into_iter().chain([padded]).collect(), &mut cx.ids)))
}
