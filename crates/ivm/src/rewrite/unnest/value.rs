//! Subqueries as values: a column of an outer join for each.

use std::ops::ControlFlow;

use super::{Unnester, has_subquery, reads_tables};
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, IsTest, Op, Step};
use crate::plan::{AggregateCall, ColId, Expr, Plan, reads, replaced};
use crate::refuse::unliftable;
use crate::{keys, refuse};

impl Unnester<'_> {
    /// The expression with its subqueries replaced by columns that are joined to `plan`.
    pub fn value(&mut self, plan: &mut Plan, e: Expr) -> Result<Expr> {
        if !has_subquery(&e) {
            return Ok(e);
        }
        if e.any(&mut |e| is_conditional(e) && has_subquery(e)) {
            self.check_conditions(plan, &e)?;
        }
        e.try_replace(&mut |e| self.joined(plan, e))
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
                    Generic::Binary(op, l, r) if !COMPARISONS.iter().any(|known| op.is(known)) => {
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

    /// `(SELECT …)`: the one row of an aggregate, or of a key.
    fn scalar(&mut self, plan: &mut Plan, query: Plan) -> Result<Expr> {
        let column = query.columns().into_iter().next().ok_or(Error::Bug("a value without a column"))?;
        let mut query = self.lifted(query)?;
        if !query.single && !self.is_single(&query)? {
            return Err(refuse::several_rows());
        }
        if query.single && query.on.is_empty() {
            let value = query.output(column.id);
            *plan = Plan::join(vec![take(plan), query.plan], vec![]);
            return Ok(value);
        }
        if !query.single {
            query = query.marked(self.ids);
        }
        let value = query.output(column.id);
        *plan = take(plan).left_join(query.plan, Expr::all(query.on));
        Ok(value)
    }

    /// Whether a subquery has a row for which `more` holds too.
    fn mark(&mut self, plan: &mut Plan, query: Plan, more: Vec<Expr>) -> Result<Expr> {
        let mut query = self.lifted(query)?;
        if query.may_miss() {
            return if more.is_empty() { Ok(Expr::bool(true)) } else { Err(unliftable()) };
        }
        query.on.extend(more.into_iter().map(|e| query.after(e)).collect::<Vec<_>>());
        let own = query.plan.ids();
        let (inner, on): (Vec<Expr>, Vec<Expr>) =
            std::mem::take(&mut query.on).into_iter().partition(|e| reads(e).is_subset(&own));
        query.plan = query.plan.filter_all(inner);
        query.on = on;
        let (pairs, mut gates) = query.equalities().ok_or_else(unliftable)?;
        let count = AggregateCall::new(self.ids.column("n"), "count", vec![]);
        let n = count.column.expr();
        if pairs.is_empty() {
            *plan = Plan::join(vec![take(plan), query.plan.aggregate(vec![], vec![count])], vec![]);
            gates.push(Expr::binary(">", n, Expr::number(0)));
            return Ok(Expr::all(gates).is(IsTest::True));
        }
        let (mut keys, mut on) = (vec![], gates);
        for (outer, inner) in pairs {
            let key = self.ids.column("key");
            on.push(Expr::equals(outer, key.expr()));
            keys.push((key, inner));
        }
        let columns = keys.iter().map(|(key, _)| key.clone()).collect();
        let right = query.plan.project(keys).aggregate(columns, vec![count]);
        *plan = take(plan).left_join(right, Expr::all(on));
        Ok(n.is_present())
    }

    /// `x IN (q)` with its three values.
    fn contained(&mut self, plan: &mut Plan, left: Expr, query: Plan) -> Result<Expr> {
        let [column] = <[_; 1]>::try_from(query.columns()).map_err(|_| unliftable())?;
        let pairs = self.pairs(plan, &Op::plain("="), left, &query)?;
        let [(left, right)] = <[_; 1]>::try_from(pairs).map_err(|_| unliftable())?;
        let outer = keys::facts(plan, self.types.catalog)?.not_null;
        let inner = keys::facts(&query, self.types.catalog)?.not_null;
        let right = |id: ColId| replaced(&right, &[(column.id, id)].into());
        let equal = self.copy_marked(plan, &query, |id| vec![Expr::equals(left.clone(), right(id))])?;
        let mut unknown = vec![];
        if !keys::is_not_null(&right(column.id), &inner) {
            unknown.push(self.copy_marked(plan, &query, |id| vec![right(id).is_absent()])?);
        }
        if !keys::is_not_null(&left, &outer) {
            let some = self.copy_marked(plan, &query, |_| vec![])?;
            unknown.push(Expr::all(vec![left.clone().is_absent(), some]));
        }
        if unknown.is_empty() {
            return Ok(equal);
        }
        let arms = vec![(equal, Expr::bool(true)), (Expr::any_of(unknown), Expr::null().cast("boolean"))];
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
                self.contained(plan, left, *query)?
            }
            Generic::QuantifiedQuery(q) if q.op.is("=") && !q.all || q.op.is("<>") && q.all => {
                let left = self.value(plan, q.left)?;
                let found = self.contained(plan, left, q.right)?;
                if q.all { Generic::Not(Box::new(found)) } else { found }
            }
            _ => return Err(refuse::unliftable_value()),
        };
        Ok(ControlFlow::Break(value))
    }

    /// As `mark`, of a copy of the subquery; `more` gets the id of its column.
    fn copy_marked(&mut self, plan: &mut Plan, query: &Plan, more: impl Fn(ColId) -> Vec<Expr>) -> Result<Expr> {
        let (copy, _) = query.copied(self.ids);
        let id = copy.columns().first().map(|column| column.id).ok_or(Error::Bug("a value without a column"))?;
        self.mark(plan, copy, more(id))
    }
}

/// Operators that never fail.
const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

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

fn take(plan: &mut Plan) -> Plan {
    std::mem::replace(plan, Plan::join(vec![], vec![]))
}
