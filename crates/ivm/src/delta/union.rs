//! ⊎, union all.   Linear:  Δ(R ⊎ S) = ΔR ⊎ ΔS
//!
//! Unchanged inputs contribute nothing.

use crate::error::Result;
use crate::plan::UnionAll;

use super::{Cx, Delta};

pub fn delta(union: &UnionAll, cx: &mut Cx) -> Result<Option<Delta>> {
    let (mut inputs, mut cancels) = (vec![], false);
    for (input, columns) in &union.inputs {
        if let Some(delta) = cx.delta(input)? {
            let columns = columns.iter().copied().chain([delta.w.id]).collect();
            inputs.push((delta.plan, columns));
            cancels |= delta.cancels;
        }
    }
    if inputs.is_empty() {
        return Ok(None);
    }
    Ok(Some(Delta { cancels, ..Delta::of_arms(union.columns.clone(), inputs, &mut cx.ids) }))
}
