//! Subqueries as values: a column of an outer join for each.

use std::ops::ControlFlow;

use super::{Lifted, Unnester, has_subquery, reads_tables};
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, IsTest, Op, Step};
use crate::plan::{AggregateCall, ColId, Column, Expr, Plan, Values, reads, replaced};
use crate::refuse::unliftable;
use crate::{keys, refuse};

/// Columns and what computes them.
type Columns = Vec<(Column, Expr)>;

impl Unnester<'_> {
    /// The expression with its subqueries replaced by columns that are joined to `plan`.
    pub fn value(&mut self, plan: &mut Plan, e: Expr) -> Result<Expr> {
        if !has_subquery(&e) {
            return Ok(e);
        }
        let is_conditional = e.any(&mut |e| is_conditional(e) && has_subquery(e));
        if is_conditional {
            self.check_conditions(plan, &e)?;
        }
        let before = self.is_conditional;
        self.is_conditional |= is_conditional;
        let value = e.try_replace(&mut |e| self.joined(plan, e));
        self.is_conditional = before;
        value
    }

    /// Checks that the outer expressions which a subquery compares cannot fail: once it is a join they are computed for
    /// every row, also where CASE and similar expressions would not evaluate it.
    fn check_conditions(&mut self, plan: &Plan, e: &Expr) -> Result<()> {
        let outer = plan.ids();
        let (mut casts, mut may_fail) = (vec![], false);
        let mut check = |query: &Plan| {
            for e in query.expressions() {
                let mut fails = false;
                e.visit(&mut |e| match e {
                    Generic::Cast(inner, ty) if !reads(inner).is_disjoint(&outer) => match **inner {
                        Generic::Column(id) => casts.push((id, ty.0.clone())),
                        _ => fails = true,
                    },
                    Generic::Binary(op, l, r) if !op.is_comparison() => {
                        fails |= [l, r].iter().any(|side| !reads(side).is_disjoint(&outer));
                    }
                    Generic::Call(_) | Generic::Special(..) | Generic::Subscript(..) | Generic::Unary(..) => {
                        fails |= !reads(e).is_disjoint(&outer);
                    }
                    _ => {}
                });
                may_fail |= fails && !matches!(query, Plan::Project(_));
            }
        };
        e.subqueries().into_iter().for_each(|query| query.visit(&mut check));
        if may_fail {
            return Err(refuse::conditional());
        }
        if !casts.is_empty() {
            self.load_types(plan)?;
        }
        for (id, ty) in casts {
            let rank = |ty: &str| WIDER.iter().position(|known| *known == ty);
            let safe = match (rank(&self.types.get(id)?.base), rank(&ty)) {
                (Some(from), Some(to)) => from <= to,
                (_, None) => ty == "text",
                (None, _) => false,
            };
            if !safe {
                return Err(refuse::conditional());
            }
        }
        Ok(())
    }

    /// `(SELECT …)`: the one row of an aggregate, or of a key; else of a group, which must have one row.
    fn scalar(&mut self, plan: &mut Plan, query: Plan) -> Result<Expr> {
        let column = query.columns().into_iter().next().ok_or(Error::Bug("a value without a column"))?;
        let mut query = self.lifted(query, plan)?;
        if query.single && query.on.is_empty() {
            let value = query.output(column.id);
            *plan = Plan::join(vec![plan.take(), query.plan], vec![]);
            return Ok(value);
        }
        if !query.single && !self.is_single(&query)? {
            return self.guarded(plan, query, &column);
        }
        if !query.single {
            query = query.marked(self.ids);
        }
        let value = query.output(column.id);
        *plan = plan.take().left_join(query.plan, Expr::all(query.on));
        Ok(value)
    }

    /// The value of a subquery that may have several rows: the one element of the array of all its values. Where it is read and has
    /// more, the server raises its own error about a subquery of more than one row.
    fn guarded(&mut self, plan: &mut Plan, mut query: Lifted, column: &Column) -> Result<Expr> {
        if !query.outputs.is_empty() || query.equalities().is_none() {
            query = self.over_domain(query, std::slice::from_ref(column), plan)?;
        }
        self.load_types(&query.plan)?;
        if self.types.get(column.id)?.base.ends_with(']') {
            return Err(refuse::several_rows());
        }
        let values = AggregateCall::new(self.ids.column("values"), "array_agg", vec![column.id]);
        let array = values.column.expr();
        let (mut keys, mut on) = self.keys_of(&query)?;
        let columns = keys.iter().map(|(key, _)| key.clone()).collect();
        if !keys.iter().any(|(key, _)| key.id == column.id) {
            keys.push(column.pass());
        }
        let right = query.plan.project(keys).aggregate(columns, vec![values]);
        *plan = match on.is_empty() {
            true => Plan::join(vec![plan.take(), right], vec![]),
            false => plan.take().left_join(right, Expr::all(std::mem::take(&mut on))),
        };
        let element = (self.ids.column("value"), Expr::call("unnest", vec![array]));
        let row = Plan::Values(Values { columns: vec![], rows: vec![vec![]] });
        Ok(Generic::Scalar(Box::new(row.expand(vec![element]))))
    }

    /// The columns by which a subquery is joined, computed under new ids, and the conditions of that join. Its other conditions
    /// are on rows of the outer query alone.
    fn keys_of(&mut self, query: &Lifted) -> Result<(Columns, Vec<Expr>)> {
        let (pairs, mut on) = query.equalities().ok_or_else(unliftable)?;
        let mut keys = vec![];
        for (outer, inner) in pairs {
            let key = self.ids.column("key");
            on.push(Expr::equals(outer, key.expr()));
            keys.push((key, inner));
        }
        Ok((keys, on))
    }

    /// Whether a subquery has a row for which `more` holds too.
    fn mark(&mut self, plan: &mut Plan, query: Plan, more: Vec<Expr>) -> Result<Expr> {
        let mut query = self.lifted(query, plan)?;
        if query.may_miss() {
            return if more.is_empty() { Ok(Expr::bool(true)) } else { Err(unliftable()) };
        }
        query.on.extend(more.into_iter().map(|e| query.after(e)).collect::<Vec<_>>());
        let own = query.plan.ids();
        let (inner, on): (Vec<Expr>, Vec<Expr>) =
            std::mem::take(&mut query.on).into_iter().partition(|e| reads(e).is_subset(&own));
        query.plan = query.plan.filter_all(inner);
        query.on = on;
        if query.equalities().is_none() {
            query = self.domain_with_rows(query, plan)?;
        }
        let count = AggregateCall::new(self.ids.column("n"), "count", vec![]);
        let n = count.column.expr();
        let (keys, mut on) = self.keys_of(&query)?;
        if keys.is_empty() {
            *plan = Plan::join(vec![plan.take(), query.plan.aggregate(vec![], vec![count])], vec![]);
            on.push(Expr::binary(">", n, Expr::number(0)));
            return Ok(Expr::all(on).is(IsTest::True));
        }
        let columns = keys.iter().map(|(key, _)| key.clone()).collect();
        let right = query.plan.project(keys).aggregate(columns, vec![count]);
        *plan = plan.take().left_join(right, Expr::all(on));
        Ok(n.is_present())
    }

    /// `x op ANY (q)` with its three values.
    fn any(&mut self, plan: &mut Plan, op: &Op, left: Expr, query: Plan) -> Result<Expr> {
        let columns = query.columns();
        let pairs = self.pairs(plan, op, left, &query)?;
        let outer = keys::facts(plan, self.types.catalog)?.not_null;
        let inner = keys::facts(&query, self.types.catalog)?.not_null;
        let copied =
            |e: &Expr, ids: &[ColId]| replaced(e, &columns.iter().map(|it| it.id).zip(ids.iter().copied()).collect());
        let compared = |ids: &[ColId]| -> Vec<Expr> {
            pairs.iter().map(|(l, r)| Expr::binary(&op.symbol, l.clone(), copied(r, ids))).collect()
        };
        let held = self.copy_marked(plan, &query, compared)?;
        let is_never_null = |(l, r): &(Expr, Expr)| keys::is_not_null(l, &outer) && keys::is_not_null(r, &inner);
        if pairs.iter().all(is_never_null) {
            return Ok(held);
        }
        let mut unknown = vec![];
        if let [(left, right)] = pairs.as_slice() {
            if !keys::is_not_null(right, &inner) {
                unknown.push(self.copy_marked(plan, &query, |ids| vec![copied(right, ids).is_absent()])?);
            }
            if !keys::is_not_null(left, &outer) {
                let some = self.copy_marked(plan, &query, |_| vec![])?;
                unknown.push(Expr::all(vec![left.clone().is_absent(), some]));
            }
        } else {
            let possible = |ids: &[ColId]| compared(ids).into_iter().map(|e| e.is(IsTest::NotFalse)).collect();
            unknown.push(self.copy_marked(plan, &query, possible)?);
        }
        let arms = vec![(held, Expr::bool(true)), (Expr::any_of(unknown), Expr::null().cast("boolean"))];
        Ok(Expr::case(arms, Expr::bool(false)))
    }

    /// The value of a subquery after a join with it.
    fn joined(&mut self, plan: &mut Plan, e: Expr) -> Result<Step<ColId, Plan, ColId, Plan>> {
        if !e.subquery().is_some_and(reads_tables) {
            return Ok(ControlFlow::Continue(e));
        }
        let value = match e {
            Generic::Scalar(query) => self.scalar(plan, *query)?,
            Generic::Exists(query) => self.mark(plan, *query, vec![])?,
            Generic::InQuery(left, query) => {
                let left = self.value(plan, *left)?;
                self.any(plan, &Op::plain("="), left, *query)?
            }
            Generic::QuantifiedQuery(q) => {
                let op = if q.all { q.op.negated() } else { Some(q.op.clone()).filter(Op::is_comparison) };
                let op =
                    op.filter(|op| op.is("=") || q.right.columns().len() == 1).ok_or_else(refuse::unliftable_value)?;
                let left = self.value(plan, q.left)?;
                let found = self.any(plan, &op, left, q.right)?;
                if q.all { Generic::Not(Box::new(found)) } else { found }
            }
            _ => return Err(refuse::unliftable_value()),
        };
        Ok(ControlFlow::Break(value))
    }

    /// As `mark`, of a copy of the subquery; `more` gets the ids of its columns.
    fn copy_marked(&mut self, plan: &mut Plan, query: &Plan, more: impl Fn(&[ColId]) -> Vec<Expr>) -> Result<Expr> {
        let (copy, _) = query.copied(self.ids);
        let ids: Vec<ColId> = copy.columns().iter().map(|column| column.id).collect();
        self.mark(plan, copy, more(&ids))
    }
}

/// Types of numbers, each of which has the values of all before it.
const WIDER: [&str; 4] = ["smallint", "integer", "bigint", "numeric"];

/// Whether parts of an expression are computed for some rows only.
fn is_conditional(e: &Expr) -> bool {
    match e {
        Generic::Case(_) | Generic::And(_) | Generic::Or(_) => true,
        Generic::Call(call) => call.name.schema.is_none() && call.name.name.as_str() == "coalesce",
        _ => false,
    }
}
