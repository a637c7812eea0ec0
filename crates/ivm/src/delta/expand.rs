//! π*, project with set-returning calls.   Linear:  Δπ*(R) = π*(ΔR)
//!
//! Each row becomes its own rows, whatever the others are. The weight passes through, so that all of them have it.

use crate::error::Result;
use crate::plan::{Expand, Plan};

use super::{Cx, Delta};

pub fn delta(expand: &Expand, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(delta) = cx.delta(&expand.input)? else { return Ok(None) };
    let columns = expand.columns.iter().cloned().chain([delta.w.pass()]).collect();
    let plan = Plan::Expand(Box::new(Expand { input: delta.plan, columns }));
    Ok(Some(Delta { plan, consolidated: false, ..delta }))
}
