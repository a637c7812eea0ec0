//! The parts of a step, before, between and after their changes: `E`, `E₀ = E' − Δ⁺`, and `E'`.
//!
//! `E₀` has the rows of a part that were not inserted. Where the part has a key, those are the rows whose key is not
//! among the inserted ones; without one, some copies of a row may be old and some new: then the old copies are counted.

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::identity;
use crate::plan::{Column, Plan};
use crate::view::{Identity, NodeColumn, Part};

use super::super::{Cx, Delta, consolidate};
use super::rows::{Rows, Stored};

/// A part of a step, and its change.
pub struct PartChange {
    part: Part,
    moved: Option<Moved>,
}

struct Moved {
    delta: Stored,
    /// The old copies of rows of which copies were inserted, counted; for a part without a key.
    retained: Option<Stored>,
}

/// The state of a part that a step reads.
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
    /// A `set` never reads `E₀`.
    pub fn of(part: Part, cx: &mut Cx, set: bool) -> Result<PartChange> {
        let Some(delta) = cx.delta(&part.plan)? else { return Ok(PartChange { part, moved: None }) };
        let output: Vec<_> = part.plan.columns().into_iter().zip(part.columns.iter().cloned()).collect();
        let plan = consolidate::plan(delta, &output, &mut cx.ids);
        let delta = Stored::step(("part", "linear: a relation that the step joins, consolidated"), plan, cx)?;
        let retained = match part.identity {
            Identity::Bag if !set => Some(retained(&part, &delta, cx)?),
            _ => None,
        };
        Ok(PartChange { part, moved: Some(Moved { delta, retained }) })
    }

    pub fn is_changed(&self) -> bool {
        self.moved.is_some()
    }

    /// The part in a state, with its own column ids, and the weight of its rows if they have one.
    pub fn read(&self, state: State, cx: &mut Cx) -> Result<(Plan, Vec<Column>)> {
        let after = || Ok((self.part.plan.clone(), vec![]));
        let Some(moved) = &self.moved else { return after() };
        let rows = match state {
            State::After => return after(),
            State::Between => self.between(moved, cx)?,
            State::Before => self.united(vec![self.between(moved, cx)?, self.signed(moved, "<", cx)], cx),
            State::Either => self.united(vec![self.after(), self.signed(moved, "<", cx)], cx),
            State::Deleted => self.signed(moved, "<", cx),
            State::Inserted => self.signed(moved, ">", cx),
        };
        Ok((rows.plan, rows.w.into_iter().collect()))
    }

    fn after(&self) -> Rows {
        Rows::plain(self.part.plan.clone())
    }

    /// The deleted or the inserted rows, with positive weights.
    fn signed(&self, moved: &Moved, sign: &str, cx: &mut Cx) -> Rows {
        let names = self.part.columns.iter().map(|known| known.name.clone());
        let columns = self.part.plan.columns().into_iter().zip(names).collect();
        let rows = moved.delta.read(columns, cx).signed(sign);
        if sign == "<" { rows.negative(cx) } else { rows }
    }

    fn between(&self, moved: &Moved, cx: &mut Cx) -> Result<Rows> {
        let mut rows = self.after();
        let inserted = moved.delta.fresh(cx).signed(">");
        let same = same(&self.part, &rows, &inserted);
        rows.plan = rows.plan.filter(E::Not(Box::new(E::Exists(Box::new(inserted.plan.filter(same))))));
        let Some(retained) = &moved.retained else { return Ok(rows) };
        let retained = retained.fresh(cx);
        Ok(self.united(vec![rows, retained], cx))
    }

    /// The union of the arms, with the part's own column ids and with weights.
    fn united(&self, arms: Vec<Rows>, cx: &mut Cx) -> Rows {
        let inputs = arms.into_iter().map(|rows| rows.positive(cx).plan).collect();
        let columns = self.part.plan.columns();
        let Delta { plan, w, .. } = Delta::sum(columns.clone(), inputs, &mut cx.ids);
        Rows { plan, columns, w: Some(w) }
    }
}

/// The number of old copies of every row of which copies were inserted.
fn retained(part: &Part, delta: &Stored, cx: &mut Cx) -> Result<Stored> {
    let own = Rows::plain(part.plan.clone());
    let inserted = delta.fresh(cx).signed(">");
    let same = same(part, &own, &inserted);
    let found = Rows { plan: own.plan.filter(E::Exists(Box::new(inserted.plan.filter(same)))), ..own };
    let new = delta.fresh(cx).signed(">").negative(cx);
    let all = Rows::union(vec![found.positive(cx), new], cx)?;
    let w = all.w.ok_or(Error::Bug("copies have no count"))?;
    let output: Vec<(Column, NodeColumn)> = all.columns.into_iter().zip(part.columns.iter().cloned()).collect();
    let plan = consolidate::plan(Delta::new(all.plan, w), &output, &mut cx.ids);
    Stored::step(("retained", "linear: old copies of rows of which others were inserted"), plan, cx)
}

/// The condition that two rows of a part are the same one.
fn same(part: &Part, left: &Rows, right: &Rows) -> crate::plan::Expr {
    identity::same_row(&part.identity, left.paired(right, &part.columns))
}
