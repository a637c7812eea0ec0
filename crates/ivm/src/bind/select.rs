//! SELECT: FROM, WHERE, grouping, windows, select list, DISTINCT, LIMIT, in this order.

use super::group::{self, Grouped};
use super::grouping_sets::{self, Set};
use super::order::Top;
use super::row_order::{RowOrder, Rows};
use super::scope::{Context, Place};
use super::{Binder, order, window};
use crate::catalog::FunctionKind;
use crate::error::{Error, Result};
use crate::expr::Expr as Generic;
use crate::plan::{Column, Distinct, Expr, Order, Plan};
use crate::refuse;
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
        let list = SelectList::of(select, order_by)?;
        let (plan, mut row_order) = self.select_sets(select, &list, context)?;
        let mut implied = vec![];
        match select.distinct {
            ast::Distinct::On(_) if order_by.is_empty() && !row_order.is_any() => {
                return Err(refuse::row_order("DISTINCT ON"));
            }
            ast::Distinct::No if order_by.is_empty() && top.is_some() => implied = row_order.keys_for("LIMIT")?,
            ast::Distinct::No => {}
            ast::Distinct::Rows | ast::Distinct::On(_) => row_order = RowOrder::Any,
        }
        if !order_by.is_empty() {
            row_order = RowOrder::Sorted(list.sorted(&plan.columns()));
        }
        Ok(Rows { shown: list.shown, plan: list.rows(plan, top, implied), row_order })
    }

    /// The rows of a SELECT without its DISTINCT and its LIMIT: the union of those of its grouping sets.
    fn select_sets(&mut self, select: &Select, list: &SelectList, context: Context) -> Result<(Plan, RowOrder)> {
        let mut plan: Option<(Plan, RowOrder)> = None;
        let sets = grouping_sets::sets(&select.group_by, select.group_once)?;
        if sets.len() > 1 && list.windows() {
            return Err(refuse::window_over_sets());
        }
        if sets.len() > 1 && sets.iter().flat_map(|set| &set.present).any(grouping_sets::is_constant) {
            return Err(refuse::constant_among_sets());
        }
        for set in sets {
            let arm = self.select_set(select, list, &set, context)?;
            plan = Some(match plan {
                None => arm,
                Some((others, _)) => (self.union_all(others, arm.0)?, RowOrder::Any),
            });
        }
        plan.ok_or(Error::Bug("a GROUP BY without a grouping set"))
    }

    /// The rows of a SELECT, grouped by one set of keys if it is grouped.
    fn select_set(
        &mut self,
        select: &Select,
        list: &SelectList,
        set: &Set,
        context: Context,
    ) -> Result<(Plan, RowOrder)> {
        let Select { distinct: _, items: _, from, filter, group_once: _, group_by, having, windows: _ } = select;
        let (mut plan, scope) = self.product(from, context)?;
        let place = &Place { scope: &scope, context };
        if let Some(filter) = filter {
            let filter = self.predicate(filter, place)?;
            plan = self.filtered(plan, filter)?;
        }
        let mut outputs = list.exprs.iter().map(|e| self.predicate(e, place)).collect::<Result<Vec<Expr>>>()?;
        let mut having = having.as_ref().map(|having| self.predicate(having, place)).transpose()?;
        let mut keys = set.present.iter().map(|key| self.predicate(key, place)).collect::<Result<Vec<Expr>>>()?;
        let mut absent = set.absent.iter().map(|key| self.predicate(key, place)).collect::<Result<Vec<Expr>>>()?;
        let grouped = !group_by.is_empty() || having.is_some() || self.any_call(&outputs, FunctionKind::Aggregate)?;
        let mut row_order = scope.row_order.clone();
        let (plan, outputs) = match grouped {
            false => (plan, outputs),
            true => {
                let mut computed: Vec<&mut Expr> = outputs.iter_mut().chain(&mut having).collect();
                let plan = self.on_clock_below(plan, [&mut keys, &mut absent], &mut computed)?;
                let computed: Vec<Expr> = outputs.iter().chain(&having).cloned().collect();
                let order_below = self.order_at_aggregates(std::mem::take(&mut row_order), &computed)?;
                let order_below = if absent.is_empty() { order_below } else { order_below.mixed(RowOrder::Any) };
                let Grouped { plan, outputs, having } =
                    group::group(self, (plan, order_below), (keys, absent), (outputs, having))?;
                let plan = match having {
                    Some(having) => self.filtered(plan, having)?,
                    None => plan,
                };
                (plan, outputs)
            }
        };
        let mut outputs = outputs;
        let plan = self.on_clock(plan, &mut outputs)?;
        self.check_windows(&row_order, &outputs)?;
        if list.windows() {
            row_order = row_order.mixed(RowOrder::Any);
        }
        let (plan, outputs) = window::lift(self, plan, outputs)?;
        let hidden = std::iter::repeat(Ident::new("sort"));
        let named = select.items.iter().map(output_name).chain(hidden).zip(outputs).collect();
        let mut outputs = self.outputs(&plan, named);
        let row_order = match select.distinct {
            ast::Distinct::No => row_order.projected(&plan, &mut outputs),
            ast::Distinct::Rows | ast::Distinct::On(_) => row_order.mixed(RowOrder::Any),
        };
        Ok((self.projection(plan, outputs)?, row_order))
    }

    /// π, or π* where a call returns a set.
    pub fn projection(&mut self, input: Plan, columns: Vec<(Column, Expr)>) -> Result<Plan> {
        Ok(match self.any_call(columns.iter().map(|(_, e)| e), FunctionKind::Set)? {
            true => input.expand(columns),
            false => input.project(columns),
        })
    }

    /// Whether an expression calls a function of this kind, outside of window calls.
    pub fn any_call<'e, C: 'e, Q: 'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Generic<C, Q>>,
        kind: FunctionKind,
    ) -> Result<bool> {
        let mut names = vec![];
        exprs.into_iter().for_each(|e| e.visit(&mut |e| names.extend(called(e))));
        names.into_iter().try_fold(false, |found, name| Ok(found || self.function(name)? == kind))
    }

    /// The projection onto named outputs. A column of the input keeps its id where it is shown first; one of a query
    /// around this one does not, because there it is a column of another relation: of `l LEFT JOIN LATERAL (SELECT l.b …)`,
    /// the second may be NULL where the first is not.
    fn outputs(&mut self, input: &Plan, named: Vec<(Ident, Expr)>) -> Vec<(Column, Expr)> {
        let mut own = input.ids();
        let column = |(name, e): (Ident, Expr)| match e {
            Expr::Column(id) if own.remove(&id) => (Column { id, name }, e),
            e => (self.ids.column(name.as_str()), e),
        };
        named.into_iter().map(column).collect()
    }
}

/// The expressions that a SELECT computes: those that it shows, then further sort keys.
struct SelectList<'a> {
    exprs: Vec<ast::Expr>,
    shown: usize,
    distinct: &'a ast::Distinct,
    /// The places of the keys of DISTINCT ON.
    on: Vec<usize>,
    order_by: &'a [ast::Order],
    /// The places of the sort keys.
    order: Vec<usize>,
}

impl<'a> SelectList<'a> {
    fn of(select: &'a Select, order_by: &'a [ast::Order]) -> Result<SelectList<'a>> {
        let spelled_out = |e| window::spelled_out(e, &select.windows);
        let exprs = select.items.iter().map(|item| spelled_out(&item.expr)).collect::<Result<Vec<_>>>()?;
        let (shown, distinct) = (exprs.len(), &select.distinct);
        let mut list = SelectList { exprs, shown, distinct, on: vec![], order_by, order: vec![] };
        if let ast::Distinct::On(keys) = distinct {
            list.on = keys.iter().map(|key| Ok(list.place(spelled_out(key)?))).collect::<Result<_>>()?;
        }
        list.order = order_by.iter().map(|key| Ok(list.place(spelled_out(&key.expr)?))).collect::<Result<_>>()?;
        match (distinct, list.exprs.len() > shown) {
            (ast::Distinct::Rows, true) => {
                Err(Error::Syntax("DISTINCT ordered by an expression that is not shown".to_owned()))
            }
            _ => Ok(list),
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
    fn windows(&self) -> bool {
        let windowed = |e: &ast::Expr| matches!(e, Generic::Call(call) if call.over.is_some());
        self.exprs.iter().any(|e| e.any(&mut { windowed }))
    }

    fn sorted(&self, columns: &[Column]) -> Vec<Order> {
        let keys = self.order_by.iter().zip(&self.order);
        keys.map(|(key, at)| order::sorted(key, columns[*at].expr())).collect()
    }

    /// The rows of a plan that DISTINCT and LIMIT leave; `implied` is their order where the query has no ORDER BY.
    fn rows(self, mut plan: Plan, top: Option<Top>, implied: Vec<Order>) -> Plan {
        let columns = plan.columns();
        let order = if self.order_by.is_empty() { implied } else { self.sorted(&columns) };
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

/// The name of the function that an expression calls, unless it is a window call.
fn called<C, Q>(e: &Generic<C, Q>) -> Option<&QName> {
    match e {
        Generic::Call(call) if call.over.is_none() => Some(&call.name),
        _ => None,
    }
}

/// The name of an output column. The deparser prints no alias that equals the column's own name.
fn output_name(item: &Item) -> Ident {
    match (&item.alias, &item.expr) {
        (Some(alias), _) => alias.clone(),
        (None, Generic::Column(name)) => name.column.clone(),
        (None, _) => Ident::new("?column?"),
    }
}
