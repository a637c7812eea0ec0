//! UNION: `T` is a set, and delete-and-rederive maintains it.
//!
//! 1. **deleted**: rows that may have lost a derivation, and all rows of `T` that follow from them. Any other row
//!    retains a derivation from rows that are not deleted: by induction over the round in which it was
//!    found, it is in `T'`.
//! 2. **rederived**: the deleted rows that the base has or a step derives from rows that are not deleted.
//! 3. **inserted**: those, and the rows that insertions derive from rows that are not deleted; and all that follow from
//!    them and are not in the table. What `T'` has beyond `T ∖ deleted` has a first derivation, from the base or from rows
//!    of `T ∖ deleted`: if it was in `T`, it is rederived, else the derivation takes a row that was inserted.
//!
//! It is safe to delete too much, for it is rederived, but not to insert too much. Deletions are processed before
//! insertions: a row that loses one derivation and gains another may be the source of the new one.

use crate::error::Result;
use crate::expr::Expr as E;
use crate::identity;
use crate::plan::{Column, Expr, Plan, Scan};
use crate::view::NodeColumn;

use super::super::Cx;
use super::Change;
use super::parts::State;
use super::rows::{Rows, Stored};

/// The deleted and the inserted rows; those that are rederived are among both.
pub fn moved(change: &Change, cx: &mut Cx) -> Result<(Stored, Stored)> {
    let deleted = change.deleted(cx)?;
    let rederived = change.rederived(&deleted, cx)?;
    let inserted = change.inserted(&deleted, rederived, cx)?;
    Ok((deleted, inserted))
}

impl Change<'_> {
    /// Over-deletion.
    fn deleted(&self, cx: &mut Cx) -> Result<Stored> {
        let mut first = self.base("<", cx);
        first.extend(self.terms(&self.own(&self.table), [State::After, State::Deleted, State::Either], cx)?);
        let first = plain(first, cx)?;
        let first = self.stored(first, cx);
        let law = ("deleted", "fixpoint: rows that may have lost a derivation");
        self.closure(law, first, State::After, cx, |rows, cx| self.stored(rows, cx))
    }

    /// Those of the rows that the table has.
    fn stored(&self, rows: Rows, cx: &mut Cx) -> Rows {
        let table = self.table.fresh(cx);
        let same = self.same(&table, &rows, cx);
        let columns = rows.columns.iter().map(Column::pass).collect();
        Rows { plan: Plan::join(vec![rows.plan, table.plan], vec![same]).project(columns), ..rows }
    }

    /// Deleted rows that are derived from others. Rows without NULLs are found by plain equality, which
    /// indexes serve; the others have a step of their own.
    fn rederived(&self, deleted: &Stored, cx: &mut Cx) -> Result<Vec<Rows>> {
        let law = "fixpoint: deleted rows that are derived again";
        let equal = |_: &NodeColumn, l: Expr, r: Expr| E::equals(l, r);
        let derived = self.derived(deleted, deleted, &equal, cx)?;
        let rows = deleted.fresh(cx);
        let mut found = vec![Rows::plain(cx.step_if("rederived", law, derived.plan, &rows.plan))];
        let nullable = rows.columns.iter().zip(&self.known).filter(|(_, known)| !known.not_null);
        let null: Vec<Expr> = nullable.map(|(column, _)| column.expr().is_absent()).collect();
        if !null.is_empty() {
            let nulls = rows.plan.clone().filter(E::any_of(null));
            let nulls = cx.step_if("nulls", "fixpoint: deleted rows that have a NULL", nulls, &rows.plan);
            cx.seldom();
            let derived = self.derived(&Stored::of(nulls.clone())?, deleted, &identity::equal_values, cx)?;
            found.push(Rows::plain(cx.step_if("rederived", law, derived.plan, &nulls)));
        }
        Ok(found)
    }

    /// The rows of `wanted` that the base has or the step derives from rows that are not deleted.
    fn derived(&self, wanted: &Stored, deleted: &Stored, same: Same, cx: &mut Cx) -> Result<Rows> {
        let (base, ids) = &self.fixpoint.base;
        let base = self.output(base.clone(), ids, vec![], cx);
        let step = self.step(&|scan, cx| self.rest(scan, deleted, cx), &|_| State::After, cx)?;
        let mut arms = vec![];
        for made in [base, step] {
            let rows = wanted.fresh(cx);
            let pairs = rows.columns.iter().zip(&made.columns).zip(&self.known);
            let conditions = pairs.map(|((row, made), known)| same(known, row.expr(), made.expr())).collect();
            let columns = rows.columns.iter().map(Column::pass).collect();
            arms.push(Rows { plan: Plan::join(vec![rows.plan, made.plan], conditions).project(columns), ..rows });
        }
        Rows::union(arms, cx)
    }

    /// Insertion.
    fn inserted(&self, deleted: &Stored, rederived: Vec<Rows>, cx: &mut Cx) -> Result<Stored> {
        let rest = |scan: &Scan, cx: &mut Cx| self.rest(scan, deleted, cx);
        let mut new = self.base(">", cx);
        new.extend(self.terms(&rest, [State::After, State::Inserted, State::After], cx)?);
        let new = plain(new, cx)?;
        let mut first = rederived;
        first.push(self.missing(new, deleted, cx));
        let first = Rows::union(first, cx)?;
        let law = ("inserted", "fixpoint: rederived and new rows");
        self.closure(law, first, State::After, cx, |rows, cx| self.missing(rows, deleted, cx))
    }

    /// The rows that the table does not have, or that are deleted.
    fn missing(&self, rows: Rows, deleted: &Stored, cx: &mut Cx) -> Rows {
        let columns: Vec<Column> = rows.columns.clone();
        let (table, deleted) = (self.table.fresh(cx), deleted.fresh(cx));
        let (rows, stored) = self.marked(rows, table, cx);
        let (rows, deleted) = self.marked(rows, deleted, cx);
        let plan = rows.plan.filter(E::any_of(vec![E::Not(Box::new(stored)), deleted]));
        Rows { plan: plan.project(columns.iter().map(Column::pass).collect()), columns, w: None }
    }

    /// The table without the deleted rows, read as a scan of the recursion.
    fn rest(&self, scan: &Scan, deleted: &Stored, cx: &mut Cx) -> Rows {
        // All columns are read, to find deleted rows by them; the columns that the step reads retain their ids.
        let own = |known: &NodeColumn| {
            let (column, _) = scan
                .columns
                .iter()
                .find(|(_, own)| self.fixpoint.place(own).is_some_and(|at| self.known[at].name == known.name))?;
            Some(column.clone())
        };
        let columns = self.known.iter().map(|known| {
            let column = own(known).unwrap_or_else(|| cx.ids.column(known.name.as_str()));
            (column, known.name.clone())
        });
        let columns = columns.collect();
        let rows = self.table.read(columns, cx);
        let deleted = deleted.fresh(cx);
        let same = self.same(&deleted, &rows, cx);
        let plan = rows.plan.clone().filter(E::Not(Box::new(E::Exists(Box::new(deleted.plan.filter(same))))));
        Rows { plan, ..rows }
    }
}

/// The condition that two values of a column are equal.
type Same<'s> = &'s dyn Fn(&NodeColumn, Expr, Expr) -> Expr;

/// All rows, without weights.
fn plain(arms: Vec<Rows>, cx: &mut Cx) -> Result<Rows> {
    Rows::union(arms.into_iter().map(Rows::unweighted).collect(), cx)
}
