//! Cutting a plan into nodes: every stateful operator gets a table of its own.
//!
//! An aggregate's table is its *state table*: the group keys and the counters from which the next state
//! follows by adding a delta. What the query shows of it is a projection over that table. A `DISTINCT` is
//! an aggregate without calls. A window or a top-k has what the query shows of it in its table. After the cut
//! every node is linear and bilinear work with at most one stateful operator on top, so the old output of
//! that operator is simply the node's own table.
//!
//! A cut keeps column ids: a column means the same value in the node that computes it and in those that
//! read it.

mod counters;
mod fixpoint;
mod identity;
mod partitioned;
pub mod scale;

use crate::catalog::{Catalog, ColumnType, Equality};
use crate::error::Result;
use crate::keys::{self, Facts};
use crate::plan::{Aggregate, ColId, Column, Ids, Plan, Relation, Scan};
use crate::render;
use crate::render::unique;
use crate::sql::ident::{Ident, QName};
use crate::types::Types;
use crate::view::{Identity, NodeColumn, Part, Upkeep};
pub use identity::width;

/// Bytes that a name keeps when something is appended to it: PostgreSQL cuts names at 63.
const STEM: usize = 46;

/// A node before it has a table.
pub struct Cut {
    pub plan: Plan,
    pub columns: Vec<NodeColumn>,
    pub identity: Identity,
    pub upkeep: Vec<Upkeep>,
    pub parts: Vec<Part>,
    /// Columns by which programs look rows up, beside the identity.
    pub lookup: Vec<ColId>,
}

impl Cut {
    pub fn new(plan: Plan, columns: Vec<NodeColumn>, identity: Identity) -> Cut {
        Cut { plan, columns, identity, upkeep: vec![], parts: vec![], lookup: vec![] }
    }
}

/// What cutting asks about the plan.
pub struct Cutter<'a> {
    pub catalog: &'a dyn Catalog,
    pub types: &'a Types,
    pub ids: &'a mut Ids,
    nodes: Vec<Cut>,
}

/// Cuts a plan; the last node is the plan's own output.
pub fn cut(plan: Plan, catalog: &dyn Catalog, types: &Types, ids: &mut Ids) -> Result<Vec<Cut>> {
    let facts = keys::facts(&plan, catalog)?;
    let identity = identity::choose(&plan, &facts, catalog, types)?;
    let mut cutter = Cutter { catalog, types, ids, nodes: vec![] };
    let output = plan.columns();
    let mut columns = vec![];
    for (column, name) in output.iter().zip(unique(&output)) {
        columns.push(cutter.column(column, name, &plan, &facts)?);
    }
    let plan = cutter.below(plan)?;
    let mut nodes = cutter.nodes;
    let own = own_state(&plan, &nodes);
    let state = if own.is_some() { nodes.pop() } else { None };
    nodes.push(match own.zip(state) {
        Some((plan, state)) => Cut { plan, columns, identity, ..state },
        None => Cut::new(plan, columns, identity),
    });
    Ok(nodes)
}

impl Cutter<'_> {
    /// The plan with every stateful operator replaced by a read of its node.
    fn below(&mut self, plan: Plan) -> Result<Plan> {
        Ok(match plan {
            Plan::Aggregate(a) => self.node(*a)?,
            Plan::Distinct(d) => {
                let keys = d.input.columns();
                self.node(Aggregate { input: d.input, keys, calls: vec![] })?
            }
            Plan::Window(_) | Plan::TopK(_) => {
                let shown = plan.columns().iter().map(Column::pass).collect();
                self.partitioned(plan, shown)?
            }
            Plan::Project(p) if matches!(p.input, Plan::Window(_) | Plan::TopK(_)) => {
                self.partitioned(p.input, p.columns)?
            }
            Plan::Fixpoint(f) => self.fixpoint(*f)?,
            other => other.try_map_inputs(&mut |input| self.below(input))?,
        })
    }

    /// Makes a node of an aggregate and returns what reads it.
    fn node(&mut self, aggregate: Aggregate) -> Result<Plan> {
        let keys = aggregate.keys.clone();
        let whole = Plan::Aggregate(Box::new(aggregate.clone()));
        let facts = keys::facts(&whole, self.catalog)?;
        let state = counters::state(aggregate, self)?;
        let identity = identity::of_state(&keys, &whole, &facts, self)?;
        let calls = state.calls.iter().map(|call| call.column.clone());
        let names = unique(&keys.iter().cloned().chain(calls).collect::<Vec<_>>());
        let mut columns = vec![];
        for (key, name) in keys.iter().zip(&names) {
            columns.push(self.column(key, name.clone(), &whole, &facts)?);
        }
        for ((ty, upkeep), name) in state.types.into_iter().zip(&state.upkeep).zip(&names[keys.len()..]) {
            columns.push(NodeColumn { name: name.clone(), ty, not_null: *upkeep == Upkeep::Count });
        }
        let plan = below_state(self.below(state.input)?, state.counted).aggregate(keys, state.calls);
        let shown: Vec<_> = plan.columns().iter().map(Column::pass).collect();
        let scan = self.read(Cut { upkeep: state.upkeep, ..Cut::new(plan, columns, identity) })?;
        Ok(if shown == state.outputs { scan } else { scan.project(state.outputs) })
    }

    /// Makes a node and returns a scan of its columns.
    fn read(&mut self, node: Cut) -> Result<Plan> {
        let names = node.columns.iter().map(|column| column.name.clone());
        let columns = node.plan.columns().into_iter().zip(names).collect();
        Ok(Plan::Scan(Scan { relation: Relation::Node(self.place(node)?), columns }))
    }

    /// The index of a node: that of one that computes the same, or a new one.
    fn place(&mut self, node: Cut) -> Result<usize> {
        let names = |relation: &Relation| match relation {
            Relation::Source(name) => name.clone(),
            other => QName::bare(format!("{other:?}")),
        };
        let query = render::query(&node.plan, &names)?;
        for (at, other) in self.nodes.iter().enumerate() {
            if other.columns == node.columns && render::query(&other.plan, &names)? == query {
                return Ok(at);
            }
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// A column of a plan as a column of its table.
    fn column(&self, column: &Column, name: Ident, plan: &Plan, facts: &Facts) -> Result<NodeColumn> {
        Ok(NodeColumn { name, ty: self.ty(plan, column.id)?, not_null: facts.not_null.contains(&column.id) })
    }

    /// The type of a column, whose equals look alike where the plan proves it.
    fn ty(&self, plan: &Plan, id: ColId) -> Result<ColumnType> {
        let ty = self.types.get(id)?.clone();
        let padded = ty.base == "character" && ty.name != "character";
        let alike = padded || ty.base == "numeric" && scale::fixed(plan, id, self).is_some();
        Ok(if alike && ty.equality == Equality::Loose { ColumnType { equality: Equality::Image, ..ty } } else { ty })
    }
}

/// The aggregate's input with the counters' arguments beside its columns.
fn below_state(input: Plan, counted: Vec<(Column, crate::plan::Expr)>) -> Plan {
    if counted.is_empty() {
        return input;
    }
    let columns = input.columns().iter().map(Column::pass).chain(counted).collect();
    input.project(columns)
}

/// When the root only reorders the last node's columns, the stream table is its own state table: the
/// aggregate, reordered. Otherwise `None`.
fn own_state(root: &Plan, nodes: &[Cut]) -> Option<Plan> {
    let (scan, order) = (passed(root)?, root.columns());
    let last = nodes.last()?;
    let state = last.plan.columns();
    let complete = state.len() == order.len() && state.iter().all(|s| order.iter().any(|o| o.id == s.id));
    if scan.relation != Relation::Node(nodes.len() - 1) || !complete {
        return None;
    }
    let plan = last.plan.clone();
    Some(match order.iter().map(|c| c.id).eq(state.iter().map(|c| c.id)) {
        true => plan,
        false => plan.project(order.iter().map(Column::pass).collect()),
    })
}

/// The scan whose columns a plan shows, whatever their order and names.
fn passed(plan: &Plan) -> Option<&Scan> {
    match plan {
        Plan::Scan(scan) => Some(scan),
        Plan::Project(p) if p.columns.iter().all(|(c, e)| *e == c.expr()) => passed(&p.input),
        _ => None,
    }
}

/// The name of a column that accompanies another: short enough for PostgreSQL, whatever the other's name.
pub fn companion(name: &Ident, what: &str) -> String {
    let mut stem = name.as_str();
    while stem.len() > STEM {
        stem = &stem[..stem.len() - stem.chars().next_back().map_or(1, char::len_utf8)];
    }
    format!("{stem}_{what}")
}

#[cfg(test)]
mod tests;
