//! Columns that nothing reads are dropped: `π(R) = π(R')` where `R'` lacks other columns.
//!
//! A source captures the columns that a scan reads, so a narrow plan makes writers cheaper.

use std::collections::BTreeSet;

use super::{project, semi};
use crate::plan::{Aggregate, ColId, Column, Plan, UnionAll, Values, reads};

/// The plan with the `needed` columns among its output, and as few others as its operators allow.
pub fn prune(mut plan: Plan, needed: &BTreeSet<ColId>) -> Plan {
    let wanted = |column: &Column| needed.contains(&column.id);
    match &mut plan {
        Plan::Scan(scan) => scan.columns.retain(|(column, _)| wanted(column)),
        Plan::Values(Values { columns, rows }) => {
            let is_wanted: Vec<bool> = columns.iter().map(wanted).collect();
            columns.retain(wanted);
            rows.iter_mut().for_each(|row| retain(row, &is_wanted));
        }
        Plan::Project(project) => project.columns.retain(|(column, _)| wanted(column)),
        Plan::UnionAll(UnionAll { columns, inputs }) => {
            let is_wanted: Vec<bool> = columns.iter().map(wanted).collect();
            columns.retain(wanted);
            inputs.iter_mut().for_each(|(_, ids)| retain(ids, &is_wanted));
        }
        Plan::Aggregate(aggregate) => narrow_aggregate(aggregate, needed),
        Plan::Window(window) => window.calls.retain(|(column, _)| wanted(column)),
        // Every column of an expansion, and of what a function returns, may decide how many rows there are; the rows that a
        // round of a fixpoint derives from a row may depend on any of its columns.
        _ => {}
    }
    if let Plan::Window(window) = &mut plan
        && window.calls.is_empty()
    {
        return prune(window.input.take(), needed);
    }
    if plan.inputs().is_empty() {
        return plan;
    }
    let makes_all = matches!(plan, Plan::Project(_) | Plan::UnionAll(_) | Plan::Aggregate(_) | Plan::Fixpoint(_));
    let mut read = if makes_all { BTreeSet::new() } else { needed.clone() };
    read.extend(plan.expressions().into_iter().flat_map(reads).chain(plan.named_columns()));
    match plan.map_inputs(&mut |input| prune(input, &read)) {
        Plan::Project(p) => project::project(p.input, p.columns),
        Plan::Semi(s) => semi::semi(*s),
        plan @ (Plan::Window(_) | Plan::TopK(_)) => narrow(plan, needed),
        other => other,
    }
}

/// Retains the items at the places that are wanted.
fn retain<T>(items: &mut Vec<T>, is_wanted: &[bool]) {
    let mut is_wanted = is_wanted.iter();
    items.retain(|_| is_wanted.next().is_some_and(|wanted| *wanted));
}

/// Without the columns that only the operator itself reads: its node does not store them.
fn narrow(plan: Plan, needed: &BTreeSet<ColId>) -> Plan {
    let mut columns = plan.pass();
    let all = columns.len();
    columns.retain(|(column, _)| needed.contains(&column.id));
    if columns.len() < all { plan.project(columns) } else { plan }
}

/// An aggregate without keys retains at least one call: it has one row, whichever columns are read.
fn narrow_aggregate(aggregate: &mut Aggregate, needed: &BTreeSet<ColId>) {
    let spare = if aggregate.keys.is_empty() { aggregate.calls.first().cloned() } else { None };
    aggregate.calls.retain(|call| needed.contains(&call.column.id));
    if aggregate.calls.is_empty() {
        aggregate.calls.extend(spare);
    }
}
