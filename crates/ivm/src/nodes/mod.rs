//! Cutting a plan into nodes: every stateful operator gets a table of its own.
//!
//! An aggregate's table is its *state table*: the group keys and the counters from which the next state
//! follows by adding a delta; a projection over it gives the output columns of the query. A `DISTINCT` is
//! an aggregate without calls. The table of a window or a top-k has the columns that the query shows. After the cut
//! every node has linear and bilinear operators with at most one stateful operator on top, so the old output of
//! that operator is the node's own table.
//!
//! A cut retains column ids: a column is the same value in the node that computes it and in those that
//! read it.

mod counters;
mod fixpoint;
mod identity;
pub mod ordered;
mod partitioned;
pub mod running;
pub mod scale;

use crate::catalog::{ColumnType, Equality};
use crate::error::Result;
use crate::keys::{self, Facts};
use crate::plan::{Aggregate, ColId, Column, Ids, Plan, Relation, Scan};
use crate::render;
use crate::render::unique;
use crate::sql::ident::{Ident, QName};
use crate::types::Types;
use crate::view::{Identity, Node, NodeColumn, Upkeep};
pub use identity::{choose as identity_of, width};

/// The most bytes of a name to which a suffix is appended: PostgreSQL truncates names at 63.
const STEM: usize = 46;

/// The state of cutting a plan.
pub struct Cutter<'a> {
    pub types: &'a Types<'a>,
    pub ids: &'a mut Ids,
    /// The table of an internal node.
    state: &'a dyn Fn(usize) -> QName,
    nodes: Vec<Node>,
}

/// Cuts a plan; the last node is the plan's own output, in `table`, and node `k` has the table `state(k)`.
///
/// # Errors
/// `Unsupported` for a recursion that cannot be maintained, `Catalog` for what the catalog does not know.
pub fn cut(
    plan: Plan,
    types: &Types,
    ids: &mut Ids,
    (table, state): (&QName, &dyn Fn(usize) -> QName),
) -> Result<Vec<Node>> {
    let mut cutter = Cutter { types, ids, state, nodes: vec![] };
    let (columns, identity) = cutter.described(&plan)?;
    let plan = cutter.below(plan)?;
    let mut nodes = cutter.nodes;
    let own = own_state(&plan, &nodes);
    let state = if own.is_some() { nodes.pop() } else { None };
    nodes.push(match own.zip(state) {
        Some((plan, state)) => Node { table: table.clone(), plan, columns, identity, ..state },
        None => Node::new(table.clone(), plan, columns, identity),
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
                let shown = plan.pass();
                self.partitioned(plan, shown)?
            }
            Plan::Project(p) if matches!(p.input, Plan::Window(_) | Plan::TopK(_)) => {
                self.partitioned(p.input, p.columns)?
            }
            Plan::Fixpoint(f) => self.fixpoint(*f)?,
            other => other.try_map_inputs(&mut |input| self.below(input))?,
        })
    }

    /// Makes a node of an aggregate and returns a plan that reads it.
    fn node(&mut self, aggregate: Aggregate) -> Result<Plan> {
        let keys = aggregate.keys.clone();
        let whole = Plan::Aggregate(Box::new(aggregate.clone()));
        let facts = keys::facts(&whole, self.types.catalog)?;
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
        let mut input = self.below(state.input)?;
        if !state.counted.is_empty() {
            let columns = input.pass().into_iter().chain(state.counted).collect();
            input = input.project(columns);
        }
        let plan = input.aggregate(keys, state.calls);
        let shown = plan.pass();
        let scan = self.read(Node { upkeep: state.upkeep, ..self.made(plan, columns, identity) })?;
        Ok(if shown == state.outputs { scan } else { scan.project(state.outputs) })
    }

    /// A node with the next table.
    fn made(&self, plan: Plan, columns: Vec<NodeColumn>, identity: Identity) -> Node {
        Node::new((self.state)(self.nodes.len()), plan, columns, identity)
    }

    /// Makes a node and returns a scan of its columns.
    fn read(&mut self, node: Node) -> Result<Plan> {
        let names = node.columns.iter().map(|column| column.name.clone());
        let columns = node.plan.columns().into_iter().zip(names).collect();
        Ok(Plan::Scan(Scan { relation: Relation::Node(self.place(node)?), columns }))
    }

    /// The index of a node: that of one that computes the same, or a new one.
    fn place(&mut self, node: Node) -> Result<usize> {
        let query = render::query(&node.plan, &render::uncut)?;
        for (at, other) in self.nodes.iter().enumerate() {
            if other.columns == node.columns && render::query(&other.plan, &render::uncut)? == query {
                return Ok(at);
            }
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// The columns of a plan's table, and how its rows are found.
    fn described(&self, plan: &Plan) -> Result<(Vec<NodeColumn>, Identity)> {
        let facts = keys::facts(plan, self.types.catalog)?;
        let columns = plan.columns();
        let named = columns.iter().zip(unique(&columns)).map(|(column, name)| self.column(column, name, plan, &facts));
        Ok((named.collect::<Result<_>>()?, identity::choose(plan, &facts, self.types)?))
    }

    /// A column of a plan as a column of its table.
    fn column(&self, column: &Column, name: Ident, plan: &Plan, facts: &Facts) -> Result<NodeColumn> {
        Ok(NodeColumn { name, ty: self.ty(plan, column.id)?, not_null: facts.not_null.contains(&column.id) })
    }

    /// The type of a column; its equality is that of images where the plan proves that equal values look the same.
    fn ty(&self, plan: &Plan, id: ColId) -> Result<ColumnType> {
        let ty = self.types.get(id)?.clone();
        let padded = ty.base == "character" && ty.name != "character";
        let alike = padded || ty.base == "numeric" && scale::fixed(plan, id, self).is_some();
        Ok(if alike && ty.equality == Equality::Loose { ColumnType { equality: Equality::Image, ..ty } } else { ty })
    }
}

/// Where the root only reorders the last node's columns, the stream table is its own state table: the
/// aggregate, reordered. Otherwise `None`.
fn own_state(root: &Plan, nodes: &[Node]) -> Option<Plan> {
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

/// The scan whose columns are the output of a plan, in any order and with any names.
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
