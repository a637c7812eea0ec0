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
//! | fixpoint | out with what follows from deletions, in with what follows from insertions | μ |
//!
//! Deltas are compiled for the inputs that changed: an input outside the mask has no delta, and its
//! terms vanish. A delta that is used more than once becomes a step: computed once, read by name.

pub mod aggregate;
mod clock;
mod comparison;
pub mod consolidate;
mod distinct;
mod expand;
mod filter;
mod join;
mod outer;
mod partition;
mod project;
mod recursive;
mod restrict;
mod scan;
mod semi;
mod single;
mod sum;
mod threshold;
mod top_k;
mod union;
mod unnest;
mod window;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::identity;
use crate::nodes::unique;
use crate::plan::{ColId, Column, Ids, Plan, Relation, Scan};
use crate::render;
use crate::sql::ident::Ident;
use crate::view::{DELTA, Mask, Node, NodeColumn, Program, Step, View};

use partition::Partitioned;
pub use sum::weighted;

/// The change of a plan: its columns, under their own ids, and the weight.
#[derive(Clone)]
pub struct Delta {
    pub plan: Plan,
    pub w: Column,
    /// No two rows are alike and no weight is zero.
    pub consolidated: bool,
    /// A sum of which one term takes away what another one brings.
    pub cancels: bool,
}

impl Delta {
    /// A delta of one term.
    pub fn new(plan: Plan, w: Column) -> Delta {
        Delta { plan, w, consolidated: false, cancels: false }
    }
}

/// A step before it is SQL: the reference evaluator runs these.
#[derive(Clone, Debug)]
pub struct PlanStep {
    pub name: Ident,
    pub law: String,
    pub plan: Plan,
    pub needs: Option<Ident>,
    pub seldom: bool,
    pub repeats: bool,
    pub cancels: bool,
}

/// What the rules of one program share.
pub struct Cx<'a> {
    pub view: &'a View,
    /// The node that the program follows.
    pub index: usize,
    pub mask: &'a Mask,
    pub ids: Ids,
    steps: Vec<PlanStep>,
}

/// The program by which a node follows a change mask; `None` when nothing it reads has changed.
pub fn program(view: &View, index: usize, mask: &Mask) -> Result<Option<Program>> {
    steps(view, index, mask)?.map(|steps| rendered(view, index, steps)).transpose()
}

/// The same program as plans.
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
    let law = strongest(&node.plan).to_owned();
    cx.steps.push(PlanStep { name: Ident::new(DELTA), law, plan, needs: None, seldom: false, repeats, cancels: false });
    Ok(Some(cx.steps))
}

/// Steps as SQL. The delta comes in the order in which the node's table is looked up.
pub fn rendered(view: &View, index: usize, steps: Vec<PlanStep>) -> Result<Program> {
    let names = |relation: &Relation| view.relation_name(relation);
    let steps = steps.into_iter().map(|PlanStep { name, law, plan, needs, seldom, repeats, cancels }| {
        Ok(Step { name, law, query: render::query(&plan, &names)?, needs, seldom, repeats, cancels })
    });
    let mut steps: Vec<Step> = steps.collect::<Result<_>>()?;
    if let Some(last) = steps.pop() {
        steps.push(Step { query: identity::in_order(&view.nodes[index], last.query, last.repeats), ..last });
    }
    Ok(Program { steps })
}

/// The law that an operator's delta follows.
pub fn law(plan: &Plan) -> &'static str {
    match plan {
        Plan::Scan(_) | Plan::Values(_) | Plan::Filter(_) | Plan::Project(_) | Plan::UnionAll(_) => "linear",
        Plan::Expand(_) | Plan::Unnest(_) => "linear",
        Plan::Join(join) if join.inputs.iter().any(crate::clock::is_scan) => "temporal",
        Plan::Join(_) => "bilinear",
        Plan::Outer(_) | Plan::Semi(_) => "key-local",
        Plan::Aggregate(_) | Plan::Distinct(_) | Plan::Window(_) | Plan::TopK(_) => "key-local",
        Plan::Fixpoint(_) => "fixpoint",
    }
}

/// The law of the operator that needs most: a step follows all the linear ones around it, too.
fn strongest(plan: &Plan) -> &'static str {
    let below = plan.inputs().into_iter().map(strongest);
    let rank =
        |law: &&str| ["linear", "bilinear", "temporal", "key-local", "fixpoint"].iter().position(|known| known == law);
    below.chain([law(plan)]).max_by_key(rank).unwrap_or("linear")
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

    /// Reads the node's own table, as it was before this refresh; the fresh column for each of its plan.
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
                None => window::delta(&operator, self),
            };
        }
        match plan {
            Plan::Scan(s) => Ok(scan::delta(s, self)),
            Plan::Values(_) => Ok(None),
            Plan::Filter(f) => filter::delta(f, self),
            Plan::Project(p) => project::delta(p, self),
            Plan::Join(j) => join::delta(j, self),
            Plan::UnionAll(u) => union::delta(u, self),
            Plan::Aggregate(a) => aggregate::delta(a, self),
            Plan::Distinct(d) => distinct::delta(d, self),
            Plan::Outer(o) => outer::delta(o, self),
            Plan::Semi(s) => semi::delta(s, self),
            Plan::Expand(e) => expand::delta(e, self),
            Plan::Unnest(u) => unnest::delta(u, self),
            Plan::Fixpoint(f) => recursive::delta(f, self),
            Plan::Window(_) | Plan::TopK(_) => Err(Error::Bug("a partitioned operator that is none")),
        }
    }

    /// A delta that several terms read: written down once, unless it is already a relation, and without the rows that
    /// cancel, or each level of terms would multiply them.
    pub fn shared(&mut self, delta: Delta, name: &str, law: &str) -> Delta {
        let Delta { plan, w, consolidated, cancels } = delta;
        let plan = match plan {
            Plan::Scan(_) => plan,
            plan if cancels => {
                let columns = plan.columns();
                let (weight, others): (Vec<Column>, Vec<Column>) = columns.into_iter().partition(|column| *column == w);
                let plan = plan.project(others.iter().chain(&weight).map(Column::pass).collect());
                let reading = self.step(name, law, plan);
                self.steps.last_mut().into_iter().for_each(|step| step.cancels = true);
                reading
            }
            plan => self.step(name, law, plan),
        };
        Delta { plan, w, consolidated, cancels: false }
    }

    /// Makes a plan a step and returns what reads it, under the same column ids.
    pub fn step(&mut self, name: &str, law: &str, plan: Plan) -> Plan {
        self.step_if(name, law, plan, None)
    }

    /// As `step`, but skipped when the step `needs` is empty.
    pub fn step_if(&mut self, name: &str, law: &str, plan: Plan, needs: Option<Ident>) -> Plan {
        let name = self.fresh_name(name);
        let columns = plan.columns();
        let names = unique(&columns);
        let renamed = columns
            .iter()
            .zip(&names)
            .map(|(column, name)| (Column { id: column.id, name: name.clone() }, column.expr()));
        let distinct = columns.iter().zip(&names).all(|(column, name)| column.name == *name);
        let plan = if distinct { plan } else { plan.project(renamed.collect()) };
        let scan = Scan { relation: Relation::Step(name.clone()), columns: columns.into_iter().zip(names).collect() };
        self.steps.push(PlanStep {
            name,
            law: law.to_owned(),
            plan,
            needs,
            seldom: false,
            repeats: false,
            cancels: false,
        });
        Plan::Scan(scan)
    }

    /// Says that the step that was added last is empty most of the time.
    pub fn seldom(&mut self) {
        if let Some(step) = self.steps.last_mut() {
            step.seldom = true;
        }
    }

    /// The name of the step that was added last.
    pub fn last_step(&self) -> Result<Ident> {
        self.steps.last().map(|step| step.name.clone()).ok_or(Error::Bug("a program without steps"))
    }

    /// `name`, numbered where the program has it already.
    fn fresh_name(&self, name: &str) -> Ident {
        let taken = |candidate: &str| self.steps.iter().any(|step| step.name.as_str() == candidate);
        let numbered = (2..).map(|nth| format!("{name}{nth}")).find(|candidate| !taken(candidate));
        match taken(name) {
            true => Ident::new(numbered.unwrap_or_default()),
            false => Ident::new(name),
        }
    }
}
