//! μ, fixpoint.   T = B ⊎ S(T), the least one;   S(T) is linear in T and in each of its parts
//!
//! Deletions and insertions are not followed at once. Signed weights that go around a cycle of new rows
//! can cancel without ever having been derived: with `E = {a→b}` and `T = {a, b}`, take `a` out of `B` and
//! put `b→c`, `c→b` into `E`; `ΔT = {−a, +c}` satisfies `ΔT = ΔB + ΔS(T) + S'(ΔT)`, and yet the answer is
//! `{−a, −b}`. So what ends is followed first, by itself, and then what begins.
//!
//! What the parts are made of does not matter: the delta of each is consolidated, so that what leaves was
//! there and what comes is there now. Every rule is then `S` over other relations in the place of `T` and of
//! its parts; none has a negative weight on the way around, and each is the `WITH RECURSIVE` of one step.

mod along;
mod bag;
mod parts;
mod rows;
mod set;

use crate::error::Result;
use crate::plan::{Column, Fixpoint, Plan, Relation, Scan};
use crate::view::NodeColumn;

use super::{Cx, Delta};
use parts::PartChange;
use rows::{Rows, Stored};

pub fn delta(fixpoint: &Fixpoint, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(change) = Change::of(fixpoint, cx)? else { return Ok(None) };
    let (gone, come) = if fixpoint.all { bag::moved(&change, cx)? } else { set::moved(&change, cx)? };
    let (gone, come) = (gone.fresh(cx).negative(cx), come.fresh(cx).positive(cx));
    let rows = vec![(gone.plan.clone(), gone.ids()), (come.plan.clone(), come.ids())];
    Ok(Some(Delta::sum(fixpoint.columns.clone(), rows, &mut cx.ids)))
}

/// What a refresh changes of a fixpoint's inputs.
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
            let rows = change.fed(delta.plan, ids, vec![delta.w], cx);
            let plan = change.consolidated(rows, cx)?.plan;
            change.base = Some(Stored::step(("base", "linear: the first arm, consolidated"), plan, cx)?);
        }
        for part in cx.node().parts.clone() {
            change.parts.push(PartChange::of(part, cx, !fixpoint.all)?);
        }
        let changed = change.base.is_some() || change.parts.iter().any(PartChange::moves);
        Ok(changed.then_some(change))
    }

    /// The rows of the base that leave (`<`) or come (`>`).
    fn base(&self, sign: &str, cx: &mut Cx) -> Vec<Rows> {
        self.base.iter().map(|stored| stored.fresh(cx).signed(sign)).collect()
    }

    /// Makes `first`, and again and again what `next` makes of the rows found last, a step.
    fn closure(
        &self,
        (name, law): (&str, &str),
        first: Rows,
        cx: &mut Cx,
        next: impl FnOnce(&Stored, &mut Cx) -> Result<Rows>,
    ) -> Result<Stored> {
        let number = cx.ids.recursion();
        let weighted = first.w.is_some();
        let own = match weighted {
            true => Stored::weighted(Relation::Recursion(number), &self.known),
            false => Stored::plain(Relation::Recursion(number), &self.known),
        };
        let step = next(&own, cx)?;
        let columns: Vec<Column> = own.names().map(|name| cx.ids.column(name.as_str())).collect();
        let (base, step) = ((first.plan.clone(), first.ids()), (step.plan.clone(), step.ids()));
        let fixpoint = Fixpoint { number, columns, base, step, all: weighted };
        Stored::step((name, law), Plan::Fixpoint(Box::new(fixpoint)), cx)
    }

    /// A relation with the table's columns, read as a scan of the recursion.
    fn own(&self, scan: &Scan, stored: &Stored, cx: &mut Cx) -> Rows {
        let name = |own| self.fixpoint.place(own).map_or(own, |at| &self.known[at].name);
        let columns = scan.columns.iter().map(|(column, own)| (column.clone(), name(own).clone())).collect();
        stored.read(columns, cx)
    }
}
