//! The first rows of partitions by an index on the keys and then the order: the server reads an ordered subquery with a
//! limit as far as the limit asks.

use std::collections::BTreeSet;

use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Distinct, Order, Plan, Ties, TopK, reads, replaced};

use super::Cx;
use super::partitioned::Partitioned;
use super::restrict::{self, Key};

/// The rows of a top-k in the partitions of `touched`.
pub fn rows(operator: &Partitioned, top: &TopK, (keys, touched): (&[Key], &Plan), cx: &mut Cx) -> Plan {
    if top.ties == Ties::Together {
        return operator.over(counted(top, keys, touched, cx));
    }
    let input = top.input.clone().filter_all(restrict::equal(keys));
    let first = operator.shown_of(Plan::TopK(Box::new(TopK { input, partition: vec![], ..top.clone() })));
    touched.clone().lateral(first).project(operator.columns().iter().map(Column::pass).collect())
}

/// The rows of the input that have one of the first values: those are read first, each once.
fn counted(top: &TopK, keys: &[Key], touched: &Plan, cx: &mut Cx) -> Plan {
    let (input, copies) = top.input.copied(&mut cx.ids);
    let copy = |column: &Column| Column { id: copies.get(&column.id).copied().unwrap_or(column.id), ..column.clone() };
    let of_partition = restrict::equal(&keys.iter().map(|key| key.copied(&copies)).collect::<Vec<Key>>());
    let sorted: BTreeSet<ColId> = top.order.iter().flat_map(|key| reads(&key.expr)).collect();
    let own: Vec<Column> = top.input.columns().into_iter().filter(|column| sorted.contains(&column.id)).collect();
    let values = own.iter().map(|column| copy(column).pass()).collect();
    let order = top.order.iter().map(|key| Order { expr: replaced(&key.expr, &copies), ..key.clone() }).collect();
    let distinct = Plan::Distinct(Box::new(Distinct { input: input.filter_all(of_partition).project(values) }));
    let first = TopK { input: distinct, order, partition: vec![], ties: Ties::Split, ..top.clone() };
    let law = "key-local: the first values of touched partitions";
    let first = cx.step_if("values", law, touched.clone().lateral(Plan::TopK(Box::new(first))), touched);
    let mut equal = restrict::equal(keys);
    equal.extend(own.iter().map(|column| E::equals(column.expr(), copy(column).expr())));
    Plan::join(vec![first, top.input.clone()], equal).project(top.input.pass())
}
