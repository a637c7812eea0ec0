//! π*, project with set-returning calls.   Linear:  Δπ*(R) = π*(ΔR)
//!
//! Each row becomes its own rows, whatever the others are, and all of them have its weight: the weight
//! passes beside the calls, which repeat it.

use crate::error::Result;
use crate::plan::{Expand, Plan};

use super::{Cx, Delta};

pub fn delta(expand: &Expand, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(Delta { plan, w, cancels, .. }) = cx.delta(&expand.input)? else { return Ok(None) };
    let columns = expand.columns.iter().cloned().chain([w.pass()]).collect();
    Ok(Some(Delta { plan: Plan::Expand(Box::new(Expand { input: plan, columns })), w, consolidated: false, cancels }))
}
