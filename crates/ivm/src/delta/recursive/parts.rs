//! The parts of a step, before, between and after their changes: `E`, `E₀ = E' − Δ⁺`, and `E'`.
//!
//! `E₀` is what a part has beside what came. Where the part has a key, those are the rows whose key is not
//! among what came; without one, some copies of a row may be old and some new: then the copies that were
//! there are counted.

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::identity;
use crate::plan::{Column, Plan};
use crate::view::{Identity, NodeColumn, Part};

use super::super::{Cx, Delta, consolidate};
use super::rows::{Rows, Stored};

/// A part of a step, and what changes of it.
pub struct PartChange {
    part: Part,
    moved: Option<Moved>,
}

struct Moved {
    delta: Stored,
    /// Of rows of which copies came, those that were there before, counted; for a part without a key.
    kept: Option<Stored>,
}

/// What a step reads in the place of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// E'
    After,
    /// E₀
    Between,
    /// E = E₀ ⊎ Δ⁻
    Before,
    /// E' ⊎ Δ⁻, which has all rows of E
    Either,
    /// Δ⁻
    Deleted,
    /// Δ⁺
    Inserted,
}

impl PartChange {
    /// A set never asks for `E₀`.
    pub fn of(part: Part, cx: &mut Cx, set: bool) -> Result<PartChange> {
        let Some(delta) = cx.delta(&part.plan)? else { return Ok(PartChange { part, moved: None }) };
        let output: Vec<_> = part.plan.columns().into_iter().zip(part.columns.iter().cloned()).collect();
        let plan = consolidate::plan(delta, &output, &mut cx.ids);
        let delta = Stored::step(("part", "linear: what a step joins its rows with, consolidated"), plan, cx)?;
        let kept = match part.identity {
            Identity::Bag if !set => Some(kept(&part, &delta, cx)?),
            _ => None,
        };
        Ok(PartChange { part, moved: Some(Moved { delta, kept }) })
    }

    pub fn moves(&self) -> bool {
        self.moved.is_some()
    }

    /// The part in a state, under its own column ids, and the weight of its rows where they have one.
    pub fn read(&self, state: State, cx: &mut Cx) -> Result<(Plan, Vec<Column>)> {
        let after = || Ok((self.part.plan.clone(), vec![]));
        let Some(moved) = &self.moved else { return after() };
        let rows = match state {
            State::After => return after(),
            State::Between => self.between(moved, cx)?,
            State::Before => {
                let arms = vec![self.between(moved, cx)?, self.signed(moved, "<", cx)];
                self.united(arms, cx)?
            }
            State::Either => {
                let arms = vec![self.after(), self.signed(moved, "<", cx)];
                self.united(arms, cx)?
            }
            State::Deleted => self.signed(moved, "<", cx),
            State::Inserted => self.signed(moved, ">", cx),
        };
        Ok((rows.plan, rows.w.into_iter().collect()))
    }

    fn after(&self) -> Rows {
        Rows { plan: self.part.plan.clone(), columns: self.part.plan.columns(), w: None }
    }

    /// What left, or what came, with positive weights.
    fn signed(&self, moved: &Moved, sign: &str, cx: &mut Cx) -> Rows {
        let names = self.part.columns.iter().map(|known| known.name.clone());
        let columns = self.part.plan.columns().into_iter().zip(names).collect();
        let rows = moved.delta.read(columns, cx).signed(sign);
        if sign == "<" { rows.negative(cx) } else { rows }
    }

    fn between(&self, moved: &Moved, cx: &mut Cx) -> Result<Rows> {
        let mut rows = self.after();
        let came = moved.delta.fresh(cx).signed(">");
        let same = same(&self.part, &rows, &came);
        rows.plan = rows.plan.filter(E::Not(Box::new(E::Exists(Box::new(came.plan.filter(same))))));
        let Some(kept) = &moved.kept else { return Ok(rows) };
        let kept = kept.fresh(cx);
        self.united(vec![rows, kept], cx)
    }

    /// Arms side by side, under the part's own column ids, with weights.
    fn united(&self, arms: Vec<Rows>, cx: &mut Cx) -> Result<Rows> {
        let arms: Vec<Rows> = arms.into_iter().map(|rows| rows.positive(cx)).collect();
        let columns = self.part.plan.columns();
        let inputs = arms.into_iter().map(|rows| (rows.plan.clone(), rows.ids())).collect();
        let Delta { plan, w, .. } = Delta::sum(columns.clone(), inputs, &mut cx.ids);
        Ok(Rows { plan, columns, w: Some(w) })
    }
}

/// Of every row of which copies came, the number of copies that were there.
fn kept(part: &Part, delta: &Stored, cx: &mut Cx) -> Result<Stored> {
    let own = Rows { plan: part.plan.clone(), columns: part.plan.columns(), w: None };
    let came = delta.fresh(cx).signed(">");
    let same = same(part, &own, &came);
    let there = Rows { plan: own.plan.filter(E::Exists(Box::new(came.plan.filter(same)))), ..own };
    let new = delta.fresh(cx).signed(">").negative(cx);
    let all = Rows::union(vec![there.positive(cx), new], cx)?;
    let w = all.w.ok_or(Error::Bug("copies have no count"))?;
    let output: Vec<(Column, NodeColumn)> = all.columns.into_iter().zip(part.columns.iter().cloned()).collect();
    let plan = consolidate::plan(Delta::new(all.plan, w), &output, &mut cx.ids);
    Stored::step(("kept", "linear: copies that were there before others came"), plan, cx)
}

/// The condition that two rows of a part are the same one.
fn same(part: &Part, left: &Rows, right: &Rows) -> crate::plan::Expr {
    let side = |rows: &Rows, column: &NodeColumn| rows.value(&part.columns, column);
    identity::same_row(&part.identity, &part.columns, &|c| side(left, c), &|c| side(right, c))
}
