//! Windows whose values change near a change, or from it on. Calls in one order that run from the first row of the partition to the
//! current one go on from the value at an earlier row, so that a change leaves the rows before it as they are. Others depend on
//! a few rows before and after their own.

use std::collections::BTreeSet;

use crate::catalog::{ColumnType, Equality, FunctionKind};
use crate::error::Result;
use crate::expr::{Bound, Direction, Expr as E, Frame, FrameUnit, Over};
use crate::keys::{self, Facts};
use crate::plan::{ColId, Column, Expr, Order, Plan, Window};
use crate::types::Types;
use crate::view::Running;

type Call = crate::expr::Call<ColId, Plan>;

/// The most rows before and after its own that a value may depend on: few partitions have many more.
const MOST_NEAR: i64 = 10_000;

/// How each call of a window is followed; none where one is not, or where the table does not show what that needs: the first
/// key of the order, and to go on from a value, the value and the whole order.
pub fn of(window: &Window, stored: &[(Column, Expr)], facts: &Facts, types: &Types) -> Result<Vec<Running>> {
    // The first rows of a partition are few.
    if matches!(&window.input, Plan::TopK(top) if top.limit.is_some()) {
        return Ok(vec![]);
    }
    let order = order(window);
    let is_stored = |id: &ColId| stored.iter().any(|(column, e)| column.id == *id && *e == column.expr());
    let columns: Vec<ColId> = order.iter().filter_map(|key| column(&key.expr)).collect();
    let Some(first) = columns.first().filter(|first| facts.not_null.contains(first) && is_stored(first)) else {
        return Ok(vec![]);
    };
    let using = order.first().is_some_and(|key| matches!(key.direction, Direction::Using(_)));
    let nested = stored.iter().any(|(_, e)| !e.subqueries().is_empty());
    if using || nested || columns.len() < order.len() {
        return Ok(vec![]);
    }
    let sorted: BTreeSet<ColId> = window.partition.iter().chain(&columns).copied().collect();
    let total = facts.keys.iter().any(|key| key.is_subset(&sorted));
    let is_near = total && has_extrema(types.get(*first)?);
    let is_whole = columns.iter().all(is_stored);
    let mut calls = vec![];
    for (column, e) in &window.calls {
        let E::Call(call) = e else { return Ok(vec![]) };
        let Some(Over::Window(over)) = &call.over else { return Ok(vec![]) };
        if over.order_by != order || call.name.schema.is_some() || !e.subqueries().is_empty() {
            return Ok(vec![]);
        }
        let runs = runs(over.frame.as_ref(), total || is_number(call));
        let is_shown = is_whole && is_stored(&column.id);
        let running = running(call, types.get(column.id)?, total);
        let running = running.filter(|running| runs && (is_shown || *running == Running::Avg));
        let near = || if is_near { near(call, over.frame.as_ref(), types) } else { Ok(None) };
        match running.map_or_else(near, |running| Ok(Some(running)))? {
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

/// How many rows before its own, and after it, a value depends on at most, calls that run left out; whether there are such calls.
pub fn reach(calls: &[Running]) -> (i64, i64, bool) {
    calls.iter().fold((0, 0, false), |(most_before, most_after, runs), call| match call {
        Running::Near { before, after } => (most_before.max(*before), most_after.max(*after), runs),
        _ => (most_before, most_after, true),
    })
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
    matches!(call.name.name.as_str(), "row_number" | "rank" | "dense_rank")
}

fn running(call: &Call, ty: &ColumnType, total: bool) -> Option<Running> {
    // Floating-point sums depend on where they begin; of equal values that look different one is shown.
    let exact = matches!(ty.base.as_str(), "bigint" | "numeric");
    let alike = ty.equality == Equality::Image && ty.collation.is_none();
    match call.name.name.as_str() {
        "count" | "row_number" | "dense_rank" => Some(Running::Count),
        "rank" => Some(Running::Rank),
        "sum" if exact => Some(Running::Sum),
        "avg" if ty.base == "numeric" => Some(Running::Avg),
        "min" if alike => Some(Running::Min),
        "max" if alike => Some(Running::Max),
        // Of several first rows either is one.
        "first_value" if total && has_extrema(ty) => Some(Running::First),
        _ => None,
    }
}

/// The rows that a call depends on, where that is a constant number.
fn near(call: &Call, frame: Option<&Frame<ColId, Plan>>, types: &Types) -> Result<Option<Running>> {
    let name = call.name.name.as_str();
    let by = call.args.get(1).map_or(Some(1), |by| keys::count(&by.value));
    let (before, after) = match (name, by, frame) {
        ("lag", Some(by), _) => (by, -by),
        ("lead", Some(by), _) => (-by, by),
        ("lag" | "lead" | "ntile" | "cume_dist" | "percent_rank", ..) => return Ok(None),
        (_, _, Some(frame)) if frame.unit == FrameUnit::Rows => {
            let end = frame.end.as_ref().unwrap_or(&Bound::CurrentRow);
            let (Some(before), Some(after)) = (distance(&frame.start), distance(end)) else { return Ok(None) };
            (-before, after)
        }
        _ => return Ok(None),
    };
    let reads_frame = matches!(name, "lag" | "lead" | "first_value" | "last_value" | "nth_value")
        || types.catalog.function(&call.name)? == FunctionKind::Aggregate;
    let (before, after) = (before.max(0), after.max(0));
    Ok((reads_frame && before.max(after) <= MOST_NEAR).then_some(Running::Near { before, after }))
}

/// How many rows after the current one a frame in ROWS begins or ends; `None` where that is no constant.
fn distance(bound: &Bound<ColId, Plan>) -> Option<i64> {
    match bound {
        Bound::Preceding(by) => keys::count(by).map(|by| -by),
        Bound::CurrentRow => Some(0),
        Bound::Following(by) => keys::count(by),
        Bound::UnboundedPreceding | Bound::UnboundedFollowing => None,
    }
}

/// Whether the server has `min` and `max` of a type.
fn has_extrema(ty: &ColumnType) -> bool {
    let base = ty.base.as_str();
    let known = [
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "text",
        "date",
        "interval",
        "oid",
        "money",
    ];
    known.contains(&base) || ["character", "time"].iter().any(|start| base.starts_with(start))
}
