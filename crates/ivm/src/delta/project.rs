//! π, project.   Linear:  Δπ(R) = π(ΔR)
//!
//! The weight passes through. Rows that differ in the input may be equal in the output; only a projection
//! that retains every column keeps them distinct.

use crate::error::Result;
use crate::plan::Project;

use super::{Cx, Delta};

pub fn delta(project: &Project, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(delta) = cx.delta(&project.input)? else { return Ok(None) };
    let input = project.input.columns();
    let keeps = input.iter().all(|column| project.columns.iter().any(|(_, expr)| *expr == column.expr()));
    let columns = project.columns.iter().cloned().chain([delta.w.pass()]).collect();
    Ok(Some(Delta { plan: delta.plan.project(columns), consolidated: delta.consolidated && keeps, ..delta }))
}
