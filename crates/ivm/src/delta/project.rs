//! π, project, and π*, project with set-returning calls.   Linear:  Δπ(R) = π(ΔR)
//!
//! The weight passes through: of the rows that π* makes of one, all have its weight. Rows that differ in the input may be
//! equal in the output; only a projection without such calls that retains every column keeps them distinct.

use crate::error::Result;
use crate::plan::{Plan, Project};

use super::{Cx, Delta};

pub fn delta(plan: &Plan, project: &Project, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(delta) = cx.delta(&project.input)? else { return Ok(None) };
    let retained = |id| project.columns.iter().any(|(_, e)| *e == crate::plan::Expr::Column(id));
    let keeps = matches!(plan, Plan::Project(_)) && project.input.ids().into_iter().all(retained);
    let columns = project.columns.iter().cloned().chain([delta.w.pass()]).collect();
    let plan = plan.project_alike(delta.plan, columns);
    Ok(Some(Delta { plan, consolidated: delta.consolidated && keeps, ..delta }))
}
