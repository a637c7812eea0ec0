//! What a refresh would cost, by the planner: following the changes, and recomputing.
//!
//! An estimate is a rehearsal: the program is prepared as for a run, with empty deltas of which the planner
//! is told how many rows they have, and what it expects of one step is what the next one is told. That is
//! some planning; an estimate is kept for deltas of about these sizes until a plan is invalidated or a
//! table has another size. With one at hand it costs microseconds.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use ivm::choice::{Costs, STATEMENT, WRITE};
use ivm::plan::Relation;
use ivm::view::{Program, Step};
use pgrx::datum::clock_timestamp;
use pgrx::pg_sys::Oid;

use crate::capture::{self, Pending};
use crate::error::{Error, Result};
use crate::pg::plan::Planned;
use crate::pg::spi::{self, OwnerSession};
use crate::pg::tuplestore::Tuplestore;
use crate::pg::{object, relation};
use crate::refresh::adaptive::recomputes;
use crate::refresh::clock;
use crate::refresh::loaded::Loaded;
use crate::refresh::planned::{Compiled, NEAR, distance, register_as, told};
use crate::refresh::program::{mask_of, register_delta};

/// Estimates of one stream table.
#[derive(Default)]
pub struct Estimates {
    kept: RefCell<Vec<Estimate>>,
    /// The pages that tables had when plans were made.
    pages: RefCell<Vec<(Oid, u32)>>,
}

struct Estimate {
    relations: Vec<Relation>,
    rows: Vec<f64>,
    costs: Costs,
}

/// Estimates that are kept: those used last.
const KEPT: usize = 16;
/// From here on a delta is estimated for nearly its true size: the choice is a close one, and planning is
/// short beside it.
const MANY: f64 = 64.0;
const NEARLY: f64 = 1.5;
/// Tables whose size is watched: the largest.
const WATCHED: usize = 16;
/// Another size: grown or shrunk by this factor, beyond a few pages.
const NOTABLY: u32 = 2;
const PAGES: u32 = 16;

/// How far the sizes of an estimate may be off.
fn near(rows: &[f64]) -> f64 {
    if rows.iter().any(|rows| *rows > MANY) { NEARLY } else { NEAR }
}

impl Estimates {
    pub fn forget(&self) {
        self.kept.borrow_mut().clear();
        self.pages.borrow_mut().clear();
    }

    fn find(&self, relations: &[&Relation], rows: &[f64]) -> Option<Costs> {
        let mut kept = self.kept.borrow_mut();
        let fits = |estimate: &Estimate| {
            estimate.relations.iter().eq(relations.iter().copied())
                && distance(&estimate.rows, rows).is_some_and(|apart| apart <= near(rows))
        };
        let at = kept.iter().position(fits)?;
        kept[..=at].rotate_right(1);
        Some(kept[0].costs)
    }

    fn keep(&self, estimate: Estimate) {
        let mut kept = self.kept.borrow_mut();
        kept.insert(0, estimate);
        kept.truncate(KEPT);
    }
}

/// Forgets all plans and estimates when a table has another size than they were made for. The server makes
/// them anew when a table was analyzed, which may be long after it was filled.
pub fn heed_sizes(loaded: &Loaded) -> Result<()> {
    let other = |(oid, then): &(Oid, u32)| {
        let now = relation::pages(*oid);
        now > NOTABLY * then + PAGES || *then > NOTABLY * now + PAGES
    };
    let known = loaded.programs.estimates.pages.borrow();
    if !known.is_empty() && !known.iter().any(other) {
        return Ok(());
    }
    drop(known);
    loaded.programs.forget();
    let mut tables: HashSet<Oid> =
        loaded.dependencies.iter().flat_map(|d| relation::lock_for_reading(d.relid)).collect();
    for node in &loaded.view.nodes {
        tables.insert(object::oid(&node.table)?);
    }
    let mut pages: Vec<(Oid, u32)> = tables.into_iter().map(|oid| (oid, relation::pages(oid))).collect();
    pages.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    pages.truncate(WATCHED);
    *loaded.programs.estimates.pages.borrow_mut() = pages;
    Ok(())
}

/// What following these deltas costs, and what recomputing costs.
pub fn costs(session: &OwnerSession, loaded: &Loaded, changed: &BTreeMap<Relation, Pending>) -> Result<Costs> {
    let estimates = &loaded.programs.estimates;
    if !is_current(loaded)? {
        estimates.kept.borrow_mut().clear();
    }
    let relations: Vec<&Relation> = changed.keys().collect();
    let rows: Vec<f64> = changed.values().map(|pending| told(pending.expected())).collect();
    if let Some(found) = estimates.find(&relations, &rows) {
        return Ok(found);
    }
    let deltas = changed.iter().zip(&rows).map(|((relation, pending), rows)| (relation, &pending.store, *rows));
    let (cost, writing) = rehearse(session, loaded, deltas)?;
    let costs = Costs { delta: cost + writing, full: full_cost(session, loaded)? + writing };
    let relations = relations.into_iter().cloned().collect();
    estimates.keep(Estimate { relations, rows, costs });
    Ok(costs)
}

/// Whether recomputing is planned and nothing has put the plans in doubt: they read every table.
fn is_current(loaded: &Loaded) -> Result<bool> {
    for node in 0..loaded.view.nodes.len() {
        if !loaded.programs.full(loaded, node)?.is_planned()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What computing every node and comparing it with its table costs.
fn full_cost(session: &OwnerSession, loaded: &Loaded) -> Result<f64> {
    let mut cost = 0.0;
    for node in 0..loaded.view.nodes.len() {
        let compiled = loaded.programs.full(loaded, node)?;
        for step in 0..compiled.program.steps.len() {
            let statement = compiled.statement(session, step, &[], NEAR)?;
            cost += STATEMENT + statement.planned(session)?.cost;
        }
    }
    Ok(cost)
}

/// Plans everything that follows these deltas, without running it. The cost of the steps, and that of writing, which is
/// the same for every way to compute the differences.
fn rehearse<'a>(
    session: &OwnerSession,
    loaded: &Loaded,
    deltas: impl IntoIterator<Item = (&'a Relation, &'a Tuplestore, f64)>,
) -> Result<(f64, f64)> {
    let mut changed: BTreeMap<Relation, f64> = BTreeMap::new();
    for (relation, store, rows) in deltas {
        register_delta(session, loaded, relation, store, rows)?;
        changed.insert(relation.clone(), rows);
    }
    // Registered relations point to them.
    let mut stores = vec![];
    let (mut cost, mut writing) = (0.0, 0.0);
    for node in 0..loaded.view.nodes.len() {
        let (mask, deltas) = mask_of(loaded, node, |delta| changed.contains_key(delta));
        if mask.is_empty() {
            continue;
        }
        let Some(compiled) = loaded.programs.delta(loaded, node, mask)? else { continue };
        let sizes = deltas.iter().filter_map(|delta| changed.get(delta)).copied().collect();
        let (delta, rows) = rehearse_steps(session, &compiled, sizes, (&mut stores, &mut cost))?;
        compiled.program.steps.iter().try_for_each(|step| session.unregister(step.name.as_str()))?;
        writing += apply_cost(session, loaded, node, (&delta, rows))?;
        let relation = Relation::NodeDelta(node);
        register_delta(session, loaded, &relation, &delta, rows)?;
        stores.push(delta);
        changed.insert(relation, rows);
    }
    changed.keys().try_for_each(|relation| session.unregister(loaded.view.relation_name(relation).name.as_str()))?;
    Ok((cost, writing))
}

/// The steps of one program; its delta, empty, and the rows that are expected of it.
fn rehearse_steps(
    session: &OwnerSession,
    compiled: &Compiled,
    mut sizes: Vec<f64>,
    (stores, cost): (&mut Vec<Tuplestore>, &mut f64),
) -> Result<(Tuplestore, f64)> {
    for (at, step) in compiled.program.steps.iter().enumerate() {
        let statement = compiled.statement(session, at, &sizes, near(&sizes))?;
        let unlikely = is_unlikely(&compiled.program, step);
        let planned = statement.planned(session)?;
        let rows = told(match planned {
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

/// Whether a step needs one that is empty most of the time. Where it runs all the same, that is learned from
/// the time it takes.
fn is_unlikely(program: &Program, step: &Step) -> bool {
    let needed = step.needs.as_ref().and_then(|name| program.steps.iter().find(|step| step.name == *name));
    needed.is_some_and(|needed| needed.seldom || is_unlikely(program, needed))
}

/// What bringing a delta of so many rows into a node's table costs: some of them change rows, as many come as go.
fn apply_cost(session: &OwnerSession, loaded: &Loaded, node: usize, (delta, rows): (&Tuplestore, f64)) -> Result<f64> {
    let applied = loaded.programs.apply(loaded, node);
    let part = told(rows / if applied.update.is_some() { 4.0 } else { 2.0 });
    let mut cost = WRITE * rows;
    for change in applied.update.iter().chain([&applied.delete, &applied.insert]) {
        let planned = change.with(session, (delta, part), near(&[part]), |statement| statement.planned(session))?;
        cost += STATEMENT + planned.cost;
    }
    Ok(cost)
}

/// What the server refuses it refuses in any order of joins; finding the best one takes too long for a check.
const IN_ORDER: (&str, &str) = ("join_collapse_limit", "1");

/// Plans the statements that follow a few changed rows of each source: the server may refuse one.
pub fn plan_deltas(loaded: &Loaded) -> Result<()> {
    if recomputes(loaded) {
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
            rehearse(session, loaded, [(&delta, &store, told(1.0))])?;
        }
        Ok(())
    })?;
    // Plans for refreshes join in the best order.
    loaded.programs.forget();
    Ok(())
}
