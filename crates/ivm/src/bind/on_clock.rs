//! The clock in values: `count(*) FILTER (WHERE made > now())`, `CASE WHEN expires > now() THEN … END`.
//!
//! **Law:** for a comparison c of a column with the clock, P × {c} = σ_c(P) × {true} ⊎ σ_¬c(P) × {false, or NULL where the column is}.
//! Both arms are temporal filters, so that the time that passes costs the rows that cross from one to the other.

use std::ops::ControlFlow;

use super::offset::{reads_clock, spelling};
use super::{Binder, temporal};
use crate::catalog::FunctionKind;
use crate::error::Result;
use crate::expr::{Expr as Generic, IsTest};
use crate::plan::{Column, Expr, Plan, UnionAll, reads, replaced};
use crate::refuse;

/// The most comparisons with the clock of one clause, each of which doubles the number of arms.
const MOST: usize = 3;

/// Comparisons with the clock, each with the column that has its value.
#[derive(Default)]
struct Found(Vec<(Expr, Column)>);

impl Binder<'_> {
    /// σ; what reads the clock is a temporal filter, or reads the values of comparisons with it.
    pub fn filtered(&mut self, plan: Plan, predicate: Expr) -> Result<Plan> {
        let columns = plan.columns();
        let is_filter = |e: &Expr| !reads_clock(e) || temporal::is_filter(e, &columns);
        let (filters, mut others): (Vec<Expr>, Vec<Expr>) = predicate.conjuncts().into_iter().partition(is_filter);
        let plan = if filters.is_empty() { plan } else { temporal::filter(plan, Expr::all(filters), self.ids)? };
        Ok(self.on_clock(plan, &mut others)?.filter_all(others))
    }

    /// A plan with the values of the comparisons with the clock in these expressions over it, which read them there.
    pub fn on_clock(&mut self, plan: Plan, exprs: &mut [Expr]) -> Result<Plan> {
        let plan = self.clock_values(plan, exprs)?;
        refuse_rest(exprs.iter())?;
        Ok(plan)
    }

    /// The same, where the expressions may read columns of other plans.
    pub fn clock_values(&mut self, plan: Plan, exprs: &mut [Expr]) -> Result<Plan> {
        let mut found = Found::default();
        for e in exprs.iter_mut().filter(|e| reads_clock(e)) {
            *e = self.lifted(&plan, take(e), &mut found)?;
        }
        self.with_values(plan, found)
    }

    /// The same of the keys of a group, and of its aggregates. What compares them is left.
    pub fn on_clock_below(&mut self, plan: Plan, keys: [&mut [Expr]; 2], computed: &mut [&mut Expr]) -> Result<Plan> {
        let mut found = Found::default();
        for e in keys.into_iter().flatten().filter(|e| reads_clock(e)) {
            *e = self.lifted(&plan, take(e), &mut found)?;
            refuse_rest(std::iter::once(&*e))?;
        }
        for e in computed.iter_mut().filter(|e| reads_clock(e)) {
            let within = take(e);
            **e = within.try_replace(&mut |e| self.lifted_in_aggregates(&plan, e, &mut found))?;
        }
        self.with_values(plan, found)
    }

    fn lifted_in_aggregates(&mut self, plan: &Plan, e: Expr, found: &mut Found) -> Result<Lifting> {
        if let Some(known) = found.column(&e) {
            return Ok(ControlFlow::Break(known));
        }
        let is_aggregate = match &e {
            Generic::Call(call) => call.over.is_none() && self.function(&call.name)? == FunctionKind::Aggregate,
            _ => false,
        };
        if !is_aggregate || !reads_clock(&e) {
            return Ok(ControlFlow::Continue(e));
        }
        let lifted = self.lifted(plan, e, found)?;
        refuse_rest(std::iter::once(&lifted))?;
        Ok(ControlFlow::Break(lifted))
    }

    /// An expression that reads the values of comparisons as columns.
    fn lifted(&mut self, plan: &Plan, e: Expr, found: &mut Found) -> Result<Expr> {
        let own = plan.ids();
        e.try_replace(&mut |e| {
            let is_own = || !reads(&e).is_empty() && reads(&e).is_subset(&own) && e.subqueries().is_empty();
            if !is_comparison(&e) || !is_own() || !self.is_of_row(&e)? {
                return Ok(ControlFlow::Continue(e));
            }
            if let Some(known) = found.column(&e) {
                return Ok(ControlFlow::Break(known));
            }
            if found.0.len() == MOST {
                return Err(refuse::clock_values(MOST));
            }
            let column = self.ids.column("on_clock");
            let value = column.expr();
            found.0.push((e, column));
            Ok(ControlFlow::Break(value))
        })
    }

    /// Whether an expression has one value for each row: without windows, aggregates and sets.
    fn is_of_row(&mut self, e: &Expr) -> Result<bool> {
        let windowed = e.any(&mut |e| matches!(e, Generic::Call(call) if call.over.is_some()));
        Ok(!windowed && !self.any_call([e], FunctionKind::Set)? && !self.any_call([e], FunctionKind::Aggregate)?)
    }

    fn with_values(&mut self, plan: Plan, found: Found) -> Result<Plan> {
        found.0.into_iter().try_fold(plan, |plan, (comparison, column)| self.with_value(plan, comparison, column))
    }

    fn with_value(&mut self, plan: Plan, comparison: Expr, column: Column) -> Result<Plan> {
        let columns = [plan.columns(), vec![column]].concat();
        let inputs = [true, false].into_iter().map(|holds| {
            let (arm, ids) = plan.copied(self.ids);
            let comparison = replaced(&comparison, &ids);
            let (condition, value) = match holds {
                true => (comparison, Expr::bool(true)),
                false => {
                    let column = temporal::sides(&comparison).ok_or_else(|| refuse::clock(&spelled(&comparison)))?.0;
                    let unknown = (column.is(IsTest::Null), Expr::null().cast("boolean"));
                    (comparison.is(IsTest::NotTrue), Expr::case(vec![unknown], Expr::bool(false)))
                }
            };
            let value = (self.ids.column("on_clock"), value);
            let shown = arm.pass().into_iter().chain([value]).collect();
            Ok(temporal::filter(arm, condition, self.ids)?.project(shown).arm())
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        Ok(Plan::UnionAll(UnionAll { columns, inputs }))
    }
}

type Lifting = crate::expr::Step<crate::plan::ColId, Plan, crate::plan::ColId, Plan>;

impl Found {
    fn column(&self, e: &Expr) -> Option<Expr> {
        self.0.iter().find(|(known, _)| known == e).map(|(_, column)| column.expr())
    }
}

/// Whether an expression is a comparison with the clock that is NULL only where the other side is.
fn is_comparison(e: &Expr) -> bool {
    temporal::sides(e).is_some_and(|(_, offset)| !offset.any(&mut |e| *e == Expr::null()))
}

fn take(e: &mut Expr) -> Expr {
    std::mem::replace(e, Expr::null())
}

fn spelled(e: &Expr) -> String {
    spelling(std::slice::from_ref(e))
}

/// Refuses what reads the clock in another way.
fn refuse_rest<'e>(mut exprs: impl Iterator<Item = &'e Expr>) -> Result<()> {
    exprs.find(|e| reads_clock(e)).map_or(Ok(()), |e| Err(refuse::clock(&spelled(e))))
}
