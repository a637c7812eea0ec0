//! σ, filter.   Linear:  Δσ(R) = σ(ΔR)
//!
//! An update is −old +new, so a row that starts or stops matching becomes a lone insert or delete with
//! no special case.

use crate::error::Result;
use crate::plan::Filter;

use super::{Cx, Delta};

pub fn delta(filter: &Filter, cx: &mut Cx) -> Result<Option<Delta>> {
    let filtered = |delta: Delta| Delta { plan: delta.plan.filter(filter.predicate.clone()), ..delta };
    Ok(cx.delta(&filter.input)?.map(filtered))
}
