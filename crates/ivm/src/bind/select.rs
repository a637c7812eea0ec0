//! SELECT: FROM, WHERE, grouping, windows, select list, DISTINCT, LIMIT, in this order.

use std::collections::BTreeSet;

use super::arrival::{Arrival, Rows};
use super::group::{self, Grouped};
use super::grouping_sets::Set;
use super::order::Top;
use super::scope::{Context, Place};
use super::{Binder, order, refuse, temporal, window};
use crate::catalog::FunctionKind;
use crate::error::{Error, Result};
use crate::expr::Expr as Generic;
use crate::plan::{ColId, Column, Distinct, Expand, Expr, Order, Plan, as_value};
use crate::sql::ast::{self, Item, Select};
use crate::sql::ident::{Ident, QName};

impl Binder<'_> {
    pub fn select(
        &mut self,
        select: &Select,
        order_by: &[ast::Order],
        top: Option<Top>,
        context: Context,
    ) -> Result<Rows> {
        let wanted = Wanted::of(select, order_by)?;
        let (plan, mut arrival) = self.every_set(select, &wanted, context)?;
        let mut told = vec![];
        match select.distinct {
            ast::Distinct::On(_) if order_by.is_empty() && !arrival.is_any() => {
                return Err(refuse::arrival("DISTINCT ON"));
            }
            ast::Distinct::No if order_by.is_empty() && top.is_some() => told = arrival.told("LIMIT")?,
            ast::Distinct::No => {}
            ast::Distinct::Rows | ast::Distinct::On(_) => arrival = Arrival::Any,
        }
        if !order_by.is_empty() {
            arrival = Arrival::Sorted(wanted.sorted(&plan.columns()));
        }
        Ok(Rows { shown: wanted.shown, plan: wanted.rows(plan, top, told), arrival })
    }

    /// Whether a sort key makes several rows of one.
    pub fn returns_set(&mut self, order_by: &[ast::Order]) -> Result<bool> {
        let mut names = vec![];
        order_by.iter().for_each(|key| key.expr.visit(&mut |e| names.extend(called(e))));
        names.into_iter().try_fold(false, |found, name| Ok(found || self.function(name)? == FunctionKind::Set))
    }

    /// The rows of a SELECT that is grouped, if it is, by one set of keys.
    pub fn one_set(
        &mut self,
        select: &Select,
        wanted: &Wanted,
        set: &Set,
        context: Context,
    ) -> Result<(Plan, Arrival)> {
        let Select { distinct: _, items: _, from, filter, group_once: _, group_by, having, windows: _ } = select;
        let (mut plan, scope) = self.product(from, context)?;
        let place = &Place { scope: &scope, context };
        if let Some(filter) = filter {
            let filter = self.predicate(filter, place)?;
            plan = temporal::filter(plan, filter, self.ids)?;
        }
        let outputs = wanted.exprs.iter().map(|e| self.expr(e, place)).collect::<Result<Vec<Expr>>>()?;
        let having = having.as_ref().map(|having| self.predicate(having, place)).transpose()?;
        let keys = set.present.iter().map(|key| self.expr(key, place)).collect::<Result<Vec<Expr>>>()?;
        let absent = set.absent.iter().map(|key| self.expr(key, place)).collect::<Result<Vec<Expr>>>()?;
        let grouped = !group_by.is_empty() || having.is_some() || self.any_call(&outputs, FunctionKind::Aggregate)?;
        let mut arrival = scope.arrival.clone();
        let (plan, outputs) = match grouped {
            false => (plan, outputs),
            true => {
                let computed: Vec<Expr> = outputs.iter().chain(&having).cloned().collect();
                let arriving = self.arrival_at_aggregates(std::mem::take(&mut arrival), &computed)?;
                let arriving = if absent.is_empty() { arriving } else { arriving.mixed(Arrival::Any) };
                let Grouped { plan, outputs, having } =
                    group::group(self, (plan, arriving), (keys, absent), (outputs, having))?;
                let plan = match having {
                    Some(having) => temporal::filter(plan, having, self.ids)?,
                    None => plan,
                };
                (plan, outputs)
            }
        };
        self.check_windows(&arrival, &outputs)?;
        if wanted.windows() {
            arrival = arrival.mixed(Arrival::Any);
        }
        let (plan, outputs) = window::lift(self, plan, outputs)?;
        let hidden = std::iter::repeat(Ident::new("sort"));
        let named = select.items.iter().map(output_name).chain(hidden).zip(outputs).collect();
        let mut outputs = self.outputs(&plan, named);
        let arrival = match select.distinct {
            ast::Distinct::No => arrival.projected(&plan, &mut outputs),
            ast::Distinct::Rows | ast::Distinct::On(_) => arrival.mixed(Arrival::Any),
        };
        Ok((self.projection(plan, outputs)?, arrival))
    }

    /// π, or π* where a call returns a set.
    pub fn projection(&mut self, input: Plan, columns: Vec<(Column, Expr)>) -> Result<Plan> {
        let exprs: Vec<Expr> = columns.iter().map(|(_, e)| e.clone()).collect();
        Ok(match self.any_call(&exprs, FunctionKind::Set)? {
            true => {
                let columns = columns.into_iter().map(|(column, e)| (column, as_value(e))).collect();
                Plan::Expand(Box::new(Expand { input, columns }))
            }
            false => input.project(columns),
        })
    }

    pub fn any_call(&mut self, exprs: &[Expr], kind: FunctionKind) -> Result<bool> {
        let mut names = vec![];
        for e in exprs {
            e.visit(&mut |e| names.extend(called(e)));
        }
        for name in names {
            if self.function(name)? == kind {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The projection onto named outputs. A column of the input keeps its id where it is shown first; one of a query
    /// around this one does not, because there it is a column beside this one: of `l LEFT JOIN LATERAL (SELECT l.b …)`,
    /// the second may be NULL where the first is not.
    fn outputs(&mut self, input: &Plan, named: Vec<(Ident, Expr)>) -> Vec<(Column, Expr)> {
        let mut own: BTreeSet<ColId> = input.columns().iter().map(|column| column.id).collect();
        let column = |(name, e): (Ident, Expr)| match e {
            Expr::Column(id) if own.remove(&id) => (Column { id, name }, e),
            e => (self.ids.column(name.as_str()), e),
        };
        named.into_iter().map(column).collect()
    }
}

/// The expressions that a SELECT computes: those that it shows, then those that only order its rows.
pub struct Wanted<'a> {
    exprs: Vec<ast::Expr>,
    shown: usize,
    distinct: &'a ast::Distinct,
    /// The places of the keys of DISTINCT ON.
    on: Vec<usize>,
    order_by: &'a [ast::Order],
    /// The places of the sort keys.
    order: Vec<usize>,
}

impl<'a> Wanted<'a> {
    fn of(select: &'a Select, order_by: &'a [ast::Order]) -> Result<Wanted<'a>> {
        let spelled_out = |e| window::spelled_out(e, &select.windows);
        let exprs = select.items.iter().map(|item| spelled_out(&item.expr)).collect::<Result<Vec<_>>>()?;
        let (shown, distinct) = (exprs.len(), &select.distinct);
        let mut wanted = Wanted { exprs, shown, distinct, on: vec![], order_by, order: vec![] };
        if let ast::Distinct::On(keys) = distinct {
            wanted.on = keys.iter().map(|key| Ok(wanted.place(spelled_out(key)?))).collect::<Result<_>>()?;
        }
        wanted.order = order_by.iter().map(|key| Ok(wanted.place(spelled_out(&key.expr)?))).collect::<Result<_>>()?;
        match (distinct, wanted.exprs.len() > shown) {
            (ast::Distinct::Rows, true) => Err(Error::Syntax("DISTINCT ordered by what it does not show".to_owned())),
            _ => Ok(wanted),
        }
    }

    /// The place of an expression, which is added where it is new.
    fn place(&mut self, e: ast::Expr) -> usize {
        let known = order::position(&e).filter(|at| *at < self.shown);
        known.or_else(|| self.exprs.iter().position(|known| *known == e)).unwrap_or_else(|| {
            self.exprs.push(e);
            self.exprs.len() - 1
        })
    }

    /// Whether an expression has a window call.
    pub fn windows(&self) -> bool {
        let windowed = |e: &ast::Expr| matches!(e, Generic::Call(call) if call.over.is_some());
        self.exprs.iter().any(|e| e.any(&mut { windowed }))
    }

    fn sorted(&self, columns: &[Column]) -> Vec<Order> {
        let keys = self.order_by.iter().zip(&self.order);
        keys.map(|(key, at)| order::sorted(key, columns[*at].expr())).collect()
    }

    /// The rows of a plan that are shown; `told` is the order where the query says none.
    fn rows(self, mut plan: Plan, top: Option<Top>, told: Vec<Order>) -> Plan {
        let columns = plan.columns();
        let order = if self.order_by.is_empty() { told } else { self.sorted(&columns) };
        plan = match self.distinct {
            ast::Distinct::No => plan,
            ast::Distinct::Rows => Plan::Distinct(Box::new(Distinct { input: plan })),
            ast::Distinct::On(_) => {
                let partition = self.on.iter().map(|at| columns[*at].id).collect();
                order::first_of_each(plan, partition, order.clone())
            }
        };
        if let Some(top) = top {
            plan = order::limited(plan, order, top);
        }
        plan
    }
}

/// The name of the function that an expression is a call of, windows aside.
fn called<C, Q>(e: &Generic<C, Q>) -> Option<&QName> {
    match e {
        Generic::Call(call) if call.over.is_none() => Some(&call.name),
        _ => None,
    }
}

/// The name that PostgreSQL's deparser left out: it prints any that is not the column's own.
fn output_name(item: &Item) -> Ident {
    match (&item.alias, &item.expr) {
        (Some(alias), _) => alias.clone(),
        (None, Generic::Column(name)) => name.column.clone(),
        (None, _) => Ident::new("?column?"),
    }
}
