//! Stale groups: recomputed from the input, restricted to their keys.

use crate::error::Result;
use crate::plan::{Aggregate, Plan};
use crate::view::{Successor, Upkeep};

use super::super::restrict::{self, restricted};
use super::super::sum::weighted;
use super::super::{Cx, Delta, RECOMPUTED, STALE, consolidate};
use super::{Groups, output};

/// Δ of the stale groups as one step, which is skipped when there are none.
pub fn step(aggregate: &Aggregate, groups: &Groups, cx: &mut Cx) -> Result<Plan> {
    let stale = stale_keys(groups, cx);
    let inputs = rows(aggregate, groups, &stale, cx);
    let columns = output(aggregate);
    let known = columns.iter().map(|column| Ok((column.clone(), cx.known(column.id)?.clone())));
    let known = known.collect::<Result<Vec<_>>>()?;
    let delta = Delta::sum(columns, inputs, &mut cx.ids);
    let plan = consolidate::plan(delta, &known, &mut cx.ids);
    Ok(cx.step_if("replaced", "key-local: stale groups, new − old", plan, &stale))
}

/// The same, unconsolidated.
pub fn replaced(aggregate: &Aggregate, groups: &Groups, cx: &mut Cx) -> Vec<Plan> {
    let stale = stale_keys(groups, cx);
    rows(aggregate, groups, &stale, cx)
}

/// Stale groups: −1 for the old rows, +1 for the recomputed ones.
fn rows(aggregate: &Aggregate, groups: &Groups, stale: &Plan, cx: &mut Cx) -> Vec<Plan> {
    let condition = groups.stale().into_iter().chain([groups.existed()]).collect();
    let mut rows = vec![groups.old_rows(condition, cx)];
    let met = restricted(&aggregate.input, &groups.keys, stale, restrict::equal(&groups.keys));
    rows.push(recomputed(aggregate, met, stale, cx));
    if let Some(null) = restrict::null(&groups.keys) {
        let law = "key-local: stale groups with a NULL in their key";
        let stale = cx.step_if("stale_null", law, stale.clone().filter(null), stale);
        cx.seldom();
        let met = restricted(&aggregate.input, &groups.keys, &stale, restrict::with_nulls(&groups.keys));
        rows.push(recomputed(aggregate, met, &stale, cx));
    }
    rows
}

/// The keys of the groups to recompute: those that still exist.
fn stale_keys(groups: &Groups, cx: &mut Cx) -> Plan {
    // NaN and infinities are rare; deleted extrema are not.
    let is_extremum =
        |upkeep: &Upkeep| matches!(upkeep, Upkeep::Min(Successor::Recomputed) | Upkeep::Max(Successor::Recomputed));
    let extrema = cx.node().upkeep.iter().any(is_extremum);
    let condition = groups.stale().or(groups.remains());
    let columns = match groups.keys.is_empty() {
        true => vec![groups.calls[0].new.pass()],
        false => groups.keys.iter().map(|key| key.touched.pass()).collect(),
    };
    let rows = groups.plan.clone().filter_all(condition.into_iter().collect()).project(columns);
    let plan = cx.step(STALE, "key-local: groups to recompute", rows);
    if groups.stale().is_some() && !extrema {
        cx.seldom();
    }
    plan
}

/// γ of the restricted input.
fn recomputed(aggregate: &Aggregate, input: Plan, stale: &Plan, cx: &mut Cx) -> Plan {
    let plan = input.aggregate(aggregate.keys.clone(), aggregate.calls.clone());
    let plan = cx.step_if(RECOMPUTED, "key-local: stale groups, recomputed", plan, stale);
    let columns = plan.columns();
    weighted(plan, &columns, 1, &mut cx.ids)
}

#[cfg(test)]
mod tests {
    use crate::sql::ident::QName;
    use crate::testing::memory::MemoryCatalog;
    use crate::{canon, compile, delta};

    /// The steps that are empty most of the time, of the first node of a query over `t(k, x)`.
    fn seldom(sql: &str) -> Vec<String> {
        let t = QName::qualified("public", "t");
        let catalog = MemoryCatalog::default().table(t, &[("k", "integer", false), ("x", "numeric", false)]);
        let state = |k: usize| QName::qualified("state", format!("n{k}"));
        let query = canon::parse(sql).unwrap();
        let view = compile::compile(&query, &catalog, &QName::qualified("public", "v"), &state).unwrap();
        let steps = delta::steps(&view, 0, &view.nodes[0].inputs).unwrap().unwrap();
        steps.into_iter().filter(|step| step.seldom).map(|step| step.name.as_str().to_owned()).collect()
    }

    #[test]
    fn stale_groups_are_seldom_without_extrema() {
        assert_eq!(seldom("SELECT t.k, sum(t.x) AS s FROM public.t GROUP BY t.k"), ["stale", "stale_null"]);
        assert_eq!(seldom("SELECT t.k, max(t.x) AS m FROM public.t GROUP BY t.k"), ["stale_null"]);
    }
}
