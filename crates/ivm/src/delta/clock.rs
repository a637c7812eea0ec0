//! The clock.   Temporal:  Δσ(R) = crossing(R) + σ_before(ΔR)
//!
//! A join with the clock is a filter whose bounds move. As an input of a join the clock is bilinear like any other,
//! `P ⋈ Δclock + ΔP ⋈ (clock − Δclock)`, and `clock − Δclock` is what it showed before. But `P ⋈ Δclock`, the rows
//! that hold now less those that held before, would compute all of them twice. Only a row whose `e` lies between
//! the two bounds of a predicate `e op f` can differ: those are found by a range of `e` that an index serves.
//!
//! With several such predicates a row is taken by the first range that it lies in. Bounds may move either way: a
//! clock is set back, a day has 23 hours. Whether the row came or left is asked of the predicates themselves.

use std::collections::BTreeMap;

use crate::clock::{self, BEFORE, NOW};
use crate::error::{Error, Result};
use crate::expr::{Expr as E, IsTest};
use crate::plan::{ColId, Column, Expr, Ids, Plan, Scan, replaced};

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

/// A predicate `e op f` of which only `f` reads the clock.
struct Temporal<'a> {
    whole: &'a Expr,
    op: &'a str,
    e: &'a Expr,
    f: &'a Expr,
}

impl Timed<'_> {
    /// `P ⋈ Δclock`, one term for each predicate. The time in a row is that of now, whether it came or left: a
    /// temporal filter shows it to nobody.
    pub fn crossing(&self, cx: &mut Cx) -> Result<Vec<Delta>> {
        let is_timed = |e: &&Expr| reads(e, self.clock);
        let (timed, plain): (Vec<&Expr>, Vec<&Expr>) = self.predicates.iter().partition(is_timed);
        let timed = timed.into_iter().map(|e| Temporal::of(e, self.clock)).collect::<Result<Vec<_>>>()?;
        if timed.is_empty() {
            return Err(Error::Bug("what is joined with the clock is compared with it"));
        }
        let mut earlier: Vec<Expr> = plain.into_iter().cloned().collect();
        let mut terms = vec![];
        for temporal in &timed {
            let range = temporal.range(self.clock, &mut cx.ids);
            let found = earlier.iter().chain(&range).cloned().collect();
            terms.push(self.crossed(temporal.e, found, &timed, cx));
            earlier.push(E::Not(Box::new(Expr::all(range))));
        }
        Ok(terms)
    }

    /// The rows among those `found`, by a range of `e`, that hold now and did not before, or the reverse.
    fn crossed(&self, e: &Expr, mut found: Vec<Expr>, timed: &[Temporal], cx: &mut Cx) -> Delta {
        let (then, known) = copies(self.clock, &mut cx.ids);
        let now = Expr::all(timed.iter().map(|e| e.whole.clone()).collect());
        let before = replaced(&now, &known);
        found.push(E::binary("<>", now.clone().is(IsTest::True), before.is(IsTest::True)));
        let w = cx.ids.column("w");
        let weight = E::case(vec![(now, Expr::number(1))], Expr::number(-1)).cast("bigint");
        let shown = self.states.iter().flat_map(Plan::columns).chain(self.clock.iter().cloned());
        let columns = shown.map(|column| column.pass()).chain([(w.clone(), weight)]).collect();
        let mut inputs = linked(self.states.to_vec(), &found, |state| (state, reads(e, &state.columns())));
        inputs.push(clock::both(self.clock, &then));
        Delta { plan: Plan::join(inputs, found).project(columns), w, consolidated: false }
    }
}

impl<'a> Temporal<'a> {
    fn of(whole: &'a Expr, clock: &[Column]) -> Result<Temporal<'a>> {
        match whole {
            E::Binary(op, e, f) if op.schema.is_none() && !reads(e, clock) => {
                Ok(Temporal { whole, op: &op.symbol, e, f })
            }
            _ => Err(Error::Bug("a temporal filter compares what reads the clock with what does not")),
        }
    }

    /// Where `e` must lie for the comparison to differ: between the two bounds, and at the one at which it
    /// differs. NULL lies nowhere. The bounds are values to the planner, who expects few rows between two.
    fn range(&self, clock: &[Column], ids: &mut Ids) -> Vec<Expr> {
        let mut value = |of: &dyn Fn(Vec<Expr>) -> Expr| {
            let ((now, in_now), (before, in_before)) = (copies(clock, ids), copies(clock, ids));
            let bounds = vec![replaced(self.f, &in_before), replaced(self.f, &in_now)];
            E::Scalar(Box::new(clock::both(&now, &before).project(vec![(ids.column("bound"), of(bounds))])))
        };
        let low = value(&|bounds| E::call("least", bounds));
        let high = value(&|bounds| E::call("greatest", bounds));
        let (above, below) = match self.op {
            "=" => (">=", "<="),
            ">" | "<=" => (">", "<="),
            _ => (">=", "<"),
        };
        let mut range = vec![E::binary(above, self.e.clone(), low), E::binary(below, self.e.clone(), high)];
        if self.op == "=" {
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
