//! ×*, each row with the rows of a function.   Linear:  Δ(R ×* f) = ΔR ×* f
//!
//! The function sees one row and nothing else, so what it returns comes and goes with that row. This
//! holds for ⟕*, too: whether a row is extended with NULLs is its own affair.

use crate::error::Result;
use crate::plan::{Plan, Unnest};

use super::{Cx, Delta};

pub fn delta(unnest: &Unnest, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(Delta { plan, w, cancels, .. }) = cx.delta(&unnest.input)? else { return Ok(None) };
    let unnest = Unnest { input: plan, ..unnest.clone() };
    Ok(Some(Delta { plan: Plan::Unnest(Box::new(unnest)), w, consolidated: false, cancels }))
}
