//! What a threshold crosses as it moves: `P ⋈ ΔS`, of P the rows between the old and the new bounds.
//!
//! | step | |
//! |---|---|
//! | `bounds` | ΔS without a row that can meet nothing, and the values that P is compared with |
//! | `moved` | their old and new values, where there are both and any differs |
//! | `crossed` | what meets `bounds` and flips at one that moved |
//! | `alone` | the row of `bounds` that has no other, where that is so |
//! | `met` | what meets it |

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{AggregateCall, Column, Expr, Ids as Fresh, Plan, reads};

use super::super::comparison::Comparison;
use super::super::join::Term;
use super::super::single::is_single;
use super::super::{Cx, Delta};
use super::{Ids, Role, Scope, ids};

/// `P ⋈ ΔS`; the first input of the term is ΔS.
pub fn crossing(term: Term, predicates: &[Expr], cx: &mut Cx) -> Result<Delta> {
    let (change, states) = term.inputs.split_first().ok_or(Error::Bug("a term without inputs"))?;
    let moving = ids(change);
    let single = states.iter().filter(|state| is_single(state, cx.view)).flat_map(ids).chain(moving.iter().copied());
    let scope = Scope { single: single.collect(), moving, later: Ids::new() };
    let predicates: Vec<Expr> = predicates.iter().filter(|e| term.decides(e)).cloned().collect();
    let (mut gates, mut comparisons) = (vec![], vec![]);
    for e in &predicates {
        match scope.role(e) {
            Role::Gate => gates.push(e.clone()),
            Role::Bound(comparison) => comparisons.push(comparison),
            Role::Nothing => {}
            Role::Other => return Err(Error::Bug("a threshold is compared, whatever it meets")),
        }
    }
    let w = term.weights.first().cloned().ok_or(Error::Bug("a delta without a weight"))?;
    let rows = Rows::of((change, w), states, gates, &comparisons, cx);
    let met = Met { columns: term.columns(), states, predicates: &predicates };
    let mut terms = vec![];
    if !comparisons.is_empty() {
        terms.push(met.crossed(&rows, &comparisons, cx)?);
    }
    terms.push(met.alone(&rows, cx)?);
    Ok(Delta::total(met.columns, terms, &mut cx.ids))
}

/// A step that holds ΔS and its bounds.
struct Rows {
    plan: Plan,
    w: Column,
    bounds: Vec<Column>,
}

/// A step that holds where bounds moved from, and where to.
struct Moved {
    plan: Plan,
    ends: Vec<[Column; 2]>,
}

/// P, and how rows of it meet those of a threshold.
struct Met<'a> {
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
        gates: Vec<Expr>,
        comparisons: &[Comparison],
        cx: &mut Cx,
    ) -> Rows {
        let known = comparisons.iter().map(|comparison| comparison.f.clone().is_present());
        let conditions: Vec<Expr> = gates.into_iter().chain(known).collect();
        let read: Ids = conditions.iter().flat_map(reads).collect();
        let others = states.iter().filter(|state| !ids(state).is_disjoint(&read));
        let inputs = std::iter::once(change).chain(others).cloned().collect();
        let bounds: Vec<Column> = comparisons.iter().map(|_| cx.ids.column("bound")).collect();
        let values = bounds.iter().cloned().zip(comparisons.iter().map(|comparison| comparison.f.clone()));
        let columns = change.columns().iter().map(Column::pass).chain(values).collect();
        let plan = Plan::join(inputs, conditions).project(columns);
        Rows { plan: cx.step("bounds", "bilinear: the row that moved, old and new", plan), w, bounds }
    }

    fn moved(&self, cx: &mut Cx) -> Moved {
        let (new, known) = self.plan.copied(&mut cx.ids);
        let sign = |sign: &str, w: Expr| E::binary(sign, w, E::number(0));
        let old = self.plan.clone().filter(sign("<", self.w.expr()));
        let new = new.filter(sign(">", E::Column(known[&self.w.id])));
        let (mut columns, mut ends, mut differ) = (vec![], vec![], vec![]);
        for bound in &self.bounds {
            let values = [bound.expr(), E::Column(known[&bound.id])];
            // Whatever order and equality the values are compared by, those that look alike are equal.
            let [was, is] = values.clone().map(|value| value.cast("text"));
            differ.push(E::binary("<>", was, is));
            let own = ["old", "new"].map(|name| cx.ids.column(name));
            columns.extend(own.iter().cloned().zip(values));
            ends.push(own);
        }
        let plan = Plan::join(vec![old, new], vec![E::any_of(differ)]).project(columns);
        Moved { plan: cx.step("moved", "bilinear: bounds that moved, from where to where", plan), ends }
    }
}

impl Moved {
    /// One of its columns as a value: to the planner, who expects few rows between two.
    fn value(&self, of: &Column, ids: &mut Fresh) -> Expr {
        let (plan, known) = self.plan.copied(ids);
        E::Scalar(Box::new(plan.project(vec![(ids.column("bound"), E::Column(known[&of.id]))])))
    }
}

impl Met<'_> {
    /// The rows that flip, by the inputs of P that tell which ones do; each is taken by the first.
    fn crossed(&self, rows: &Rows, comparisons: &[Comparison], cx: &mut Cx) -> Result<Delta> {
        let moved = rows.moved(cx);
        let needs = cx.last_step()?;
        let mut flips: Vec<(Ids, Vec<Expr>)> = vec![];
        for (comparison, [old, new]) in comparisons.iter().zip(&moved.ends) {
            let at_one = comparison.flips(&moved.value(old, &mut cx.ids), &moved.value(new, &mut cx.ids));
            let read = reads(comparison.e);
            let inputs = self.states.iter().map(ids).filter(|own| !own.is_disjoint(&read)).flatten().collect();
            match flips.iter_mut().find(|(known, _)| *known == inputs) {
                Some((_, others)) => others.push(at_one),
                None => flips.push((inputs, vec![at_one])),
            }
        }
        let (mut conditions, mut terms) = (self.predicates.to_vec(), vec![]);
        for (_, flips) in flips {
            let any = E::any_of(flips);
            conditions.push(any.clone());
            terms.push(self.of(rows.plan.clone(), &rows.w, &conditions, cx)?);
            conditions.pop();
            conditions.push(E::Not(Box::new(any)));
        }
        let Delta { plan, w, .. } = match terms.len() {
            1 => terms.remove(0),
            _ => Delta::total(self.columns.clone(), terms, &mut cx.ids),
        };
        let plan = cx.step_if("crossed", "bilinear: rows that the bounds crossed", plan, Some(needs));
        Ok(Delta::new(plan, w))
    }

    /// What meets a row that stands alone.
    fn alone(&self, rows: &Rows, cx: &mut Cx) -> Result<Delta> {
        let (all, known) = rows.plan.copied(&mut cx.ids);
        let sum = AggregateCall::new(cx.ids.column("sum"), "sum", vec![known[&rows.w.id]]);
        let sum = E::Scalar(Box::new(all.aggregate(vec![], vec![sum])));
        let plan = rows.plan.clone().filter(E::binary("<>", sum, E::number(0)));
        let alone = cx.step("alone", "bilinear: the row that moved, where there is no other", plan);
        cx.seldom();
        let needs = cx.last_step()?;
        let Delta { plan, w, .. } = self.of(alone, &rows.w, self.predicates, cx)?;
        let plan = cx.step_if("met", "bilinear: rows that meet it", plan, Some(needs));
        Ok(Delta::new(plan, w))
    }

    /// P ⋈ these rows
    fn of(&self, rows: Plan, w: &Column, predicates: &[Expr], cx: &mut Cx) -> Result<Delta> {
        let inputs = std::iter::once(rows).chain(self.states.iter().cloned()).collect();
        let Delta { plan, w, .. } = Term::of(inputs, w.clone()).evaluate(predicates, cx)?;
        let columns = self.columns.iter().chain([&w]).map(Column::pass).collect();
        Ok(Delta::new(plan.project(columns), w))
    }
}
