//! μ, fixpoint.   T = B ⊎ S(T), the least one;   S(T) is linear in T and in each of its parts
//!
//! Deletions and insertions are not processed at once. Signed weights that go around a cycle of new rows
//! can cancel without ever having been derived: with `E = {a→b}` and `T = {a, b}`, delete `a` from `B` and
//! insert `b→c`, `c→b` into `E`; `ΔT = {−a, +c}` satisfies `ΔT = ΔB + ΔS(T) + S'(ΔT)`, and yet the answer is
//! `{−a, −b}`. So deletions are processed first, by themselves, and then insertions.
//!
//! The operators of the parts do not matter: the delta of each part is consolidated, so that its negative rows existed
//! before and its positive ones exist after the change. Every rule is then `S` over other relations in the place of `T`
//! and of its parts; none has a negative weight inside the recursion, and each is the `WITH RECURSIVE` of one step.

mod along;
mod bag;
mod parts;
mod rows;
mod set;

use crate::error::Result;
use crate::plan::{Column, Fixpoint, Plan, Relation, Scan};
use crate::view::NodeColumn;

use super::{Cx, Delta};
use parts::{PartChange, State};
use rows::{Rows, Stored};

pub fn delta(fixpoint: &Fixpoint, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(change) = Change::of(fixpoint, cx)? else { return Ok(None) };
    let (deleted, inserted) = if fixpoint.all { bag::moved(&change, cx)? } else { set::moved(&change, cx)? };
    let rows = vec![deleted.fresh(cx).negative(cx).plan, inserted.fresh(cx).positive(cx).plan];
    Ok(Some(Delta::sum(fixpoint.columns.clone(), rows, &mut cx.ids)))
}

/// The changes of a fixpoint's inputs.
struct Change<'a> {
    fixpoint: &'a Fixpoint,
    /// The columns of the node's table, in the order of the fixpoint's.
    known: Vec<NodeColumn>,
    /// The node's table.
    table: Stored,
    /// ΔB, consolidated.
    base: Option<Stored>,
    parts: Vec<PartChange>,
}

impl<'a> Change<'a> {
    /// `None` when nothing changed.
    fn of(fixpoint: &'a Fixpoint, cx: &mut Cx) -> Result<Option<Change<'a>>> {
        let known = fixpoint.columns.iter().map(|column| cx.known(column.id).cloned()).collect::<Result<Vec<_>>>()?;
        let table = Stored::plain(Relation::Node(cx.index), &known);
        let mut change = Change { fixpoint, known, table, base: None, parts: vec![] };
        let (base, ids) = &fixpoint.base;
        if let Some(delta) = cx.delta(base)? {
            let rows = change.output(delta.plan, ids, vec![delta.w], cx);
            let plan = change.consolidated(rows, cx)?.plan;
            change.base = Some(Stored::step(("base", "linear: the first arm, consolidated"), plan, cx)?);
        }
        for part in cx.node().parts.clone() {
            change.parts.push(PartChange::of(part, cx, !fixpoint.all)?);
        }
        let changed = change.base.is_some() || change.parts.iter().any(PartChange::is_changed);
        Ok(changed.then_some(change))
    }

    /// The deleted (`<`) or inserted (`>`) rows of the base.
    fn base(&self, sign: &str, cx: &mut Cx) -> Vec<Rows> {
        self.base.iter().map(|stored| stored.fresh(cx).signed(sign)).collect()
    }

    /// A step of `first` and, round by round, what is `kept` of the rows that the step derives from those of the last round,
    /// each part in this state.
    fn closure(
        &self,
        (name, law): (&str, &str),
        first: Rows,
        state: State,
        cx: &mut Cx,
        kept: impl FnOnce(Rows, &mut Cx) -> Rows,
    ) -> Result<Stored> {
        let number = cx.ids.recursion();
        let weighted = first.w.is_some();
        let own = match weighted {
            true => Stored::weighted(Relation::Recursion(number), &self.known),
            false => Stored::plain(Relation::Recursion(number), &self.known),
        };
        let derived = self.step(&self.own(&own), &|_| state, cx)?;
        let step = kept(derived, cx).plan.arm();
        let columns: Vec<Column> = own.names().map(|name| cx.ids.column(name.as_str())).collect();
        let fixpoint = Fixpoint { number, columns, base: first.plan.arm(), step, all: weighted };
        Stored::step((name, law), Plan::Fixpoint(Box::new(fixpoint)), cx)
    }

    /// Reads a relation with the table's columns as a scan of the recursion.
    fn own(&self, stored: &Stored) -> impl Fn(&Scan, &mut Cx) -> Rows {
        |scan, cx| {
            let name = |own| self.fixpoint.place(own).map_or(own, |at| &self.known[at].name);
            let columns = scan.columns.iter().map(|(column, own)| (column.clone(), name(own).clone())).collect();
            stored.read(columns, cx)
        }
    }
}
