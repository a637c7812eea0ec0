//! Conditions that every row must satisfy: semi and anti joins.

use super::{Lifted, Unnester, has_subquery, only};
use crate::error::Result;
use crate::expr::{Expr as Generic, IsTest, Op, Quantified};
use crate::plan::{ColId, Expr, Plan};
use crate::{keys, refuse};

impl Unnester<'_> {
    pub fn filter(&mut self, input: Plan, predicate: Expr) -> Result<Plan> {
        let columns = input.columns();
        let (with_subquery, plain): (Vec<Expr>, Vec<Expr>) = predicate.conjuncts().into_iter().partition(has_subquery);
        let mut plan = input.filter_all(plain);
        for condition in with_subquery {
            plan = self.condition(plan, condition)?;
        }
        Ok(only(plan, &columns))
    }

    fn condition(&mut self, plan: Plan, condition: Expr) -> Result<Plan> {
        match condition {
            Generic::Exists(query) => self.exists(plan, *query, false),
            Generic::InQuery(left, query) if !has_subquery(&left) => self.in_query(plan, *left, *query),
            Generic::QuantifiedQuery(q) if !has_subquery(&q.left) => self.quantified(plan, *q),
            Generic::Not(negated) => match *negated {
                Generic::Exists(query) => self.exists(plan, *query, true),
                Generic::InQuery(left, query) if !has_subquery(&left) => self.not_in(plan, *left, *query),
                other => self.valued(plan, Generic::Not(Box::new(other))),
            },
            other => self.valued(plan, other),
        }
    }

    fn valued(&mut self, mut plan: Plan, condition: Expr) -> Result<Plan> {
        let condition = self.value(&mut plan, condition)?;
        Ok(plan.filter(condition))
    }

    fn exists(&mut self, plan: Plan, query: Plan, anti: bool) -> Result<Plan> {
        let query = self.lifted(query, &plan)?;
        if query.may_miss() {
            // It has a row, whatever its input is.
            return Ok(if anti { plan.filter(Expr::bool(false)) } else { plan });
        }
        Ok(plan.semi_join(query.plan, Expr::all(query.on), anti))
    }

    fn in_query(&mut self, plan: Plan, left: Expr, query: Plan) -> Result<Plan> {
        let pairs = self.pairs(&plan, &Op::plain("="), left, &query)?;
        let query = self.comparable(query, &plan)?;
        let mut on: Vec<Expr> = pairs.into_iter().map(|(l, r)| Expr::equals(l, query.after(r))).collect();
        on.extend(query.on);
        Ok(plan.semi_join(query.plan, Expr::all(on), false))
    }

    fn quantified(&mut self, plan: Plan, q: Quantified<ColId, Plan, Plan>) -> Result<Plan> {
        let Quantified { left, op, all, right } = q;
        if all && op.is("<>") {
            return self.not_in(plan, left, right);
        }
        let columns = right.columns();
        let query = self.comparable(right, &plan)?;
        let mut right: Vec<Expr> = columns.iter().map(|column| query.output(column.id)).collect();
        let right = if right.len() == 1 { right.remove(0) } else { Generic::Row(right) };
        let compared = Generic::Binary(op, Box::new(left), Box::new(right));
        // ALL holds when no comparison is false or unknown.
        let condition = if all { compared.is(IsTest::NotTrue) } else { compared };
        let on = std::iter::once(condition).chain(query.on).collect();
        Ok(plan.semi_join(query.plan, Expr::all(on), all))
    }

    /// `x NOT IN (q)`: no row equals x; and, as unknown is not true, none is NULL, and x is not NULL while there are rows.
    fn not_in(&mut self, plan: Plan, left: Expr, query: Plan) -> Result<Plan> {
        let pairs = self.pairs(&plan, &Op::plain("="), left, &query)?;
        let query = self.comparable(query, &plan)?;
        let pairs: Vec<(Expr, Expr)> = pairs.into_iter().map(|(l, r)| (l, query.after(r))).collect();
        let outer = keys::facts(&plan, self.types.catalog)?.not_null;
        let inner = keys::facts(&query.plan, self.types.catalog)?.not_null;
        let known = |(l, r): &(Expr, Expr)| (keys::is_not_null(l, &outer), keys::is_not_null(r, &inner));
        let equal: Vec<Expr> = pairs.iter().map(|(l, r)| Expr::equals(l.clone(), r.clone())).collect();
        let nulls: Vec<(bool, bool)> = pairs.iter().map(known).collect();
        if let ([(l, r)], [(l_known, r_known)]) = (pairs.as_slice(), nulls.as_slice()) {
            let mut plan = self.none(plan, &query, equal);
            if !r_known {
                plan = self.none(plan, &query, vec![r.clone().is_absent()]);
            }
            if !l_known {
                plan = self.none(plan, &query, vec![l.clone().is_absent()]);
            }
            return Ok(plan);
        }
        match nulls.iter().all(|known| *known == (true, true)) {
            true => Ok(self.none(plan, &query, equal)),
            false => Ok(self.none(plan, &query, vec![Expr::all(equal).is(IsTest::NotFalse)])),
        }
    }

    /// The rows of a plan for which the subquery has no row that satisfies the conditions.
    fn none(&mut self, plan: Plan, query: &Lifted, mut conditions: Vec<Expr>) -> Plan {
        conditions.extend(query.on.iter().cloned());
        let (right, ids) = query.plan.copied(self.ids);
        let on = crate::plan::replaced(&Expr::all(conditions), &ids);
        plan.semi_join(right, on, true)
    }

    /// A subquery of which all rows can be compared.
    fn comparable(&mut self, query: Plan, around: &Plan) -> Result<Lifted> {
        let query = self.lifted(query, around)?;
        match query.may_miss() {
            true => Err(refuse::unliftable()),
            false => Ok(query),
        }
    }
}
