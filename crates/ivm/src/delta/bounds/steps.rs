//! A row whose delta moves bounds: `P ⋈ ΔS` in steps.
//!
//! | step | |
//! |---|---|
//! | `bounds` | ΔS without a row that cannot join P, and the values that P is compared with |
//! | `moved` | their old and new values, where both exist and any differs |
//! | `crossed` | rows of P joined with `bounds` that flip at one that moved |
//! | `alone` | the row of `bounds` that has no other, where that is so |
//! | `met` | rows of P joined with it |
//!
//! A row cannot join P where it does not exist, has a NULL for a bound or fails a gate. Then the other one is
//! *alone*, and all rows of P joined with it are inserted or deleted. `crossed` is a filter, which may pass too many rows:
//! the weights are those of `P ⋈ ΔS`.

use std::collections::BTreeSet;

use crate::bounds::Comparison;
use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{AggregateCall, ColId, Column, Expr, Ids, Plan, reads};

use super::super::product::Product;
use super::super::{Cx, Delta};
use super::{Predicates, each_once};

/// `P ⋈ ΔS`, of which ΔS is the first input. `single` are the columns of all inputs of one row: a comparison may read
/// others than S.
pub fn crossed(product: Product, predicates: &[Expr], single: &BTreeSet<ColId>, cx: &mut Cx) -> Result<Delta> {
    let (change, states) = product.inputs.split_first().ok_or(Error::Bug("a term without inputs"))?;
    let all = product.decided(predicates);
    let Predicates { gates, comparisons, .. } = Predicates::of(&all, &change.ids(), single)?;
    let w = product.weights.first().cloned().ok_or(Error::Bug("a delta without a weight"))?;
    let rows = Rows::of((change, w), states, gates, &comparisons, cx);
    let others = Others { columns: product.columns(), states, predicates: &all };
    let mut terms = vec![];
    if !comparisons.is_empty() {
        terms.push(others.crossed(&rows, &comparisons, cx));
    }
    terms.push(others.alone(&rows, cx));
    Ok(Delta::total(others.columns, terms, &mut cx.ids))
}
/// A step that holds ΔS and its bounds.
struct Rows {
    plan: Plan,
    w: Column,
    bounds: Vec<Column>,
}

/// A step that holds the old and the new value of each bound.
struct Moved {
    plan: Plan,
    ends: Vec<[Column; 2]>,
}

/// P, and how it is joined with S.
struct Others<'a> {
    /// Of `P ⋈ S`.
    columns: Vec<Column>,
    states: &'a [Plan],
    predicates: &'a [Expr],
}

impl Rows {
    /// The rows of ΔS for which the gates hold and no bound is NULL.
    fn of(
        (change, w): (&Plan, Column),
        states: &[Plan],
        gates: Vec<&Expr>,
        comparisons: &[Comparison],
        cx: &mut Cx,
    ) -> Rows {
        let known = comparisons.iter().map(|comparison| comparison.f.clone().is_present());
        let conditions: Vec<Expr> = gates.into_iter().cloned().chain(known).collect();
        let read: BTreeSet<ColId> = conditions.iter().flat_map(reads).collect();
        let others = states.iter().filter(|state| !state.ids().is_disjoint(&read));
        let inputs = std::iter::once(change).chain(others).cloned().collect();
        let bounds: Vec<Column> = comparisons.iter().map(|_| cx.ids.column("bound")).collect();
        let values = bounds.iter().cloned().zip(comparisons.iter().map(|comparison| comparison.f.clone()));
        let columns = change.columns().iter().map(Column::pass).chain(values).collect();
        let plan = Plan::join(inputs, conditions).project(columns);
        Rows { plan: cx.step("bounds", "bilinear: the old and the new row of the bound", plan), w, bounds }
    }

    fn moved(&self, cx: &mut Cx) -> Moved {
        let (new, known) = self.plan.copied(&mut cx.ids);
        let sign = |sign: &str, w: Expr| E::binary(sign, w, E::number(0));
        let old = self.plan.clone().filter(sign("<", self.w.expr()));
        let new = new.filter(sign(">", E::Column(known[&self.w.id])));
        let (mut columns, mut ends, mut differ) = (vec![], vec![], vec![]);
        for bound in &self.bounds {
            let values = [bound.expr(), E::Column(known[&bound.id])];
            // By any operator that compares them, values that look alike are equal.
            let [was, is] = values.clone().map(|value| value.cast("text"));
            differ.push(E::binary("<>", was, is));
            let own = ["old", "new"].map(|name| cx.ids.column(name));
            columns.extend(own.iter().cloned().zip(values));
            ends.push(own);
        }
        let plan = Plan::join(vec![old, new], vec![E::any_of(differ)]).project(columns);
        Moved { plan: cx.step("moved", "bilinear: old and new values, where they differ", plan), ends }
    }
}

impl Moved {
    /// One of its columns as a scalar subquery: the planner expects few rows between two values.
    fn value(&self, of: &Column, ids: &mut Ids) -> Expr {
        let (plan, known) = self.plan.copied(ids);
        E::Scalar(Box::new(plan.project(vec![(ids.column("bound"), E::Column(known[&of.id]))])))
    }
}

impl Others<'_> {
    /// The rows that flip, one term for each set of inputs of P that comparisons read.
    fn crossed(&self, rows: &Rows, comparisons: &[Comparison], cx: &mut Cx) -> Delta {
        let moved = rows.moved(cx);
        let mut flips: Vec<(BTreeSet<ColId>, Vec<Expr>)> = vec![];
        for (comparison, [old, new]) in comparisons.iter().zip(&moved.ends) {
            let at_one = comparison.flips(&moved.value(old, &mut cx.ids), &moved.value(new, &mut cx.ids));
            let read = reads(comparison.e);
            let inputs = self.states.iter().map(Plan::ids).filter(|own| !own.is_disjoint(&read)).flatten().collect();
            match flips.iter_mut().find(|(known, _)| *known == inputs) {
                Some((_, others)) => others.push(at_one),
                None => flips.push((inputs, vec![at_one])),
            }
        }
        let flips = flips.into_iter().map(|(_, flips)| vec![E::any_of(flips)]).collect();
        let conditions = each_once(self.predicates.to_vec(), flips);
        let mut terms: Vec<Delta> =
            conditions.map(|conditions| self.of(rows.plan.clone(), &rows.w, &conditions, cx)).collect();
        let Delta { plan, w, .. } = match terms.len() {
            1 => terms.remove(0),
            _ => Delta::total(self.columns.clone(), terms, &mut cx.ids),
        };
        Delta::new(cx.step_if("crossed", "bilinear: rows between the old and the new value", plan, &moved.plan), w)
    }

    /// The rows joined with a row that has no other.
    fn alone(&self, rows: &Rows, cx: &mut Cx) -> Delta {
        let (all, known) = rows.plan.copied(&mut cx.ids);
        let sum = AggregateCall::new(cx.ids.column("sum"), "sum", vec![known[&rows.w.id]]);
        let sum = E::Scalar(Box::new(all.aggregate(vec![], vec![sum])));
        let plan = rows.plan.clone().filter(E::binary("<>", sum, E::number(0)));
        let alone = cx.step("alone", "bilinear: the row, where the other one is missing", plan);
        cx.seldom();
        let Delta { plan, w, .. } = self.of(alone.clone(), &rows.w, self.predicates, cx);
        Delta::new(cx.step_if("met", "bilinear: rows joined with it", plan, &alone), w)
    }

    /// P ⋈ these rows
    fn of(&self, rows: Plan, w: &Column, predicates: &[Expr], cx: &mut Cx) -> Delta {
        let inputs = std::iter::once(rows).chain(self.states.iter().cloned()).collect();
        let Delta { plan, w, .. } = Product::of(inputs, w.clone()).evaluate(predicates, cx);
        let columns = self.columns.iter().chain([&w]).map(Column::pass).collect();
        Delta::new(plan.project(columns), w)
    }
}
