//! Plans to equal plans: `eval(simplify(p)) = eval(p)`, with the same column ids and output names.
//!
//! | rule | file |
//! |---|---|
//! | filters sink through projections, merge, and become join predicates | `filter` |
//! | projections merge; those that change nothing vanish | `project` |
//! | projections rise out of joins; joins of joins become one | `join` |
//! | projections rise out of the left of semi joins; at last those on keys sink into an input of a join | `semi` |
//! | filters sink into the left of semi and outer joins; an outer join whose NULLs are filtered is an inner one | `filter` |
//! | filters over partitions sink below windows | `filter` |
//! | a bound on a row number makes a top-k of a window's input | `window` |
//! | unions of unions become one; a DISTINCT needs none below | `union` |
//! | columns that nothing reads are not computed; windows and top-k retain the projection on top of them | `prune` |
//!
//! Two more rules read the catalog and run once: `unnest` before all others, `restrict` after them. The last one,
//! `bounds`, runs on the plan of each node.
//!
//! Views, CTEs and subqueries in FROM thus become one flat join over scans, so that a delta joins
//! base tables, never intermediate results.

pub mod bounds;
mod filter;
mod join;
mod project;
mod prune;
pub mod restrict;
pub mod semi;
mod union;
pub mod unnest;
mod window;

use std::collections::BTreeSet;

use crate::expr::Expr as Generic;
use crate::expr::MOST_NODES;
use crate::plan::{ColId, Column, Distinct, Expr, Plan, Project, reads};

/// One rule makes another applicable: a window that nothing reads vanishes, and the projections around it merge. Few
/// passes are enough, which `law_simplify_is_idempotent` checks.
const PASSES: usize = 8;

/// The plan in the shape from which the delta laws make the least SQL.
pub fn simplify(plan: Plan) -> Plan {
    let mut plan = pass(plan);
    for _ in 1..PASSES {
        let next = pass(plan.clone());
        if next == plan {
            break;
        }
        plan = next;
    }
    plan
}

fn pass(plan: Plan) -> Plan {
    let plan = bottom_up(plan);
    let output = plan.ids();
    prune::prune(plan, &output)
}

fn bottom_up(plan: Plan) -> Plan {
    match plan.map_inputs(&mut bottom_up) {
        Plan::Filter(f) => filter::filter(f.input, f.predicate),
        Plan::Project(p) => project::project(p.input, p.columns),
        Plan::Join(j) => join::join(j.inputs, j.predicates),
        Plan::Semi(s) => semi::semi(*s),
        Plan::UnionAll(u) => union::union_all(u.columns, u.inputs),
        Plan::Distinct(d) => Plan::Distinct(Box::new(Distinct { input: union::without_distinct(d.input) })),
        other => other,
    }
}

/// The plan with `f` applied to every operator, inputs first; `read` are the columns that are read above it.
fn with_read<E>(
    plan: Plan,
    read: &BTreeSet<ColId>,
    f: &mut impl FnMut(Plan, &BTreeSet<ColId>) -> Result<Plan, E>,
) -> Result<Plan, E> {
    let mut all = read.clone();
    all.extend(plan.expressions().into_iter().flat_map(reads));
    all.extend(plan.named_columns());
    let plan = plan.try_map_inputs(&mut |input| with_read(input, &all, f))?;
    f(plan, read)
}

/// Whether a projection may be moved: the one on top of a window or a top-k has the columns that its node stores.
fn movable(project: &Project) -> bool {
    !matches!(project.input, Plan::Window(_) | Plan::TopK(_))
}

/// The expression with computed columns replaced by their definitions; `None` when it would get too
/// large or a subquery may read the columns.
fn substituted(e: &Expr, columns: &[(Column, Expr)]) -> Option<Expr> {
    (fits(e, columns) && e.subqueries().is_empty()).then(|| substitute(e, columns))
}

/// Whether the expression stays small with computed columns replaced by what computes them.
pub fn fits(e: &Expr, columns: &[(Column, Expr)]) -> bool {
    let grown: usize = e.columns().into_iter().filter_map(|id| definition(*id, columns)).map(Expr::size).sum();
    e.size() + grown <= MOST_NODES
}

/// The expression with computed columns replaced by their definitions, at any size.
pub fn substitute(e: &Expr, columns: &[(Column, Expr)]) -> Expr {
    mapped(e, &mut |id| definition(id, columns).cloned().unwrap_or(Generic::Column(id)))
}

/// The expression with each of its columns, outside of subqueries, replaced by an expression.
fn mapped(e: &Expr, column: &mut dyn FnMut(ColId) -> Expr) -> Expr {
    let mapped: crate::Result<Expr> = e.clone().try_map(&mut |id| Ok(column(id)), &mut |query: Plan| Ok(query));
    // Neither of the mappers fails.
    mapped.unwrap_or_else(|_| e.clone())
}

fn definition(id: ColId, columns: &[(Column, Expr)]) -> Option<&Expr> {
    columns.iter().find(|(column, _)| column.id == id).map(|(_, e)| e)
}

#[cfg(test)]
mod tests;
