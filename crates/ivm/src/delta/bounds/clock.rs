//! The clock.   `P ⋈ Δclock + ΔP ⋈ (clock − Δclock)`, where `clock − Δclock` is the time before
//!
//! Bounds may move either way: a clock is set back, a day has 23 hours. So the predicates, evaluated at both times,
//! decide whether a row is inserted or deleted.

use std::collections::{BTreeMap, BTreeSet};

use crate::bounds::Comparison;
use crate::clock::{self, BEFORE, NOW};
use crate::error::{Error, Result};
use crate::expr::{Expr as E, IsTest};
use crate::plan::{ColId, Column, Expr, Ids, Plan, Scan, reads, replaced};

use super::super::product::linked;
use super::super::sum::weighted;
use super::super::{Cx, Delta};
use super::each_once;

/// `Δclock = {now} − {before}`
pub fn delta(scan: &Scan, cx: &mut Cx) -> Delta {
    let columns: Vec<Column> = scan.columns.iter().map(|(column, _)| column.clone()).collect();
    let times = [(NOW, 1), (BEFORE, -1)];
    let rows = times.map(|(time, weight)| weighted(clock::reading(&columns, time), &columns, weight, &mut cx.ids));
    Delta::sum(columns, rows.into(), &mut cx.ids)
}

/// The columns by which a join reads the clock.
pub struct Clock(pub Vec<Column>);

impl Clock {
    /// A scan of the time before.
    pub fn before(&self) -> Plan {
        clock::reading(&self.0, BEFORE)
    }

    /// `P ⋈ Δclock`, one term for each comparison. The time in a row is the current one, inserted or deleted: nothing
    /// shows it.
    pub fn crossed(&self, states: &[Plan], predicates: &[Expr], cx: &mut Cx) -> Result<Vec<Delta>> {
        let own: BTreeSet<ColId> = self.0.iter().map(|column| column.id).collect();
        let (others, timed): (Vec<&Expr>, Vec<&Expr>) = predicates.iter().partition(|e| reads(e).is_disjoint(&own));
        let comparisons = timed.iter().map(|e| Comparison::all(e, &own)).collect::<Option<Vec<_>>>();
        let comparisons = comparisons.ok_or(Error::Bug("the clock is read by comparisons"))?.concat();
        let now = Expr::all(timed.into_iter().cloned().collect());
        let ranges = comparisons.iter().map(|comparison| self.range(comparison, &mut cx.ids)).collect();
        let found = each_once(others.into_iter().cloned().collect(), ranges);
        let terms = found.zip(&comparisons).map(|(found, comparison)| self.term(states, comparison.e, found, &now, cx));
        Ok(terms.collect())
    }

    /// The rows of a range of `e` that hold now and did not before, or the reverse.
    fn term(&self, states: &[Plan], e: &Expr, mut found: Vec<Expr>, now: &Expr, cx: &mut Cx) -> Delta {
        let (then, known) = self.copied(&mut cx.ids);
        let before = replaced(now, &known);
        found.push(E::binary("<>", now.clone().is(IsTest::True), before.is(IsTest::True)));
        let weight = E::case(vec![(now.clone(), Expr::number(1))], Expr::number(-1)).cast("bigint");
        let columns: Vec<Column> = states.iter().flat_map(Plan::columns).chain(self.0.iter().cloned()).collect();
        let read = reads(e);
        let mut inputs = linked(states.to_vec(), &found, |state| (state, !state.ids().is_disjoint(&read)));
        inputs.push(clock::both(&self.0, &then));
        Delta::weighted(Plan::join(inputs, found), &columns, weight, &mut cx.ids)
    }

    /// Where `e` must lie for the comparison to differ: between the two bounds, which are scalar subqueries because the
    /// planner expects few rows between two values. A NULL is in no range.
    fn range(&self, comparison: &Comparison, ids: &mut Ids) -> Vec<Expr> {
        let mut value = |of: &dyn Fn(Vec<Expr>) -> Expr| {
            let ((now, in_now), (before, in_before)) = (self.copied(ids), self.copied(ids));
            let bounds = vec![replaced(comparison.f, &in_before), replaced(comparison.f, &in_now)];
            E::Scalar(Box::new(clock::both(&now, &before).project(vec![(ids.column("bound"), of(bounds))])))
        };
        let low = value(&|bounds| E::call("least", bounds));
        let high = value(&|bounds| E::call("greatest", bounds));
        let mut range = comparison.range(low, high);
        if comparison.is_equality() {
            // Both ends belong to the range, which is empty only where the bound did not move.
            range.push(value(&|bounds| E::binary("<>", bounds[0].clone(), bounds[1].clone())));
        }
        range
    }

    /// As many fresh columns, and which replaces which.
    fn copied(&self, ids: &mut Ids) -> (Vec<Column>, BTreeMap<ColId, ColId>) {
        let fresh: Vec<Column> = self.0.iter().map(|column| ids.column(column.name.as_str())).collect();
        let known = self.0.iter().zip(&fresh).map(|(column, fresh)| (column.id, fresh.id)).collect();
        (fresh, known)
    }
}
