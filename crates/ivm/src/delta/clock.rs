//! The clock.   Temporal:  Δσ(R) = crossing(R) + σ_before(ΔR)
//!
//! A join with the clock is a filter whose bounds move. As an input of a join the clock is bilinear like any other,
//! `P ⋈ Δclock + ΔP ⋈ (clock − Δclock)`, and `clock − Δclock` is what it showed before. But `P ⋈ Δclock`, the rows
//! that hold now less those that held before, would compute all of them twice. Only a row whose `e` lies between
//! the two bounds of a predicate `e op f` can differ: those are found by a range of `e` that an index serves.
//! It is what a threshold does to the rows that are compared with it (`threshold`), but that the clock always has both
//! rows and no bound of it is NULL for one of them only.
//!
//! With several such predicates a row is taken by the first range that it lies in. Bounds may move either way: a
//! clock is set back, a day has 23 hours. Whether the row came or left is asked of the predicates themselves.

use std::collections::BTreeMap;

use crate::clock::{self, BEFORE, NOW};
use crate::error::{Error, Result};
use crate::expr::{Expr as E, IsTest};
use crate::plan::{ColId, Column, Expr, Ids, Plan, Scan, replaced};

use super::comparison::Comparison;
use super::join::linked;
use super::sum::weighted;
use super::{Cx, Delta};

/// `Δclock = {now} − {before}`
pub fn delta(scan: &Scan, cx: &mut Cx) -> Delta {
    let columns: Vec<Column> = scan.columns.iter().map(|(column, _)| column.clone()).collect();
    let times = [(NOW, 1), (BEFORE, -1)];
    let rows = times.map(|(time, weight)| weighted(clock::reading(&columns, time), &columns, weight, &mut cx.ids));
    Delta::sum(columns, rows.into(), &mut cx.ids)
}

/// The inputs of a join beside the clock, its predicates, and the columns that it reads the clock by.
pub struct Timed<'a> {
    pub states: &'a [Plan],
    pub predicates: &'a [Expr],
    pub clock: &'a [Column],
}

impl Timed<'_> {
    /// `P ⋈ Δclock`, one term for each predicate. The time in a row is that of now, whether it came or left: a
    /// temporal filter shows it to nobody.
    pub fn crossing(&self, cx: &mut Cx) -> Result<Vec<Delta>> {
        let is_timed = |e: &&Expr| reads(e, self.clock);
        let (timed, plain): (Vec<&Expr>, Vec<&Expr>) = self.predicates.iter().partition(is_timed);
        let own = self.clock.iter().map(|column| column.id).collect();
        let compared: Option<Vec<_>> = timed.iter().map(|e| Comparison::of(e, &own)).collect();
        let compared = compared.filter(|all| !all.is_empty());
        let compared = compared.ok_or(Error::Bug("what is joined with the clock is compared with it"))?;
        let now = Expr::all(timed.into_iter().cloned().collect());
        let mut earlier: Vec<Expr> = plain.into_iter().cloned().collect();
        let mut terms = vec![];
        for comparison in &compared {
            let range = self.range(comparison, &mut cx.ids);
            let found = earlier.iter().chain(&range).cloned().collect();
            terms.push(self.crossed(comparison.e, found, &now, cx));
            earlier.push(E::Not(Box::new(Expr::all(range))));
        }
        Ok(terms)
    }

    /// The rows among those `found`, by a range of `e`, that hold now and did not before, or the reverse.
    fn crossed(&self, e: &Expr, mut found: Vec<Expr>, now: &Expr, cx: &mut Cx) -> Delta {
        let (then, known) = copies(self.clock, &mut cx.ids);
        let before = replaced(now, &known);
        found.push(E::binary("<>", now.clone().is(IsTest::True), before.is(IsTest::True)));
        let w = cx.ids.column("w");
        let weight = E::case(vec![(now.clone(), Expr::number(1))], Expr::number(-1)).cast("bigint");
        let shown = self.states.iter().flat_map(Plan::columns).chain(self.clock.iter().cloned());
        let columns = shown.map(|column| column.pass()).chain([(w.clone(), weight)]).collect();
        let mut inputs = linked(self.states.to_vec(), &found, |state| (state, reads(e, &state.columns())));
        inputs.push(clock::both(self.clock, &then));
        Delta::new(Plan::join(inputs, found).project(columns), w)
    }

    /// Where `e` must lie for the comparison to differ: between the two bounds, and at the one at which it
    /// differs. NULL lies nowhere. Times are ordered in one way, so that one range does. The bounds are values to the
    /// planner, who expects few rows between two.
    fn range(&self, comparison: &Comparison, ids: &mut Ids) -> Vec<Expr> {
        let Comparison { symbol, e, f, .. } = comparison;
        let mut value = |of: &dyn Fn(Vec<Expr>) -> Expr| {
            let ((now, in_now), (before, in_before)) = (copies(self.clock, ids), copies(self.clock, ids));
            let bounds = vec![replaced(f, &in_before), replaced(f, &in_now)];
            E::Scalar(Box::new(clock::both(&now, &before).project(vec![(ids.column("bound"), of(bounds))])))
        };
        let low = value(&|bounds| E::call("least", bounds));
        let high = value(&|bounds| E::call("greatest", bounds));
        let (above, below) = match *symbol {
            "=" => (">=", "<="),
            ">" | "<=" => (">", "<="),
            _ => (">=", "<"),
        };
        let mut range = vec![E::binary(above, (*e).clone(), low), E::binary(below, (*e).clone(), high)];
        if *symbol == "=" {
            // Both ends belong to the range, which is empty only where the bound stands still.
            range.push(value(&|bounds| E::binary("<>", bounds[0].clone(), bounds[1].clone())));
        }
        range
    }
}

fn reads(e: &Expr, columns: &[Column]) -> bool {
    e.columns().into_iter().any(|id| columns.iter().any(|column| column.id == *id))
}

/// As many fresh columns, and which stands for which.
fn copies(columns: &[Column], ids: &mut Ids) -> (Vec<Column>, BTreeMap<ColId, ColId>) {
    let fresh: Vec<Column> = columns.iter().map(|column| ids.column(column.name.as_str())).collect();
    let known = columns.iter().zip(&fresh).map(|(column, fresh)| (column.id, fresh.id)).collect();
    (fresh, known)
}
