//! The order in which rows arrive. SQL gives those of a subquery none, but PostgreSQL keeps the order of its ORDER BY, and
//! people rely on it: above it, for LIMIT, for aggregates such as `array_agg`, for windows without an order.
//!
//! A delta keeps no order. Where PostgreSQL certainly keeps it, it becomes the order of what relies on it: of a LIMIT, and
//! of an aggregate whose groups are runs of neighbours. Everywhere else such a query is refused.

use super::{Binder, refuse};
use crate::catalog::FunctionKind;
use crate::error::Result;
use crate::expr::{Call, Direction, Expr as Generic, FrameUnit, Over};
use crate::plan::{Column, Expr, Order, Plan};

/// How rows arrive.
#[derive(Clone, Debug, Default)]
pub enum Arrival {
    /// In no order that a query asks for.
    #[default]
    Any,
    /// By these keys, which are columns.
    Sorted(Vec<Order>),
    /// In an order that a query below asks for, and that cannot be said here.
    Unknown,
}

/// The rows of a query: of their columns the first are shown, the others say in which order they arrive.
pub struct Rows {
    pub plan: Plan,
    pub shown: usize,
    pub arrival: Arrival,
}

impl Rows {
    pub fn new(plan: Plan, arrival: Arrival) -> Rows {
        Rows { shown: plan.columns().len(), plan, arrival }
    }

    /// What is shown of them.
    pub fn trimmed(self) -> Plan {
        let columns = self.plan.columns();
        match self.shown < columns.len() {
            true => self.plan.project(columns[..self.shown].iter().map(Column::pass).collect()),
            false => self.plan,
        }
    }
}

/// Aggregates whose result is the same in every order of the rows, up to the rounding of floating-point numbers.
const UNORDERED: [&str; 35] = [
    "any_value",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "range_intersect_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "sum",
    "variance",
    "var_pop",
    "var_samp",
];

/// Window functions that see rows without an order as peers.
const OF_PEERS: [&str; 4] = ["cume_dist", "dense_rank", "percent_rank", "rank"];

impl Arrival {
    pub fn is_any(&self) -> bool {
        matches!(self, Arrival::Any)
    }

    /// Of rows that are combined with others, or sorted by something else on the way.
    pub fn mixed(self, other: Arrival) -> Arrival {
        if self.is_any() && other.is_any() { Arrival::Any } else { Arrival::Unknown }
    }

    /// Of the same rows, projected onto these columns and the keys that are missing among them.
    pub fn projected(self, input: &Plan, columns: &mut Vec<(Column, Expr)>) -> Arrival {
        let Arrival::Sorted(keys) = self else { return self };
        let own = input.columns();
        let shown = |key: Order| {
            if let Some((column, _)) = columns.iter().find(|(_, e)| *e == key.expr) {
                return Some(Order { expr: column.expr(), ..key });
            }
            columns.push(own.iter().find(|column| column.expr() == key.expr)?.pass());
            Some(key)
        };
        keys.into_iter().map(shown).collect::<Option<_>>().map_or(Arrival::Unknown, Arrival::Sorted)
    }

    /// The order in which the rows of each group arrive, where those are neighbours.
    pub fn within_groups(&self, keys: &[&Expr]) -> Arrival {
        let Arrival::Sorted(order) = self else { return self.clone() };
        let (first, rest) = order.split_at(order.len().min(keys.len()));
        // The server groups by runs of rows in ascending order, and sorts those in any other by the keys alone.
        let ascends = |key: &Order| key.direction == Direction::Ascending && key.nulls_first != Some(true);
        let is_prefix =
            first.len() == keys.len() && first.iter().zip(keys).all(|(f, key)| f.expr == **key && ascends(f));
        if is_prefix { Arrival::Sorted(rest.to_vec()) } else { Arrival::Unknown }
    }

    /// What a call that relies on the order is told.
    pub fn told(&self, what: &str) -> Result<Vec<Order>> {
        match self {
            Arrival::Any => Ok(vec![]),
            Arrival::Sorted(keys) => Ok(keys.clone()),
            Arrival::Unknown => Err(refuse::arrival(what)),
        }
    }
}

/// Whether an aggregate's result depends on the order of its rows, and the call does not say which.
pub fn relies<C, Q>(call: &Call<C, Q>) -> bool {
    let known = call.name.schema.is_none() && UNORDERED.contains(&call.name.name.as_str());
    !known && !call.distinct && call.order_by.is_empty() && call.within_group.is_empty()
}

impl Binder<'_> {
    /// How rows arrive for aggregates. One that sorts for itself may have the server sort for all.
    pub fn arrival_at_aggregates(&mut self, arrival: Arrival, exprs: &[Expr]) -> Result<Arrival> {
        let mut calls = vec![];
        exprs
            .iter()
            .for_each(|e| e.visit(&mut |e| calls.extend(if let Generic::Call(call) = e { Some(call) } else { None })));
        for call in calls {
            if (call.distinct || !call.order_by.is_empty()) && self.function(&call.name)? == FunctionKind::Aggregate {
                return Ok(arrival.mixed(Arrival::Any));
            }
        }
        Ok(arrival)
    }

    /// Refuses windows that number or frame rows as they arrive, where a query below says how.
    pub fn check_windows(&mut self, arrival: &Arrival, exprs: &[Expr]) -> Result<()> {
        if arrival.is_any() {
            return Ok(());
        }
        let mut relying = None;
        for e in exprs {
            e.visit(&mut |e| {
                if let Generic::Call(call) = e
                    && let Some(Over::Window(window)) = &call.over
                    && window.order_by.is_empty()
                {
                    let peers = call.name.schema.is_none() && OF_PEERS.contains(&call.name.name.as_str());
                    let rows = window.frame.as_ref().is_some_and(|frame| frame.unit == FrameUnit::Rows);
                    if rows || (!peers && relies(call)) {
                        relying = Some(call.name.to_string());
                    }
                }
            });
        }
        relying.map_or(Ok(()), |name| Err(refuse::arrival(&format!("{name} over a window without ORDER BY"))))
    }
}
