//! ω, window, and τ, top-k.   Key-local:  Δop = op(R↾K) − old output↾K,  with K the partitions that ΔR touches
//!
//! One row can change the values of every other row of its partition, so the whole partition is recomputed; rows
//! whose values stay the same are not written. Of a limited top-k an index may have the first rows; of a window that runs,
//! the rows before the change stay. Window calls over different partitions are windows of windows, each a node: the second
//! one reads the consolidated delta of the first. The old output is the node's own table, which holds the partition columns
//! whatever else it shows. Without a partition K is everything, if anything changed.

use crate::error::Result;
use crate::expr::Expr as E;
use crate::plan::Plan;

use super::head;
use super::partitioned::{Partitioned, held, of_table, touched_null};
use super::restrict::{self, Key, Meets};
use super::sum::weighted;
use super::{Cx, Delta, RECOMPUTED, running};

pub fn delta(operator: &Partitioned, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(input) = cx.delta(operator.input()?)? else { return Ok(None) };
    match (operator.operator, cx.node().running.clone()) {
        (Plan::Window(window), calls) if !calls.is_empty() => {
            running::followed(operator, (window, &calls), input, cx).map(Some)
        }
        _ => replaced(operator, input, cx).map(Some),
    }
}

/// The touched partitions: −1 for their old rows, +1 for those of the operator over their input.
pub fn replaced(operator: &Partitioned, input: Delta, cx: &mut Cx) -> Result<Delta> {
    let keys = operator.keys(cx)?;
    let touched = touched(&keys, input.plan, cx);
    let rows = match operator.top().filter(|_| cx.node().indexed) {
        Some(top) => head::rows(operator, top, (&keys, &touched), cx),
        None => whole(operator, &keys, (&touched, restrict::equal))?,
    };
    let mut rows = exchanged(operator, rows, &keys, (&touched, restrict::equal), cx)?;
    if let Some(touched) = touched_null(&keys, &touched, cx) {
        let whole = whole(operator, &keys, (&touched, restrict::with_nulls))?;
        rows.extend(exchanged(operator, whole, &keys, (&touched, restrict::with_nulls), cx)?);
    }
    Ok(Delta::sum(operator.columns(), rows, &mut cx.ids))
}

/// The keys of a delta's rows, each once; without keys, one row if there is any.
fn touched(keys: &[Key], rows: Plan, cx: &mut Cx) -> Plan {
    if keys.is_empty() {
        let any = rows.project(vec![(cx.ids.column("touched"), E::bool(true))]).limited(E::number(1));
        return cx.step("touched", "key-local: whether anything changed", any);
    }
    let columns = keys.iter().map(|key| (key.touched.clone(), key.input.expr())).collect();
    let rows = rows.project(columns).aggregate(keys.iter().map(|key| key.touched.clone()).collect(), vec![]);
    cx.step("touched", "key-local: touched partitions", rows)
}

/// The operator over all rows of touched partitions.
fn whole(operator: &Partitioned, keys: &[Key], (touched, meet): Meets) -> Result<Plan> {
    let input = operator.input()?;
    Ok(operator.over(match keys.is_empty() {
        true => input.clone(),
        false => restrict::restricted(input, keys, touched, meet(keys)).project(input.pass()),
    }))
}

/// −1 for the old rows of touched partitions, +1 for the new `rows`.
fn exchanged(
    operator: &Partitioned,
    rows: Plan,
    keys: &[Key],
    (touched, meet): Meets,
    cx: &mut Cx,
) -> Result<Vec<Plan>> {
    let (state, old) = cx.old_state();
    let shown = operator.columns();
    let columns = shown.iter().map(|column| of_table(&old, column.id)).collect::<Result<Vec<_>>>()?;
    let held = Plan::join(vec![touched.clone(), state], meet(&held(keys, &old)?));
    let deleted = weighted(held, &columns, -1, &mut cx.ids);
    let inserted = cx.step_if(RECOMPUTED, "key-local: touched partitions, recomputed", rows, touched);
    Ok(vec![deleted, weighted(inserted, &shown, 1, &mut cx.ids)])
}
