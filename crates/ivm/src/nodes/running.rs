//! Windows whose calls run from the first row of the partition to the current one, all in one order: a value goes on from
//! that at an earlier row, so that a change leaves the rows before it as they are.

use std::collections::BTreeSet;

use crate::catalog::{ColumnType, Equality};
use crate::error::Result;
use crate::expr::{Bound, Direction, Expr as E, Frame, FrameUnit, Over};
use crate::keys::Facts;
use crate::plan::{ColId, Column, Expr, Order, Plan, Window};
use crate::types::Types;
use crate::view::Running;

type Call = crate::expr::Call<ColId, Plan>;

/// How each call of a window goes on; none where one does not, or where the table does not show the order and all values.
pub fn of(window: &Window, stored: &[(Column, Expr)], facts: &Facts, types: &Types) -> Result<Vec<Running>> {
    // The first rows of a partition are few.
    if matches!(&window.input, Plan::TopK(top) if top.limit.is_some()) {
        return Ok(vec![]);
    }
    let order = order(window);
    let is_stored = |id: &ColId| stored.iter().any(|(column, e)| column.id == *id && *e == column.expr());
    let columns: Vec<ColId> = order.iter().filter_map(|key| column(&key.expr)).collect();
    let starts = columns.first().is_some_and(|first| facts.not_null.contains(first));
    let using = order.first().is_some_and(|key| matches!(key.direction, Direction::Using(_)));
    let nested = stored.iter().any(|(_, e)| !e.subqueries().is_empty());
    if !starts || using || nested || columns.len() < order.len() || !columns.iter().all(is_stored) {
        return Ok(vec![]);
    }
    let sorted: BTreeSet<ColId> = window.partition.iter().chain(&columns).copied().collect();
    let total = facts.keys.iter().any(|key| key.is_subset(&sorted));
    let mut calls = vec![];
    for (column, call) in &window.calls {
        let E::Call(call) = call else { return Ok(vec![]) };
        let runs = matches!(&call.over, Some(Over::Window(over)) if over.order_by == order
            && runs(over.frame.as_ref(), total || is_number(call)));
        match running(call, types.get(column.id)?).filter(|_| runs && is_stored(&column.id)) {
            Some(running) => calls.push(running),
            None => return Ok(vec![]),
        }
    }
    Ok(calls)
}

/// The order of a window's first call.
pub fn order(window: &Window) -> &[Order] {
    match window.calls.first() {
        Some((_, E::Call(call))) => match &call.over {
            Some(Over::Window(over)) => &over.order_by,
            _ => &[],
        },
        _ => &[],
    }
}

/// The column that an expression is.
pub fn column(e: &Expr) -> Option<ColId> {
    if let E::Column(id) = e { Some(*id) } else { None }
}

/// Whether a frame begins with the partition and ends at the current row, or with the last of its peers. Which of several
/// peers is the last one is open: in ROWS there must be none.
fn runs(frame: Option<&Frame<ColId, Plan>>, total: bool) -> bool {
    frame.is_none_or(|frame| {
        let end = frame.end.as_ref().is_none_or(|end| *end == Bound::CurrentRow);
        frame.start == Bound::UnboundedPreceding && end && (total || frame.unit != FrameUnit::Rows)
    })
}

/// Whether a call numbers rows, whatever its frame.
fn is_number(call: &Call) -> bool {
    call.name.schema.is_none() && matches!(call.name.name.as_str(), "row_number" | "rank" | "dense_rank")
}

fn running(call: &Call, ty: &ColumnType) -> Option<Running> {
    if call.name.schema.is_some() {
        return None;
    }
    // Floating-point sums depend on where they begin; of equal values that look different one is shown.
    let exact = matches!(ty.base.as_str(), "bigint" | "numeric");
    let alike = ty.equality == Equality::Image && ty.collation.is_none();
    match call.name.name.as_str() {
        "count" | "row_number" | "dense_rank" => Some(Running::Count),
        "rank" => Some(Running::Rank),
        "sum" if exact => Some(Running::Sum),
        "min" if alike => Some(Running::Min),
        "max" if alike => Some(Running::Max),
        _ => None,
    }
}
