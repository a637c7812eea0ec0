//! ×*, each row with the rows of a function.   Linear:  Δ(R ×* f) = ΔR ×* f
//!
//! The function reads one row only, so its rows are inserted and deleted with that row. This holds for ⟕*, too:
//! whether a row is extended with NULLs depends on that row alone.

use crate::error::Result;
use crate::plan::{Plan, Unnest};

use super::{Cx, Delta};

pub fn delta(unnest: &Unnest, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(delta) = cx.delta(&unnest.input)? else { return Ok(None) };
    let plan = Plan::Unnest(Box::new(Unnest { input: delta.plan, ..unnest.clone() }));
    Ok(Some(Delta { plan, consolidated: false, ..delta }))
}
