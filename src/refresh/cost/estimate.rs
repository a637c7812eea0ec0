//! What a refresh would cost, by the planner: applying the changes, and recomputing.
//!
//! The program is prepared as for a run, with empty deltas of which the planner is given the size; the rows that it expects
//! of one step are the size of the next one's input. That is some planning; an estimate is used again for deltas of about
//! these sizes until a plan is invalidated or a table is resized. Then it costs microseconds.

use std::collections::{BTreeMap, HashSet};

use ivm::choice::{Costs, STATEMENT, WRITE};
use ivm::plan::{Plan, Relation};
use ivm::view::{Program, Step};
use pgrx::datum::clock_timestamp;
use pgrx::pg_sys::Oid;

use crate::capture::{self, Pending};
use crate::error::{Error, Result};
use crate::pg::plan::Planned;
use crate::pg::spi::{self, OwnerSession};
use crate::pg::tuplestore::Tuplestore;
use crate::pg::{counters, object, relation};
use crate::refresh::clock;
use crate::refresh::cost::keys;
use crate::refresh::cost::model::{Estimate, tolerance};
use crate::refresh::cost::plans::{Compiled, SIZE_TOLERANCE, assumed, register_as};
use crate::refresh::cost::skew::{self, Key};
use crate::refresh::prepared::Prepared;
use crate::refresh::program::register_delta;

/// Rows of a recursion that follow from a changed row. The planner knows nothing of that; where they are many more, the refresh
/// finds out.
const AFFECTED: f64 = 10.0;

/// Drops all plans and estimates when a table has another size than they were made for. The server plans again when a table
/// was analyzed, which may be long after it was filled.
pub fn invalidate_on_resize(prepared: &Prepared) -> Result<()> {
    if !prepared.model.is_outdated() {
        return Ok(());
    }
    prepared.drop_plans();
    let loaded = &prepared.loaded;
    let mut tables: HashSet<Oid> =
        loaded.dependencies.iter().flat_map(|dependency| relation::lock_for_reading(dependency.relid)).collect();
    for node in &loaded.view.nodes {
        tables.insert(object::oid(&node.table)?);
    }
    prepared.plans.in_memory.set(prepared.model.watch_sizes(tables));
    Ok(())
}

/// The costs of applying these changes and of recomputing.
pub fn costs(session: &OwnerSession, prepared: &Prepared, changed: &BTreeMap<Relation, Pending>) -> Result<Costs> {
    if !is_current(prepared)? {
        prepared.model.drop_estimates();
    }
    let relations: Vec<&Relation> = changed.keys().collect();
    let keys = keys::of(prepared, &relations)?;
    let class = skew::class(&keys, |delta| Some(&changed.get(delta)?.store));
    let sizes = changed.values().map(|pending| assumed(pending.expected()));
    let rows: Vec<f64> = sizes.chain([class]).collect();
    if let Some(found) = prepared.model.find(&relations, &rows) {
        counters::count(|server| &server.costs.hits);
        return Ok(found);
    }
    counters::count(|server| &server.costs.misses);
    let deltas = changed.iter().zip(&rows).map(|((relation, pending), rows)| (relation, &pending.store, *rows));
    let (cost, writing) = estimate_cost(session, prepared, deltas, (&keys, class))?;
    let costs = Costs { delta: cost + writing, full: full_cost(session, prepared)? + writing };
    let relations = relations.into_iter().cloned().collect();
    prepared.model.keep(Estimate { relations, rows, costs });
    Ok(costs)
}

/// Whether the plans that recompute, which read every table, are valid.
fn is_current(prepared: &Prepared) -> Result<bool> {
    for node in 0..prepared.loaded.view.nodes.len() {
        if !prepared.plans.full(&prepared.loaded.view, node)?.is_planned()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What computing every node and comparing it with its table costs.
pub fn full_cost(session: &OwnerSession, prepared: &Prepared) -> Result<f64> {
    let mut cost = 0.0;
    for node in 0..prepared.loaded.view.nodes.len() {
        let compiled = prepared.plans.full(&prepared.loaded.view, node)?;
        for step in 0..compiled.program.steps.len() {
            let statement = compiled.statement(session, step, &[], SIZE_TOLERANCE)?;
            cost += STATEMENT + statement.planned(session)?.cost;
        }
    }
    Ok(cost)
}

/// Plans everything that follows these deltas, without running it. The cost of the steps, and that of writing, which is
/// the same for every way to compute the differences.
fn estimate_cost<'a>(
    session: &OwnerSession,
    prepared: &Prepared,
    deltas: impl IntoIterator<Item = (&'a Relation, &'a Tuplestore, f64)>,
    (keys, class): (&[Key], f64),
) -> Result<(f64, f64)> {
    let (view, plans) = (&prepared.loaded.view, &prepared.plans);
    let mut changed: BTreeMap<Relation, f64> = BTreeMap::new();
    for (relation, store, rows) in deltas {
        register_delta(session, view, relation, store, rows)?;
        changed.insert(relation.clone(), rows);
    }
    skew::announce(view, keys, class);
    // Registered relations point to them.
    let mut stores = vec![];
    let (mut cost, mut writing) = (0.0, 0.0);
    for node in 0..view.nodes.len() {
        let (mask, deltas) = view.mask_of(node, |delta| changed.contains_key(delta));
        if mask.is_empty() {
            continue;
        }
        let Some(compiled) = plans.delta(view, node, mask)? else { continue };
        let sizes = deltas.iter().filter_map(|delta| changed.get(delta)).copied().chain([class]).collect();
        let table_rows = relation::estimated_rows(object::oid(&view.nodes[node].table)?);
        let (delta, rows) = estimate_steps(session, (&compiled, table_rows), sizes, (&mut stores, &mut cost))?;
        compiled.program.steps.iter().try_for_each(|step| session.unregister(step.name.as_str()))?;
        writing += apply_cost(session, prepared, node, (&delta, rows))?;
        let relation = Relation::NodeDelta(node);
        register_delta(session, view, &relation, &delta, rows)?;
        stores.push(delta);
        changed.insert(relation, rows);
    }
    changed.keys().try_for_each(|relation| session.unregister(view.relation_name(relation).name.as_str()))?;
    Ok((cost, writing))
}

/// Adds the costs of the steps of one program, which maintains a table of so many rows; its delta, empty, and the rows that are expected of it.
fn estimate_steps(
    session: &OwnerSession,
    (compiled, table_rows): (&Compiled, f64),
    mut sizes: Vec<f64>,
    (stores, cost): (&mut Vec<Tuplestore>, &mut f64),
) -> Result<(Tuplestore, f64)> {
    let affected = (AFFECTED * sizes.iter().sum::<f64>()).min(table_rows);
    for (at, step) in compiled.program.steps.iter().enumerate() {
        let statement = compiled.statement(session, at, &sizes, tolerance(&sizes))?;
        let unlikely = is_unlikely(&compiled.program, step);
        let planned = statement.planned(session)?;
        let share = if step.query.is_recursive() { (affected / planned.rows).min(1.0) } else { 1.0 };
        let planned = Planned { cost: share * planned.cost, rows: share * planned.rows, ..planned };
        let rows = assumed(match planned {
            _ if unlikely || step.seldom => 0.0,
            Planned { rows, last_term, .. } if step.cancels => rows - last_term,
            Planned { rows, .. } => rows,
        });
        if !unlikely {
            *cost += STATEMENT + planned.cost;
        }
        let store = statement.store()?;
        register_as(session, step.name.as_str(), &store, rows)?;
        sizes.push(rows);
        stores.push(store);
    }
    let rows = sizes.pop();
    stores.pop().zip(rows).ok_or(Error::Bug("a program ends in its delta"))
}

/// Whether a step needs one that is empty most of the time. Where it runs all the same, the measured time tells.
fn is_unlikely(program: &Program, step: &Step) -> bool {
    let needed = step.needs.as_ref().and_then(|name| program.steps.iter().find(|step| step.name == *name));
    needed.is_some_and(|needed| needed.seldom || is_unlikely(program, needed))
}

/// The cost of applying a delta of so many rows: some update rows, and the others are as many insertions as deletions.
fn apply_cost(
    session: &OwnerSession,
    prepared: &Prepared,
    node: usize,
    (delta, rows): (&Tuplestore, f64),
) -> Result<f64> {
    let applied = prepared.plans.apply(&prepared.loaded.view, node)?;
    let part = assumed(rows / if applied.update.is_some() { 4.0 } else { 2.0 });
    let mut cost = WRITE * rows;
    for change in applied.update.iter().chain([&applied.delete, &applied.insert]) {
        let planned =
            change.with(session, (delta, part), tolerance(&[part]), |statement| statement.planned(session))?;
        cost += STATEMENT + planned.cost;
    }
    Ok(cost)
}

/// What the server refuses it refuses in any order of joins; finding the best one takes too long for a check.
const IN_ORDER: (&str, &str) = ("join_collapse_limit", "1");

/// Whether the statements that follow a plan group by keys, which needs types that can be hashed or sorted.
fn may_be_refused(plan: &Plan) -> bool {
    let groups = !matches!(
        plan,
        Plan::Scan(_) | Plan::Values(_) | Plan::Filter(_) | Plan::Project(_) | Plan::Join(_) | Plan::UnionAll(_)
    );
    groups || plan.inputs().into_iter().any(may_be_refused)
}

/// Plans the statements that apply a few changed rows of each source: the server may refuse one.
pub fn plan_deltas(prepared: &Prepared) -> Result<()> {
    let loaded = &prepared.loaded;
    if loaded.recomputes() || !loaded.view.nodes.iter().any(|node| may_be_refused(&node.plan)) {
        return Ok(());
    }
    let settings = [loaded.table.evaluation(), vec![IN_ORDER]].concat();
    spi::connect_as(loaded.table.owner, &settings, None, |session| {
        let now = clock_timestamp();
        let clock = clock::at(now, now)?;
        clock::register(session, &clock)?;
        for dependency in &loaded.dependencies {
            let delta = Relation::SourceDelta(loaded.names[&dependency.source].clone());
            let store = capture::empty(dependency.source, &dependency.columns)?;
            estimate_cost(session, prepared, [(&delta, &store, assumed(1.0))], (&[], 1.0))?;
        }
        Ok(())
    })?;
    // Plans for refreshes join in the best order.
    prepared.drop_plans();
    Ok(())
}
