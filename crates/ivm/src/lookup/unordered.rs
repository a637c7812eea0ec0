//! Groups and partitions that are read as a whole, of which an index with another column could have the rows in order.

use crate::nodes::{ordered, running};
use crate::plan::{ColId, Plan, Relation, Ties};
use crate::sql::ast::bare;
use crate::sql::ident::Ident;
use crate::sql::print;
use crate::view::{Node, Successor, Upkeep};

use super::Lookup;

/// The rows of groups and partitions that a node reads as a whole because no index has them in order.
pub fn of(node: &Node) -> Vec<Lookup> {
    let lookup = |input: &Plan, keys: &[ColId], value: Option<ColId>| {
        let (source, keys, value) = ordered::origins(input, keys, value?)?;
        let text = |name: &Ident| print::expr(&bare(name.as_str()));
        let keys = keys.into_iter().map(text).collect();
        Some(Lookup { relation: Relation::Source(source.clone()), keys, order: Some(text(value)) })
    };
    let operator = if let Plan::Project(project) = &node.plan { &project.input } else { &node.plan };
    let partition = |input: &Plan, keys: &[ColId], order| lookup(input, keys, ordered::leading(keys, order));
    match operator {
        Plan::Aggregate(of) => {
            let keys: Vec<ColId> = of.keys.iter().map(|key| key.id).collect();
            let is_extremum = |upkeep: &Upkeep| {
                matches!(upkeep, Upkeep::Min(Successor::Recomputed) | Upkeep::Max(Successor::Recomputed))
            };
            let calls = of.calls.iter().zip(&node.upkeep).filter(|(_, upkeep)| is_extremum(upkeep));
            calls.filter_map(|(call, _)| lookup(&of.input, &keys, call.args.first().copied())).collect()
        }
        _ if node.indexed => vec![],
        // Without a partition the table itself mostly has the next row.
        Plan::TopK(of) if of.limit.is_some() && of.ties != Ties::Together && !of.partition.is_empty() => {
            partition(&of.input, &of.partition, &of.order).into_iter().collect()
        }
        Plan::Window(of) if !node.running.is_empty() => {
            partition(&of.input, &of.partition, running::order(of)).into_iter().collect()
        }
        _ => vec![],
    }
}
