//! Columns that nothing reads are dropped: `π(R) = π(R')` where `R'` lacks other columns.
//!
//! A source captures the columns that a scan reads, so a narrow plan makes writers cheaper.

use std::collections::BTreeSet;

use super::{project, semi};
use crate::plan::{
    Aggregate, ColId, Column, Distinct, Expr, Filter, Fixpoint, Join, Outer, Plan, Project, Semi, UnionAll, Window,
    reads,
};

/// The plan with the `needed` columns among its output, and as few others as its operators allow.
pub fn prune(plan: Plan, needed: &BTreeSet<ColId>) -> Plan {
    let wanted = |column: &Column| needed.contains(&column.id);
    match plan {
        Plan::Scan(mut scan) => {
            scan.columns.retain(|(column, _)| wanted(column));
            Plan::Scan(scan)
        }
        Plan::Values(mut values) => {
            let is_wanted: Vec<bool> = values.columns.iter().map(wanted).collect();
            values.columns.retain(wanted);
            for row in &mut values.rows {
                let mut is_wanted = is_wanted.iter();
                row.retain(|_| is_wanted.next().is_some_and(|wanted| *wanted));
            }
            Plan::Values(values)
        }
        Plan::Filter(f) => {
            let Filter { input, predicate } = *f;
            prune(input, &with(needed, [&predicate])).filter(predicate)
        }
        Plan::Project(p) => {
            let Project { input, mut columns } = *p;
            columns.retain(|(column, _)| wanted(column));
            let input = prune(input, &with(&BTreeSet::new(), columns.iter().map(|(_, e)| e)));
            project::project(input, columns)
        }
        Plan::Join(j) => {
            let Join { inputs, predicates, .. } = *j;
            let needed = with(needed, &predicates);
            Plan::join(inputs.into_iter().map(|input| prune(input, &needed)).collect(), predicates)
        }
        Plan::Outer(o) => {
            let Outer { left, right, on } = *o;
            let needed = with(needed, [&on]);
            prune(left, &needed).left_join(prune(right, &needed), on)
        }
        Plan::UnionAll(u) => union(u, needed),
        Plan::Aggregate(a) => aggregate(*a, needed),
        Plan::Distinct(d) => {
            let all = d.input.ids();
            Plan::Distinct(Box::new(Distinct { input: prune(d.input, &all) }))
        }
        Plan::Semi(s) => {
            let Semi { left, right, on, anti } = *s;
            let read = with(needed, [&on]);
            semi::semi(Semi { left: prune(left, &read), right: prune(right, &read), on, anti })
        }
        Plan::Window(w) => {
            let Window { input, partition, mut calls } = *w;
            calls.retain(|(column, _)| wanted(column));
            let mut read = with(needed, calls.iter().map(|(_, e)| e));
            if calls.is_empty() {
                return prune(input, &read);
            }
            read.extend(&partition);
            narrow(Plan::Window(Box::new(Window { input: prune(input, &read), partition, calls })), needed)
        }
        Plan::TopK(ref top) => {
            let mut read = with(needed, plan.expressions());
            read.extend(&top.partition);
            narrow(plan.map_inputs(&mut |input| prune(input, &read)), needed)
        }
        // Every column of an expansion, and of what a function returns, may decide how many rows there are.
        Plan::Expand(_) | Plan::Unnest(_) => {
            let read = with(needed, plan.expressions());
            plan.map_inputs(&mut |input| prune(input, &read))
        }
        // The rows that a round derives from a row may depend on any of its columns.
        Plan::Fixpoint(f) => {
            let arm = |(plan, ids): (Plan, Vec<ColId>)| (prune(plan, &ids.iter().copied().collect()), ids);
            let Fixpoint { number, columns, base, step, all } = *f;
            Plan::Fixpoint(Box::new(Fixpoint { number, columns, base: arm(base), step: arm(step), all }))
        }
    }
}

/// Without the columns that only the operator itself reads: its node does not store them.
fn narrow(plan: Plan, needed: &BTreeSet<ColId>) -> Plan {
    let mut columns = plan.pass();
    let all = columns.len();
    columns.retain(|(column, _)| needed.contains(&column.id));
    if columns.len() < all { plan.project(columns) } else { plan }
}

fn union(union: UnionAll, needed: &BTreeSet<ColId>) -> Plan {
    let places: Vec<usize> = (0..union.columns.len()).filter(|at| needed.contains(&union.columns[*at].id)).collect();
    let inputs = union.inputs.into_iter().map(|(input, ids)| {
        let ids: Vec<ColId> = places.iter().map(|at| ids[*at]).collect();
        (prune(input, &ids.iter().copied().collect()), ids)
    });
    let inputs = inputs.collect();
    Plan::UnionAll(UnionAll { columns: places.iter().map(|at| union.columns[*at].clone()).collect(), inputs })
}

/// An aggregate without keys retains at least one call: it has one row, whichever columns are read.
fn aggregate(aggregate: Aggregate, needed: &BTreeSet<ColId>) -> Plan {
    let Aggregate { input, keys, mut calls } = aggregate;
    let spare = if keys.is_empty() { calls.first().cloned() } else { None };
    calls.retain(|call| needed.contains(&call.column.id));
    if calls.is_empty() {
        calls.extend(spare);
    }
    let mut read: BTreeSet<ColId> = keys.iter().map(|key| key.id).collect();
    for call in &calls {
        read.extend(call.args.iter().chain(&call.filter));
        read = with(&read, call.order_by.iter().chain(&call.within_group).map(|order| &order.expr));
    }
    prune(input, &read).aggregate(keys, calls)
}

/// The columns of `needed` and those that the expressions read.
fn with<'a>(needed: &BTreeSet<ColId>, exprs: impl IntoIterator<Item = &'a Expr>) -> BTreeSet<ColId> {
    needed.iter().copied().chain(exprs.into_iter().flat_map(reads)).collect()
}
