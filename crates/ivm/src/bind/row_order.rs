//! The order of a subquery's rows. SQL defines none, but PostgreSQL keeps that of the subquery's ORDER BY, and queries depend
//! on it: for LIMIT, for aggregates such as `array_agg`, for windows without an order.
//!
//! A delta has no order. Where PostgreSQL certainly keeps the order, it is written into the LIMIT, or into the aggregate
//! whose groups are runs of neighbouring rows. Everywhere else a query that depends on the order is refused.

use super::Binder;
use crate::catalog::FunctionKind;
use crate::error::Result;
use crate::expr::{Call, Direction, Expr as Generic, FrameUnit, Over};
use crate::plan::{Column, Expr, Order, Plan};
use crate::refuse;

/// The order of rows.
#[derive(Clone, Debug, Default)]
pub enum RowOrder {
    /// No query asks for one.
    #[default]
    Any,
    /// These keys, which are columns.
    Sorted(Vec<Order>),
    /// A query below asks for one, which has no keys here.
    Unknown,
}

/// The rows of a query: the first `shown` columns are its output, the others are keys of their order.
pub struct Rows {
    pub plan: Plan,
    pub shown: usize,
    pub row_order: RowOrder,
}

impl Rows {
    pub fn new(plan: Plan, row_order: RowOrder) -> Rows {
        Rows { shown: plan.columns().len(), plan, row_order }
    }

    /// The output columns alone.
    pub fn trimmed(self) -> Plan {
        let columns = self.plan.columns();
        match self.shown < columns.len() {
            true => self.plan.project(columns[..self.shown].iter().map(Column::pass).collect()),
            false => self.plan,
        }
    }
}

/// Aggregates whose result is the same in every order of the rows, except for the rounding of floating-point numbers.
#[rustfmt::skip]
const ORDER_INSENSITIVE: [&str; 35] = [
    "any_value", "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "corr", "count", "covar_pop",
    "covar_samp", "every", "max", "min", "mode", "percentile_cont", "percentile_disc", "range_agg",
    "range_intersect_agg", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope",
    "regr_sxx", "regr_sxy", "regr_syy", "stddev", "stddev_pop", "stddev_samp", "sum", "variance", "var_pop",
    "var_samp",
];

/// Window functions to which all rows are peers where the window has no order.
const PEER_FUNCTIONS: [&str; 4] = ["cume_dist", "dense_rank", "percent_rank", "rank"];

impl RowOrder {
    pub fn is_any(&self) -> bool {
        matches!(self, RowOrder::Any)
    }

    /// The order of rows that are combined with others, or that the server may sort by other keys.
    pub fn mixed(self, other: RowOrder) -> RowOrder {
        if self.is_any() && other.is_any() { RowOrder::Any } else { RowOrder::Unknown }
    }

    /// The order of the same rows, projected onto these columns; missing keys are added to them.
    pub fn projected(self, input: &Plan, columns: &mut Vec<(Column, Expr)>) -> RowOrder {
        let RowOrder::Sorted(keys) = self else { return self };
        let own = input.columns();
        let shown = |key: Order| {
            if let Some((column, _)) = columns.iter().find(|(_, e)| *e == key.expr) {
                return Some(Order { expr: column.expr(), ..key });
            }
            columns.push(own.iter().find(|column| column.expr() == key.expr)?.pass());
            Some(key)
        };
        keys.into_iter().map(shown).collect::<Option<_>>().map_or(RowOrder::Unknown, RowOrder::Sorted)
    }

    /// The order of the rows within each group, where the rows of a group are neighbours.
    pub fn within_groups(&self, keys: &[&Expr]) -> RowOrder {
        let RowOrder::Sorted(order) = self else { return self.clone() };
        let (first, rest) = order.split_at(order.len().min(keys.len()));
        // The server groups runs of rows in ascending order; rows in any other order it sorts by the keys alone.
        let ascends = |key: &Order| key.direction == Direction::Ascending && key.nulls_first != Some(true);
        let is_prefix =
            first.len() == keys.len() && first.iter().zip(keys).all(|(f, key)| f.expr == **key && ascends(f));
        if is_prefix { RowOrder::Sorted(rest.to_vec()) } else { RowOrder::Unknown }
    }

    /// The sort keys for a call that depends on the order.
    ///
    /// # Errors
    /// `Unsupported` where the order has no keys here.
    pub fn keys_for(&self, what: &str) -> Result<Vec<Order>> {
        match self {
            RowOrder::Any => Ok(vec![]),
            RowOrder::Sorted(keys) => Ok(keys.clone()),
            RowOrder::Unknown => Err(refuse::row_order(what)),
        }
    }
}

/// Whether an aggregate's result depends on the order of its rows, and the call has no ORDER BY.
pub fn depends_on_order<C, Q>(call: &Call<C, Q>) -> bool {
    let known = call.name.schema.is_none() && ORDER_INSENSITIVE.contains(&call.name.name.as_str());
    !known && !call.distinct && call.order_by.is_empty() && call.within_group.is_empty()
}

impl Binder<'_> {
    /// The order of rows for aggregates. One that has an ORDER BY may make the server sort the rows for all of them.
    pub fn order_at_aggregates(&mut self, row_order: RowOrder, exprs: &[Expr]) -> Result<RowOrder> {
        let mut calls = vec![];
        exprs
            .iter()
            .for_each(|e| e.visit(&mut |e| calls.extend(if let Generic::Call(call) = e { Some(call) } else { None })));
        for call in calls {
            if (call.distinct || !call.order_by.is_empty()) && self.function(&call.name)? == FunctionKind::Aggregate {
                return Ok(row_order.mixed(RowOrder::Any));
            }
        }
        Ok(row_order)
    }

    /// Refuses windows that number or frame rows in the order of a query below.
    pub fn check_windows(&mut self, row_order: &RowOrder, exprs: &[Expr]) -> Result<()> {
        if row_order.is_any() {
            return Ok(());
        }
        let mut dependent = None;
        for e in exprs {
            e.visit(&mut |e| {
                if let Generic::Call(call) = e
                    && let Some(Over::Window(window)) = &call.over
                    && window.order_by.is_empty()
                {
                    let peers = call.name.schema.is_none() && PEER_FUNCTIONS.contains(&call.name.name.as_str());
                    let rows = window.frame.as_ref().is_some_and(|frame| frame.unit == FrameUnit::Rows);
                    if rows || (!peers && depends_on_order(call)) {
                        dependent = Some(call.name.to_string());
                    }
                }
            });
        }
        dependent.map_or(Ok(()), |name| Err(refuse::row_order(&format!("{name} over a window without ORDER BY"))))
    }
}
