//! Rows of a recursion: its columns in order, with the names of the node's table, and, where copies count, a weight.

use crate::error::{Error, Result};
use crate::expr::{Expr as E, Op};
use crate::identity;
use crate::plan::{ColId, Column, Expr, Plan, Relation, Scan, UnionAll};
use crate::sql::ident::Ident;
use crate::view::{NodeColumn, weight_name};

use super::super::{Cx, Delta, consolidate};
use super::Change;

#[derive(Clone)]
pub struct Rows {
    /// Its columns are `columns`, then `w`, wherever it is an arm of a union.
    pub plan: Plan,
    pub columns: Vec<Column>,
    pub w: Option<Column>,
}

/// A relation with rows: the node's table, or the result of a step.
pub struct Stored {
    relation: Relation,
    columns: Vec<Ident>,
    w: Option<Ident>,
}

impl Stored {
    pub fn plain(relation: Relation, known: &[NodeColumn]) -> Stored {
        Stored { relation, columns: known.iter().map(|known| known.name.clone()).collect(), w: None }
    }

    pub fn weighted(relation: Relation, known: &[NodeColumn]) -> Stored {
        let plain = Stored::plain(relation, known);
        Stored { w: Some(weight_name(&plain.columns)), ..plain }
    }

    /// Makes a plan a step.
    pub fn step((name, law): (&str, &str), plan: Plan, cx: &mut Cx) -> Result<Stored> {
        Stored::of(cx.step(name, law, plan))
    }

    /// The relation of a scan. A last column with the name of a weight is one.
    pub fn of(step: Plan) -> Result<Stored> {
        let Plan::Scan(Scan { relation, columns }) = step else { return Err(Error::Bug("a step is read by a scan")) };
        let mut columns: Vec<Ident> = columns.into_iter().map(|(_, name)| name).collect();
        let last = columns.pop().ok_or(Error::Bug("a step without columns"))?;
        let w = if weight_name(&columns) == last {
            Some(last)
        } else {
            columns.push(last);
            None
        };
        Ok(Stored { relation, columns, w })
    }

    pub fn names(&self) -> impl Iterator<Item = &Ident> {
        self.columns.iter().chain(&self.w)
    }

    /// A scan of its rows, which reads these columns by these names.
    pub fn read(&self, columns: Vec<(Column, Ident)>, cx: &mut Cx) -> Rows {
        let w = self.w.as_ref().map(|name| (cx.ids.column(name.as_str()), name.clone()));
        let shown = columns.iter().map(|(column, _)| column.clone()).collect();
        let columns = columns.into_iter().chain(w.clone()).collect();
        let plan = Plan::Scan(Scan { relation: self.relation.clone(), columns });
        Rows { plan, columns: shown, w: w.map(|(column, _)| column) }
    }

    /// A scan of its rows with fresh columns.
    pub fn fresh(&self, cx: &mut Cx) -> Rows {
        let columns = self.columns.iter().map(|name| (cx.ids.column(name.as_str()), name.clone())).collect();
        self.read(columns, cx)
    }
}

impl Rows {
    /// A plan without weights.
    pub fn plain(plan: Plan) -> Rows {
        Rows { columns: plan.columns(), plan, w: None }
    }

    fn weight(&self) -> Expr {
        self.w.as_ref().map_or(E::number(1).cast("bigint"), Column::expr)
    }

    /// The rows whose weight has this sign.
    pub fn signed(self, sign: &str) -> Rows {
        let filter = Expr::binary(sign, self.weight(), E::number(0));
        Rows { plan: self.plan.filter(filter), ..self }
    }

    fn with_weight(self, weight: Expr, cx: &mut Cx) -> Rows {
        let w = cx.ids.column(weight_name(self.columns.iter().map(|column| &column.name)).as_str());
        let columns = self.columns.iter().map(Column::pass).chain([(w.clone(), weight)]).collect();
        Rows { plan: self.plan.project(columns), columns: self.columns, w: Some(w) }
    }

    pub fn negative(self, cx: &mut Cx) -> Rows {
        let weight = Expr::Unary(Op::plain("-"), Box::new(self.weight()));
        self.with_weight(weight, cx)
    }

    /// With a weight: one where there was none.
    pub fn positive(self, cx: &mut Cx) -> Rows {
        let weight = self.weight();
        if self.w.is_some() { self } else { self.with_weight(weight, cx) }
    }

    /// Without the weight.
    pub fn unweighted(self) -> Rows {
        let columns = self.columns.iter().map(Column::pass).collect();
        if self.w.is_none() { self } else { Rows::plain(self.plan.project(columns)) }
    }

    /// The `known` columns with their values in both.
    pub fn paired<'k>(&self, other: &Rows, known: &'k [NodeColumn]) -> Vec<identity::Pair<'k, ColId, Plan>> {
        let values = self.columns.iter().zip(&other.columns);
        known.iter().zip(values).map(|(known, (own, other))| (known, own.expr(), other.expr())).collect()
    }

    /// The union of rows that all have weights, or all have none.
    pub fn union(mut arms: Vec<Rows>, cx: &mut Cx) -> Result<Rows> {
        if arms.len() == 1 {
            return Ok(arms.remove(0));
        }
        let first = arms.first().ok_or(Error::Bug("a recursion without a change"))?;
        let fresh = |column: &Column, cx: &mut Cx| cx.ids.column(column.name.as_str());
        let columns: Vec<Column> = first.columns.iter().map(|column| fresh(column, cx)).collect();
        let w = first.w.as_ref().map(|w| fresh(w, cx));
        let inputs = arms.into_iter().map(|rows| rows.plan.arm()).collect();
        let all = columns.iter().chain(&w).cloned().collect();
        Ok(Rows { plan: Plan::UnionAll(UnionAll { columns: all, inputs }), columns, w })
    }
}

impl Change<'_> {
    /// The columns of a plan with these ids, in order; the product of the weights, if there are any, last.
    pub fn output(&self, plan: Plan, ids: &[ColId], weights: Vec<Column>, cx: &mut Cx) -> Rows {
        let shown = ids.iter().zip(&self.known).map(|(id, known)| (cx.ids.column(known.name.as_str()), E::Column(*id)));
        let mut columns: Vec<(Column, Expr)> = shown.collect();
        let own = columns.iter().map(|(column, _)| column.clone()).collect();
        let product = weights.iter().map(Column::expr).reduce(|l, r| Expr::binary("*", l, r));
        let name = weight_name(self.known.iter().map(|known| &known.name));
        let w = product.map(|product| (cx.ids.column(name.as_str()), product));
        columns.extend(w.clone());
        Rows { plan: plan.project(columns), columns: own, w: w.map(|(column, _)| column) }
    }

    /// One row for each image, with the sum of its weights, and none where that is zero.
    pub fn consolidated(&self, rows: Rows, cx: &mut Cx) -> Result<Rows> {
        let w = rows.w.ok_or(Error::Bug("rows without weights are consolidated"))?;
        let output: Vec<_> = rows.columns.into_iter().zip(self.known.clone()).collect();
        let plan = consolidate::plan(Delta::new(rows.plan, w), &output, &mut cx.ids);
        let mut columns = plan.columns();
        let w = columns.pop();
        Ok(Rows { plan, columns, w })
    }

    /// The condition that two rows are the same, for which the index of the table's identity serves.
    pub fn same(&self, left: &Rows, right: &Rows, cx: &Cx) -> Expr {
        identity::same_key(&cx.node().identity, left.paired(right, &self.known))
    }

    /// The rows, with a condition that holds for those that `other` has.
    pub fn marked(&self, rows: Rows, other: Rows, cx: &mut Cx) -> (Rows, Expr) {
        let mark = cx.ids.column("found");
        let same = self.same(&other, &rows, cx);
        let columns = other.columns.iter().map(Column::pass).chain([(mark.clone(), E::bool(true))]).collect();
        let plan = rows.plan.clone().left_join(other.plan.project(columns), same);
        (Rows { plan, ..rows }, mark.expr().is_present())
    }
}
