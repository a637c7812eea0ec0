//! Stale groups: recomputed from the input, restricted to their keys.

use crate::error::Result;
use crate::expr::Expr as E;
use crate::nodes::Upkeep;
use crate::plan::{Aggregate, Expr, Plan};
use crate::sql::ident::Ident;

use super::super::restrict::{self, restricted};
use super::super::sum::{Rows, weighted};
use super::super::{Cx, Delta, consolidate};
use super::{Groups, Which, output};

const LAW: &str = "key-local: stale groups, recomputed";

/// Δ of the stale groups as one step, which is skipped when there are none.
pub fn step(aggregate: &Aggregate, groups: &Groups, cx: &mut Cx) -> Result<Rows> {
    let (inputs, stale) = rows(aggregate, groups, cx)?;
    let columns = output(aggregate);
    let known = columns.iter().map(|column| cx.known(column.id).cloned()).collect::<Result<Vec<_>>>()?;
    let known: Vec<_> = columns.iter().cloned().zip(known).collect();
    let delta = Delta::sum(columns, inputs, &mut cx.ids);
    let plan = consolidate::plan(delta, &known, &mut cx.ids);
    let plan = cx.step_if("replaced", "key-local: stale groups, new − old", plan, Some(stale));
    let columns = plan.columns().iter().map(|column| column.id).collect();
    Ok((plan, columns))
}

/// The same, unconsolidated.
pub fn replaced(aggregate: &Aggregate, groups: &Groups, cx: &mut Cx) -> Result<Vec<Rows>> {
    Ok(rows(aggregate, groups, cx)?.0)
}

/// The old rows of stale groups leaving and the recomputed ones coming, and the step with the stale keys.
fn rows(aggregate: &Aggregate, groups: &Groups, cx: &mut Cx) -> Result<(Vec<Rows>, Ident)> {
    let stale: Vec<Expr> = groups.stale().into_iter().collect();
    let old = groups.rows([stale.clone(), vec![groups.existed()]].concat(), Which::Old, cx);
    let (keys, name) = stale_keys(groups, stale, cx)?;
    let mut inputs = vec![old];
    let met = restricted(&aggregate.input, &groups.keys, &keys, restrict::equal(&groups.keys));
    inputs.push(recomputed(aggregate, met, name.clone(), cx));
    if let Some(null) = restrict::null(&groups.keys) {
        let keys = cx.step_if(
            "stale_null",
            "key-local: stale groups with a NULL in their key",
            keys.filter(null),
            Some(name.clone()),
        );
        cx.seldom();
        let needs = cx.last_step()?;
        let input = restricted(&aggregate.input, &groups.keys, &keys, restrict::with_nulls(&groups.keys));
        inputs.push(recomputed(aggregate, input, needs, cx));
    }
    Ok((inputs, name))
}

/// The keys of the groups to recompute: those that are still there.
fn stale_keys(groups: &Groups, stale: Vec<Expr>, cx: &mut Cx) -> Result<(Plan, Ident)> {
    // NaN and infinities are rare; that an extremum leaves is not.
    let extrema = cx.node().upkeep.iter().any(|upkeep| matches!(upkeep, Upkeep::Min | Upkeep::Max));
    let seldom = !stale.is_empty() && !extrema;
    let conditions = if stale.is_empty() { groups.remains().into_iter().collect() } else { stale };
    let rows = match conditions.is_empty() {
        true => groups.plan.clone(),
        false => groups.plan.clone().filter(E::all(conditions)),
    };
    let columns = match groups.keys.is_empty() {
        true => vec![groups.calls[0].new.pass()],
        false => groups.keys.iter().map(|key| key.touched.pass()).collect(),
    };
    let plan = cx.step("stale", "key-local: groups to recompute", rows.project(columns));
    if seldom {
        cx.seldom();
    }
    Ok((plan, cx.last_step()?))
}

/// γ of the restricted input, coming.
fn recomputed(aggregate: &Aggregate, input: Plan, needs: Ident, cx: &mut Cx) -> Rows {
    let plan = input.aggregate(aggregate.keys.clone(), aggregate.calls.clone());
    let plan = cx.step_if("recomputed", LAW, plan, Some(needs));
    let columns = plan.columns();
    weighted(plan, &columns, 1, &mut cx.ids)
}
