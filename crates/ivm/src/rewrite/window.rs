//! σ over ω: the first rows of each partition are a top-k, `σ[row_number ≤ k](ω(R)) = ω(τk(R))`, and likewise for `rank` with
//! those equal to the last one, and for `dense_rank` with those that have one of the first `k` values.
//!
//! The node then holds and recomputes `k` rows of each partition instead of all.

use crate::expr::{Expr as E, Over};
use crate::keys;
use crate::plan::{ColId, Expr, Order, Plan, Ties, TopK, Window};

/// The numberings, which count earlier rows: leaving off later ones does not change them.
const NUMBERINGS: [&str; 3] = ["row_number", "rank", "dense_rank"];

/// Restricts a window to the first rows that conditions on its numberings leave; the other conditions.
pub fn first_rows(window: &mut Window, mut conditions: Vec<Expr>) -> Vec<Expr> {
    while let Some((at, first)) = conditions.iter().enumerate().find_map(|(at, e)| Some((at, First::of(e, window)?))) {
        conditions.remove(at);
        window.input = first.of_each(window.input.take(), window.partition.clone());
    }
    conditions
}

/// The first rows of each partition: what a bound on their number leaves.
struct First {
    limit: i64,
    order: Vec<Order>,
    ties: Ties,
}

impl First {
    /// The limit that `bound` sets, where it compares a numbering and every other call of the window is one in the same order.
    fn of(bound: &Expr, window: &Window) -> Option<First> {
        let (id, limit) = upper_bound(bound)?;
        let (_, call) = window.calls.iter().find(|(column, _)| column.expr() == *id)?;
        let (name, order) = numbering(call)?;
        let alike = |(_, call): &(_, Expr)| numbering(call).is_some_and(|(_, other)| other == order);
        let sorted = !order.is_empty() && order.iter().all(|key| matches!(key.expr, E::Column(_)));
        let ties = match name {
            "rank" => Ties::Follow,
            "dense_rank" => Ties::Together,
            _ => Ties::Split,
        };
        let found = || First { limit, order: order.to_vec(), ties };
        (sorted && window.calls.iter().all(alike)).then(found)
    }

    fn of_each(self, input: Plan, partition: Vec<ColId>) -> Plan {
        let First { limit, order, ties } = self;
        Plan::TopK(Box::new(TopK { input, partition, order, limit: Some(E::number(limit)), offset: None, ties }))
    }
}

/// The name and order of a numbering.
fn numbering(call: &Expr) -> Option<(&str, &[Order])> {
    let E::Call(call) = call else { return None };
    let Some(Over::Window(over)) = &call.over else { return None };
    let known = call.name.schema.is_none() && NUMBERINGS.contains(&call.name.name.as_str());
    known.then_some((call.name.name.as_str(), &over.order_by))
}

/// The left side and `k` of a condition that means `left ≤ k`, where `left` counts from one and `k` is one at least.
fn upper_bound(e: &Expr) -> Option<(&Expr, i64)> {
    let E::Binary(op, left, right) = e else { return None };
    let (left, symbol, bound) = match (keys::count(left), keys::count(right), op.symbol.as_str()) {
        (None, Some(bound), symbol @ ("<" | "<=" | "=")) => (left, symbol, bound),
        (Some(bound), None, ">") => (right, "<", bound),
        (Some(bound), None, ">=") => (right, "<=", bound),
        (Some(bound), None, "=") => (right, "=", bound),
        _ => return None,
    };
    let last = if symbol == "<" { bound.checked_sub(1)? } else { bound };
    (op.schema.is_none() && last >= 1 && (symbol != "=" || last == 1)).then_some((&**left, last))
}
