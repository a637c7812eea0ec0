//! Δ: how a plan's output changes when its inputs do.
//!
//! > A delta is a relation `(columns…, w)` with integer weight `w`: a Z-set. A rule reads its inputs'
//! > schema, state and delta, never what kind of operator they are. All states are read in one snapshot,
//! > after the change, and that snapshot is the upper edge of the delta.
//!
//! | law | rule | operators |
//! |---|---|---|
//! | linear | `Δop(R) = op(ΔR)` | scan, σ, π, ⊎, set-returning functions |
//! | bilinear | `Δ(R⋈S) = ΔR⋈S + R⋈ΔS − ΔR⋈ΔS` | ⋈ |
//! | temporal | `Δσ(R) = crossing(R) + σ_before(ΔR)` | ⋈ with the clock |
//! | key-local | with K the touched keys: `Δop = op(R↾K) − old output↾K` | γ, δ, ω, τ |
//! | fixpoint | delete all rows that follow from deletions, then insert those that follow from insertions | μ |
//!
//! Deltas are compiled for the inputs that changed: an input outside the mask has no delta, and its
//! terms vanish. A delta that is read more than once becomes a step, computed once.

pub mod aggregate;
mod bounds;
pub mod consolidate;
mod filter;
mod head;
mod join;
mod one_row;
mod outer;
mod partition;
mod partitioned;
mod product;
mod project;
mod recursive;
mod restrict;
mod running;
mod scan;
mod semi;
mod stretch;
mod sum;
mod top_k;
mod union;
mod unnest;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::identity;
use crate::plan::{ColId, Column, Ids, Plan, Relation, Role, Scan};
use crate::render;
use crate::render::unique;
use crate::sql::ident::Ident;
use crate::view::{DELTA, Mask, Node, NodeColumn, Program, Step, View};

use partitioned::Partitioned;
pub use sum::weighted;

/// Steps that `explain` tells apart: rows of touched groups or partitions that are computed anew, the groups of which that
/// is done, and whether too few of the first rows are left.
pub const RECOMPUTED: &str = "recomputed";
pub const STALE: &str = "stale";
pub const SHORT: &str = "short";

/// The change of a plan: its columns, under their own ids, and the weight.
#[derive(Clone)]
pub struct Delta {
    pub plan: Plan,
    pub w: Column,
    /// No two rows are equal and no weight is zero.
    pub consolidated: bool,
    /// A sum of terms of which some rows cancel.
    pub cancels: bool,
}

impl Delta {
    /// A delta of one term.
    pub fn new(plan: Plan, w: Column) -> Delta {
        Delta { plan, w, consolidated: false, cancels: false }
    }
}

/// A step before it is SQL: the reference evaluator runs these.
pub type PlanStep = Step<Plan>;

/// The state that the rules of one program share.
pub struct Cx<'a> {
    pub view: &'a View,
    /// The node that the program maintains.
    pub index: usize,
    pub mask: &'a Mask,
    pub ids: Ids,
    steps: Vec<PlanStep>,
}

/// The program that maintains a node under a change mask; `None` when none of its inputs changed.
///
/// # Errors
/// `Bug` where the plan is malformed.
pub fn program(view: &View, index: usize, mask: &Mask) -> Result<Option<Program>> {
    steps(view, index, mask)?.map(|steps| rendered(view, index, steps)).transpose()
}

/// The same program as plans.
///
/// # Errors
/// `Bug` where the plan is malformed.
pub fn steps(view: &View, index: usize, mask: &Mask) -> Result<Option<Vec<PlanStep>>> {
    let mut cx = Cx { view, index, mask, ids: view.ids.clone(), steps: vec![] };
    let node = &view.nodes[index];
    let Some(delta) = cx.delta(&node.plan)? else { return Ok(None) };
    let output: Vec<_> = node.plan.columns().into_iter().zip(node.columns.clone()).collect();
    let repeats = !delta.consolidated && consolidate::is_by_order(node);
    let plan = match delta.consolidated || repeats {
        true => consolidate::named(delta, &output),
        false => consolidate::plan(delta, &output, &mut cx.ids),
    };
    cx.steps.push(PlanStep { repeats, ..PlanStep::new(Ident::new(DELTA), strongest(&node.plan), plan) });
    Ok(Some(cx.steps))
}

/// Steps as SQL, the delta in the order of the index by which the node's rows are found.
///
/// # Errors
/// `Bug` where the plan is malformed.
pub fn rendered(view: &View, index: usize, steps: Vec<PlanStep>) -> Result<Program> {
    let names = |relation: &Relation| view.relation_name(relation);
    let steps = steps.into_iter().map(|Step { name, law, query, needs, seldom, repeats, cancels }| {
        Ok(Step { name, law, query: render::query(&query, &names)?, needs, seldom, repeats, cancels })
    });
    let mut steps: Vec<Step> = steps.collect::<Result<_>>()?;
    if let Some(last) = steps.pop() {
        steps.push(Step { query: identity::in_order(&view.nodes[index], last.query, last.repeats), ..last });
    }
    Ok(Program { steps })
}

/// The law of an operator's delta.
pub fn law(plan: &Plan) -> &'static str {
    match plan {
        Plan::Scan(_) | Plan::Values(_) | Plan::Filter(_) | Plan::Project(_) | Plan::UnionAll(_) => "linear",
        Plan::Expand(_) | Plan::Unnest(_) => "linear",
        Plan::Join(join) if join.roles.contains(&Role::Clock) => "temporal",
        Plan::Join(_) => "bilinear",
        Plan::Outer(_) | Plan::Semi(_) | Plan::Lateral(_) => "key-local",
        Plan::Aggregate(_) | Plan::Distinct(_) | Plan::Window(_) | Plan::TopK(_) => "key-local",
        Plan::Fixpoint(_) => "fixpoint",
    }
}

/// The laws, each stronger than those before it.
const LAWS: [&str; 5] = ["linear", "bilinear", "temporal", "key-local", "fixpoint"];

/// The strongest law among the operators of a plan.
fn strongest(plan: &Plan) -> &'static str {
    let below = plan.inputs().into_iter().map(strongest);
    let rank = |law: &&str| LAWS.iter().position(|known| known == law);
    below.chain([law(plan)]).max_by_key(rank).unwrap_or(LAWS[0])
}

impl Cx<'_> {
    pub fn node(&self) -> &Node {
        &self.view.nodes[self.index]
    }

    /// The column of the node's table that holds a column of its plan.
    pub fn known(&self, id: ColId) -> Result<&NodeColumn> {
        let at = self.node().plan.columns().iter().position(|column| column.id == id);
        at.map(|at| &self.node().columns[at]).ok_or(Error::Bug("a node has no such column"))
    }

    /// A scan of the node's own table, which has its state before this refresh; the fresh column for each of its plan.
    pub fn old_state(&mut self) -> (Plan, BTreeMap<ColId, Column>) {
        let node = &self.view.nodes[self.index];
        let (mut columns, mut old) = (vec![], BTreeMap::new());
        for (column, known) in node.plan.columns().iter().zip(&node.columns) {
            let fresh = self.ids.column(known.name.as_str());
            old.insert(column.id, fresh.clone());
            columns.push((fresh, known.name.clone()));
        }
        (Plan::Scan(Scan { relation: Relation::Node(self.index), columns }), old)
    }

    /// The delta of a plan under the mask; `None` when it cannot have changed.
    pub fn delta(&mut self, plan: &Plan) -> Result<Option<Delta>> {
        if let Some(operator) = Partitioned::of(plan) {
            return match operator.top() {
                Some(top) => top_k::delta(&operator, top, self),
                None => partition::delta(&operator, self),
            };
        }
        match plan {
            Plan::Scan(s) => Ok(scan::delta(s, self)),
            Plan::Values(_) => Ok(None),
            Plan::Filter(f) => filter::delta(f, self),
            Plan::Project(p) | Plan::Expand(p) => project::delta(plan, p, self),
            Plan::Join(j) => join::delta(j, self),
            Plan::UnionAll(u) => union::delta(u, self),
            Plan::Aggregate(a) => aggregate::delta(a, self),
            Plan::Outer(o) => outer::delta(o, self),
            Plan::Semi(s) => semi::delta(s, self),
            Plan::Unnest(u) => unnest::delta(u, self),
            Plan::Fixpoint(f) => recursive::delta(f, self),
            // The cut leaves windows and top-k on top only, and makes an aggregate of each δ.
            Plan::Distinct(_) | Plan::Window(_) | Plan::TopK(_) => Err(Error::Bug("an operator that was not cut off")),
            Plan::Lateral(_) => Err(Error::Bug("an operator of programs in a node")),
        }
    }

    /// A delta that several terms read: a step, unless it is a relation already. Rows that cancel are added up first, or
    /// each level of terms would multiply them.
    pub fn shared(&mut self, delta: Delta, name: &str, law: &str) -> Delta {
        let Delta { mut plan, w, consolidated, cancels } = delta;
        if !matches!(plan, Plan::Scan(_)) {
            if cancels {
                // Consolidation expects the weight as the last column.
                let (weight, others): (Vec<Column>, Vec<Column>) = plan.columns().into_iter().partition(|c| *c == w);
                plan = plan.project(others.iter().chain(&weight).map(Column::pass).collect());
            }
            plan = self.step(name, law, plan);
            self.steps.last_mut().into_iter().for_each(|step| step.cancels = cancels);
        }
        Delta { plan, w, consolidated, cancels: false }
    }

    /// Makes a plan a step and returns a scan of it with the same column ids.
    pub fn step(&mut self, name: &str, law: &str, plan: Plan) -> Plan {
        let name = self.fresh_name(name);
        let columns = plan.columns();
        let names = unique(&columns);
        let renamed = |(column, name): (&Column, &Ident)| (Column { id: column.id, name: name.clone() }, column.expr());
        let plan = match columns.iter().map(|column| &column.name).eq(&names) {
            true => plan,
            false => plan.project(columns.iter().zip(&names).map(renamed).collect()),
        };
        self.steps.push(PlanStep::new(name.clone(), law, plan));
        Plan::Scan(Scan { relation: Relation::Step(name), columns: columns.into_iter().zip(names).collect() })
    }

    /// As `step`, but skipped when the step that `needs` scans is empty.
    pub fn step_if(&mut self, name: &str, law: &str, plan: Plan, needs: &Plan) -> Plan {
        let scan = self.step(name, law, plan);
        if let (Some(step), Plan::Scan(Scan { relation: Relation::Step(name), .. })) = (self.steps.last_mut(), needs) {
            step.needs = Some(name.clone());
        }
        scan
    }

    /// Marks the step that was added last as empty most of the time.
    pub fn seldom(&mut self) {
        self.steps.last_mut().into_iter().for_each(|step| step.seldom = true);
    }

    /// `name`, numbered where another step of the program has it.
    fn fresh_name(&self, name: &str) -> Ident {
        let is_free = |candidate: &String| self.steps.iter().all(|step| step.name.as_str() != candidate);
        let numbered = (2..).map(|nth| format!("{name}{nth}"));
        Ident::new(std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default())
    }
}
