//! UNION: `T` is a set, and delete-and-rederive follows it.
//!
//! 1. **gone**: what may have lost a derivation, and whatever in `T` follows from it. What is not gone has
//!    kept a derivation from rows that are not gone either: by induction over the round in which it was
//!    found, it is in `T'`.
//! 2. **again**: of what is gone, what the base has or a step makes of rows that are not gone.
//! 3. **come**: that, and what insertions derive from rows that are not gone; and whatever follows from it
//!    and is not there. What `T'` has beyond `T ∖ gone` has a first derivation, from the base or from rows
//!    of `T ∖ gone`: if it was in `T`, it is gone and found again, else it takes a row that was inserted.
//!
//! Too much may be gone, for it is found again; too much may never come. Losses are followed before gains: a
//! row that loses one derivation and gains another may owe the new one to itself.

use crate::error::Result;
use crate::expr::Expr as E;
use crate::identity;
use crate::plan::{Column, Expr, Plan, Scan};
use crate::view::NodeColumn;

use super::super::Cx;
use super::Change;
use super::parts::State;
use super::rows::{Rows, Stored};

/// What may leave, and what comes or comes back.
pub fn moved(change: &Change, cx: &mut Cx) -> Result<(Stored, Stored)> {
    let gone = change.gone(cx)?;
    let again = change.again(&gone, cx)?;
    let come = change.come(&gone, again, cx)?;
    Ok((gone, come))
}

impl Change<'_> {
    /// Over-deletion.
    fn gone(&self, cx: &mut Cx) -> Result<Stored> {
        let table = |scan: &Scan, cx: &mut Cx| self.own(scan, &self.table, cx);
        let mut first = self.base("<", cx);
        first.extend(self.terms(&table, [State::After, State::Deleted, State::Either], cx)?);
        let first = plain(first, cx)?;
        let first = self.stored(first, cx);
        self.closure(("gone", "fixpoint: what may lose its derivations"), first, cx, |round, cx| {
            let next = self.step(&|scan, cx| self.own(scan, round, cx), &|_| State::After, cx)?;
            Ok(self.stored(next, cx))
        })
    }

    /// The rows that the table has.
    fn stored(&self, rows: Rows, cx: &mut Cx) -> Rows {
        let table = self.table.fresh(cx);
        let same = self.same(&table, &rows, cx);
        let columns = rows.columns.iter().map(Column::pass).collect();
        Rows { plan: Plan::join(vec![rows.plan, table.plan], vec![same]).project(columns), ..rows }
    }

    /// What is gone and derived from what is not. Rows without NULLs are found by plain equality, which
    /// indexes serve; the others follow in a step of their own.
    fn again(&self, gone: &Stored, cx: &mut Cx) -> Result<Vec<Rows>> {
        let law = "fixpoint: what is derived again";
        let equal = |_: &NodeColumn, l: Expr, r: Expr| E::equals(l, r);
        let again = self.derived(gone, gone, &equal, cx)?;
        let rows = gone.fresh(cx);
        let mut found = vec![Rows::plain(cx.step_if("again", law, again.plan, &rows.plan))];
        let nullable = rows.columns.iter().zip(&self.known).filter(|(_, known)| !known.not_null);
        let null: Vec<Expr> = nullable.map(|(column, _)| column.expr().is_absent()).collect();
        if !null.is_empty() {
            let nulls = rows.plan.clone().filter(E::any_of(null));
            let nulls = cx.step_if("nulls", "fixpoint: what is gone and has a NULL", nulls, &rows.plan);
            cx.seldom();
            let again = self.derived(&Stored::of(nulls.clone())?, gone, &identity::equal_values, cx)?;
            found.push(Rows::plain(cx.step_if("again", law, again.plan, &nulls)));
        }
        Ok(found)
    }

    /// The rows of `wanted` that the base has, or a step makes of rows that are not gone.
    fn derived(&self, wanted: &Stored, gone: &Stored, same: Same, cx: &mut Cx) -> Result<Rows> {
        let (base, ids) = &self.fixpoint.base;
        let base = self.fed(base.clone(), ids, vec![], cx);
        let step = self.step(&|scan, cx| self.rest(scan, gone, cx), &|_| State::After, cx)?;
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
    fn come(&self, gone: &Stored, again: Vec<Rows>, cx: &mut Cx) -> Result<Stored> {
        let rest = |scan: &Scan, cx: &mut Cx| self.rest(scan, gone, cx);
        let mut new = self.base(">", cx);
        new.extend(self.terms(&rest, [State::After, State::Inserted, State::After], cx)?);
        let new = plain(new, cx)?;
        let mut first = again;
        first.push(self.missing(new, gone, cx));
        let first = Rows::union(first, cx)?;
        self.closure(("come", "fixpoint: what is found"), first, cx, |round, cx| {
            let next = self.step(&|scan, cx| self.own(scan, round, cx), &|_| State::After, cx)?;
            Ok(self.missing(next, gone, cx))
        })
    }

    /// The rows that the table does not have, or that are gone.
    fn missing(&self, rows: Rows, gone: &Stored, cx: &mut Cx) -> Rows {
        let columns: Vec<Column> = rows.columns.clone();
        let (table, gone) = (self.table.fresh(cx), gone.fresh(cx));
        let (rows, there) = self.marked(rows, table, cx);
        let (rows, gone) = self.marked(rows, gone, cx);
        let plan = rows.plan.filter(E::any_of(vec![E::Not(Box::new(there)), gone]));
        Rows { plan: plan.project(columns.iter().map(Column::pass).collect()), columns, w: None }
    }

    /// The table without what is gone, read as a scan of the recursion.
    fn rest(&self, scan: &Scan, gone: &Stored, cx: &mut Cx) -> Rows {
        // The whole row is read, for what is gone is known by it; the columns that the step reads keep their ids.
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
        let gone = gone.fresh(cx);
        let same = self.same(&gone, &rows, cx);
        let plan = rows.plan.clone().filter(E::Not(Box::new(E::Exists(Box::new(gone.plan.filter(same))))));
        Rows { plan, ..rows }
    }
}

/// When two values of a column count as one.
type Same<'s> = &'s dyn Fn(&NodeColumn, Expr, Expr) -> Expr;

/// All rows, without weights.
fn plain(arms: Vec<Rows>, cx: &mut Cx) -> Result<Rows> {
    Rows::union(arms.into_iter().map(Rows::unweighted).collect(), cx)
}
