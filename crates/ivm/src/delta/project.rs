//! π, project.   Linear:  Δπ(R) = π(ΔR)
//!
//! The weight passes beside the columns. Rows that differed may be alike afterwards; only a projection
//! that keeps every column keeps them apart.

use crate::error::Result;
use crate::plan::Project;

use super::{Cx, Delta};

pub fn delta(project: &Project, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(Delta { plan, w, consolidated, cancels }) = cx.delta(&project.input)? else { return Ok(None) };
    let input = project.input.columns();
    let keeps = input.iter().all(|column| project.columns.iter().any(|(_, expr)| *expr == column.expr()));
    let columns = project.columns.iter().cloned().chain([w.pass()]).collect();
    Ok(Some(Delta { plan: plan.project(columns), w, consolidated: consolidated && keeps, cancels }))
}
