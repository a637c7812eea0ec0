//! ⋈ with inputs of one row: which of them are bounds of the others, so that a delta need not read all rows.
//!
//! `v > (SELECT avg(v) …)` is a join with one row that only predicates read. No output shows which row a row of the other
//! inputs was joined with, so that a change of the bound changes only the rows for which a comparison flips. The clock is
//! such an input as well. The rule runs last, over the plan of a node: it changes no plan and assigns the [`Role`]s that
//! `delta::join` reads.

use std::collections::BTreeSet;

use super::with_read;
use crate::bounds::Reading;
use crate::clock;
use crate::plan::{ColId, Expr, Join, Plan, Relation, Role, reads};

/// The plan with the roles of each join's inputs; `is_row` says whether an internal node has one row at most.
pub fn bounds(plan: Plan, is_row: &dyn Fn(usize) -> bool) -> Plan {
    let shown = plan.ids();
    let assign = &mut |plan, read: &BTreeSet<ColId>| {
        Ok::<Plan, std::convert::Infallible>(match plan {
            Plan::Join(join) => Plan::Join(Box::new(Join { roles: roles(&join, read, is_row), ..*join })),
            other => other,
        })
    };
    let Ok(plan) = with_read(plan, &shown, assign);
    plan
}

/// The roles of a join's inputs, where `read` are the columns that are read above it.
fn roles(join: &Join, read: &BTreeSet<ColId>, is_row: &dyn Fn(usize) -> bool) -> Vec<Role> {
    let role = |input: &Plan| match () {
        () if clock::is_scan(input) => Role::Clock,
        () if !is_single(input, is_row) => Role::Rows,
        () if input.ids().is_disjoint(read) => Role::Bound,
        () => Role::Row,
    };
    let mut roles: Vec<Role> = join.inputs.iter().map(role).collect();
    let columns = |roles: &[Role], of: &[Role]| -> BTreeSet<ColId> {
        join.inputs.iter().zip(roles).filter(|(_, role)| of.contains(role)).flat_map(|(input, _)| input.ids()).collect()
    };
    let (time, single) = (columns(&roles, &[Role::Clock]), columns(&roles, &[Role::Bound, Role::Row]));
    let is_other = |e: &Expr, roles: &[Role]| match Reading::of(e, &columns(roles, &[Role::Bound]), &single) {
        Reading::None => false,
        Reading::Other => true,
        // The clock is joined last.
        Reading::Gate | Reading::Comparison(_) => !reads(e).is_disjoint(&time),
    };
    // An input is no bound where a predicate reads it in another way. Of the bounds `a` and `b` in `v + b > a`, one
    // can stay.
    while let Some(other) = join.predicates.iter().find(|e| is_other(e, &roles)) {
        let read = reads(other);
        let of = |at: &usize| roles[*at] == Role::Bound && !join.inputs[*at].ids().is_disjoint(&read);
        let read: Vec<usize> = (0..roles.len()).filter(of).collect();
        let without = |of: &[usize]| {
            let mut roles = roles.clone();
            of.iter().for_each(|at| roles[*at] = Role::Row);
            roles
        };
        let enough = read.iter().map(|at| without(&[*at])).find(|roles| !is_other(other, roles));
        roles = enough.unwrap_or_else(|| without(&read));
    }
    roles
}

/// Whether a plan is the row of a node that has one, or made of such rows: its delta is an old and a new row at most.
fn is_single(plan: &Plan, is_row: &dyn Fn(usize) -> bool) -> bool {
    match plan {
        Plan::Scan(scan) => matches!(scan.relation, Relation::Node(index) if is_row(index)),
        Plan::Project(_) | Plan::Filter(_) | Plan::Join(_) => {
            plan.inputs().into_iter().all(|input| is_single(input, is_row))
        }
        _ => false,
    }
}
