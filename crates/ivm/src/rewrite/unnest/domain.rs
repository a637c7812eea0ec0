//! Subqueries that depend on the query around them by more than equalities.
//!
//! **Law:** let D be the distinct values of the outer columns F that a subquery's conditions and columns read. For every outer row, the
//! rows of the subquery are those of its join with D, on its conditions over D, that have the values of the outer row in the columns
//! of D. So the correlation is one by equality again, and each value of D has a group of its own. After Neumann and Kemper,
//! "Unnesting Arbitrary Queries" (BTW 2015).
//!
//! Equality must be enough to stand for a value:
//! - NULL equals nothing. A row with NULL in F finds no row of D, which is right where the conditions do not hold for NULL. Else D has two
//!   columns for one of F: whether it is NULL, and its value, or any value.
//! - Of equal values that look different D has one. They are interchangeable in comparisons and sums, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use super::super::mapped;
use super::{Lifted, Pair, Unnester};
use crate::catalog::Equality;
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, IsTest, Literal, Op};
use crate::plan::{ColId, Column, Distinct, Expr, Plan, reads};
use crate::types::typed_null;
use crate::{keys, refuse};

impl Unnester<'_> {
    /// A lifted input that reads outer columns in its conditions and outputs, as one that is compared with them by equality; `shown` are
    /// its columns that are read above. `outer`: the plan of the query around it.
    pub fn over_domain(&mut self, input: Lifted, shown: &[Column], outer: &Plan) -> Result<Lifted> {
        let computed = |(id, e)| Some((shown.iter().find(|column| column.id == id)?.clone(), e));
        let computed: Vec<(Column, Expr)> = input.outputs.into_iter().filter_map(computed).collect();
        let (on, conditions) = divided(&input.plan, input.on);
        let domain = self.domain(&input.plan, (&conditions, &computed), outer)?;
        let mut columns = input.plan.pass();
        columns.extend(domain.plan.pass());
        columns.extend(computed.into_iter().map(|(column, e)| (column, domain.over(&e))));
        let conditions = conditions.iter().map(|e| domain.over(e)).collect();
        let joined = Plan::join(vec![input.plan, domain.plan.clone()], conditions);
        Ok(domain.compared(joined.project(columns), on))
    }

    /// The values of outer columns for which a lifted input has a row, to be compared with them by equality.
    pub fn domain_with_rows(&mut self, input: Lifted, outer: &Plan) -> Result<Lifted> {
        let (on, conditions) = divided(&input.plan, input.on);
        let domain = self.domain(&input.plan, (&conditions, &[]), outer)?;
        let conditions = conditions.iter().map(|e| domain.over(e)).collect();
        let plan = domain.plan.clone().semi_join(input.plan, Expr::all(conditions), false);
        Ok(domain.compared(plan, on))
    }

    /// The values of the outer columns that these conditions and columns of an inner plan read.
    fn domain(
        &mut self,
        inner: &Plan,
        (conditions, computed): (&[Expr], &[(Column, Expr)]),
        outer: &Plan,
    ) -> Result<Domain> {
        let own = inner.ids();
        let values = || computed.iter().map(|(_, e)| e);
        let read: BTreeSet<ColId> =
            conditions.iter().chain(values()).flat_map(reads).filter(|id| !own.contains(id)).collect();
        let (source, is_wider) = source(outer.clone(), &read);
        let is_hidden = |e: &Expr| e.subqueries().into_iter().any(|query| !query.free().is_disjoint(&read));
        let hides = conditions.iter().chain(values()).any(is_hidden);
        if hides || read.is_empty() || !read.is_subset(&source.ids()) || !source.free().is_empty() {
            return Err(refuse::unliftable());
        }
        // What the query does not compute for a row may fail for it.
        if values().any(|e| may_fail(e, self.is_conditional)) {
            return Err(refuse::conditional());
        }
        self.load_types(&source)?;
        for id in &read {
            let is_computed = values().any(|e| reads(e).contains(id));
            let is_column = |e: &Expr| matches!(e, Generic::Column(_));
            if is_wider && (is_computed || !conditions.iter().all(|e| is_compared(e, *id, &is_column))) {
                return Err(refuse::unliftable());
            }
            let is_plain = !is_computed && conditions.iter().all(|e| is_compared(e, *id, &|e| is_exact(e, *id)));
            match self.types.get(*id)?.equality {
                Equality::Image => {}
                Equality::Loose if is_plain => {}
                Equality::Loose | Equality::Missing => {
                    return Err(refuse::unliftable_value_of(&self.types.get(*id)?.name));
                }
            }
        }
        self.values_of(&source, &read, &keys::implied_not_null(&Expr::all(conditions.to_vec())))
    }

    /// The distinct values of columns of a plan. It may leave out rows in which one of `matched` is NULL.
    fn values_of(&mut self, source: &Plan, read: &BTreeSet<ColId>, matched: &BTreeSet<ColId>) -> Result<Domain> {
        let never_null = keys::facts(source, self.types.catalog)?.not_null;
        let (plan, copies) = source.copied(self.ids);
        let (mut shown, mut present, mut values, mut pairs) = (vec![], vec![], BTreeMap::new(), vec![]);
        for id in read {
            let copy = copies.get(id).copied().ok_or(Error::Bug("a copy has all columns"))?;
            let (outer, own) = (Expr::Column(*id), Expr::Column(copy));
            if never_null.contains(id) || matched.contains(id) {
                let column = plan
                    .columns()
                    .into_iter()
                    .find(|column| column.id == copy)
                    .ok_or(Error::Bug("it is one of them"))?;
                shown.push(column.pass());
                present.extend((!never_null.contains(id)).then(|| own.clone().is_present()));
                values.insert(*id, own.clone());
                pairs.push((outer, own));
                continue;
            }
            let some = any_value(&self.types.get(*id)?.base).ok_or_else(refuse::unliftable_null)?;
            let (absent, value) = (self.ids.column("absent"), self.ids.column("value"));
            let (is_null, or_some) =
                (|e: Expr| e.is(IsTest::Null), |e: Expr| Expr::call("coalesce", vec![e, some.clone()]));
            pairs.push((is_null(outer.clone()), absent.expr()));
            pairs.push((or_some(outer), value.expr()));
            let ty = self.types.get(*id)?;
            values.insert(*id, Expr::case(vec![(absent.expr(), typed_null(ty))], value.expr()));
            shown.extend([(absent, is_null(own.clone())), (value, or_some(own))]);
        }
        let plan = plan.filter_all(present).project(shown);
        let is_distinct = !keys::facts(&plan, self.types.catalog)?.keys.is_empty();
        let plan = if is_distinct { plan } else { Plan::Distinct(Box::new(Distinct { input: plan })) };
        Ok(Domain { plan, values, pairs })
    }
}

/// The values of outer columns.
struct Domain {
    plan: Plan,
    /// Each outer column, computed from a row of the plan.
    values: BTreeMap<ColId, Expr>,
    /// What must be equal for an outer row and its row of the plan.
    pairs: Vec<Pair>,
}

impl Domain {
    /// An expression over outer columns, over those of the plan instead.
    fn over(&self, e: &Expr) -> Expr {
        mapped(e, &mut |id| self.values.get(&id).cloned().unwrap_or(Generic::Column(id)))
    }

    /// A plan with the columns of the domain, which are compared with the outer ones beside other conditions.
    fn compared(self, plan: Plan, mut on: Vec<Expr>) -> Lifted {
        on.extend(self.pairs.into_iter().map(|(outer, own)| Expr::equals(outer, own)));
        Lifted { plan, on, outputs: vec![], single: false }
    }
}

/// Conditions that read outer columns alone, and those that compare them with columns of a plan.
fn divided(plan: &Plan, on: Vec<Expr>) -> (Vec<Expr>, Vec<Expr>) {
    let own = plan.ids();
    on.into_iter().partition(|e| reads(e).is_disjoint(&own))
}

/// Whether an expression may have no value: where it is computed on some condition only, sums and products may not either.
fn may_fail(e: &Expr, is_conditional: bool) -> bool {
    e.any(&mut |e| match e {
        Generic::Column(_) | Generic::Literal(_) | Generic::And(_) | Generic::Or(_) | Generic::Not(_) => false,
        Generic::Is(..) | Generic::Distinct(..) | Generic::Case(_) => false,
        Generic::Binary(op, _, _) => {
            let is_sum = is_sum(op);
            !op.is_comparison() && (is_conditional || !is_sum)
        }
        _ => true,
    })
}

/// Some value of a type, in the place of NULL.
fn any_value(base: &str) -> Option<Expr> {
    let text = match base {
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "interval" => "0",
        "text" | "character varying" => "",
        "boolean" => "false",
        "date" | "timestamp without time zone" | "timestamp with time zone" => "epoch",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        _ => return None,
    };
    Some(Generic::Literal(Literal::String(text.to_owned())).cast(base))
}

/// A plan that has all values of some columns of another: without what is joined to its rows, and without conditions that read columns
/// from outside; whether it may have others because of that.
fn source(plan: Plan, read: &BTreeSet<ColId>) -> (Plan, bool) {
    let mut is_wider = false;
    let mut inner = |predicates: Vec<Expr>, own: BTreeSet<ColId>| -> Vec<Expr> {
        let conjuncts = predicates.into_iter().flat_map(Expr::conjuncts).collect::<Vec<_>>();
        let all = conjuncts.len();
        let inner: Vec<Expr> = conjuncts.into_iter().filter(|e| reads(e).is_subset(&own)).collect();
        is_wider |= inner.len() < all;
        inner
    };
    let plan = match plan {
        Plan::Outer(outer) if read.is_subset(&outer.left.ids()) => return source(outer.left, read),
        Plan::Filter(f) => {
            let predicates = inner(vec![f.predicate], f.input.ids());
            let read = read.iter().copied().chain(predicates.iter().flat_map(reads)).collect();
            let (input, wider) = source(f.input, &read);
            is_wider |= wider;
            input.filter_all(predicates)
        }
        Plan::Join(mut j) => {
            let own = j.inputs.iter().flat_map(Plan::ids).collect();
            j.predicates = inner(std::mem::take(&mut j.predicates), own);
            Plan::Join(j)
        }
        plan => plan,
    };
    (plan, is_wider)
}

/// Whether a condition, if it reads a column, does so only in operands of comparisons, which are `fit`.
fn is_compared(e: &Expr, id: ColId, fit: &impl Fn(&Expr) -> bool) -> bool {
    if !reads(e).contains(&id) {
        return true;
    }
    let is_fit = |e: &Expr| !reads(e).contains(&id) || fit(e);
    match e {
        Generic::And(parts) | Generic::Or(parts) => parts.iter().all(|e| is_compared(e, id, fit)),
        Generic::Not(e) | Generic::Is(e, _) => is_compared(e, id, fit),
        Generic::Binary(op, l, r) => op.is_comparison() && is_fit(l) && is_fit(r),
        _ => false,
    }
}

fn is_sum(op: &Op) -> bool {
    ["+", "-", "*"].iter().any(|known| op.is(known))
}

/// Whether equal values of a column make equal values of an expression.
fn is_exact(e: &Expr, id: ColId) -> bool {
    match e {
        Generic::Column(_) => true,
        Generic::Binary(op, l, r) => is_sum(op) && is_exact(l, id) && is_exact(r, id),
        e => !reads(e).contains(&id),
    }
}
