//! ORDER BY with LIMIT, OFFSET or FETCH FIRST … WITH TIES, and DISTINCT ON: which rows of an order are shown.

use super::Binder;
use super::scope::{Context, Place, Scope};
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, Literal, Order};
use crate::plan::{ColId, Column, Expr, Plan, Ties, TopK};
use crate::refuse;
use crate::sql::ast::{self, Query};

/// Which rows of an order a query shows.
pub struct Top {
    limit: Option<Expr>,
    offset: Option<Expr>,
    ties: Ties,
}

impl Binder<'_> {
    /// LIMIT and OFFSET; `None` for all rows.
    pub fn top(&mut self, query: &Query, context: Context) -> Result<Option<Top>> {
        let count = query.limit.as_ref().and_then(|limit| limit.count.as_ref());
        let limit = self.rows(count, context)?;
        let offset = self.rows(query.offset.as_ref(), context)?;
        let with_ties = query.limit.as_ref().is_some_and(|limit| limit.with_ties);
        let ties = if with_ties { Ties::Follow } else { Ties::Split };
        Ok((limit.is_some() || offset.is_some()).then_some(Top { limit, offset, ties }))
    }

    /// A number of rows, which must be constant; NULL is no number.
    fn rows(&mut self, count: Option<&ast::Expr>, context: Context) -> Result<Option<Expr>> {
        let Some(count) = count else { return Ok(None) };
        let scope = Scope::default();
        let count = self.expr(count, &Place { scope: &scope, context })?;
        let null = |e: &Expr| *e == Generic::Literal(Literal::Null);
        match &count {
            e if null(e) => Ok(None),
            Generic::Cast(e, _) if null(e) => Ok(None),
            e if e.is_constant() => Ok(Some(count)),
            _ => Err(refuse::limit()),
        }
    }
}

/// An ORDER BY that refers to the columns of a plan, by their numbers or names.
pub fn by_output(order_by: &[ast::Order], plan: &Plan) -> Result<Vec<Order<ColId, Plan>>> {
    let columns = plan.columns();
    let column = |e: &ast::Expr| -> Result<&Column> {
        let found = match e {
            Generic::Column(name) => columns.iter().find(|column| column.name == name.column),
            e => position(e).and_then(|at| columns.get(at)),
        };
        found.ok_or_else(|| Error::Syntax("ORDER BY of an expression that is no output column".to_owned()))
    };
    order_by.iter().map(|order| Ok(sorted(order, column(&order.expr)?.expr()))).collect()
}

/// The same key with another expression.
pub fn sorted(order: &ast::Order, expr: Expr) -> Order<ColId, Plan> {
    Order { expr, direction: order.direction.clone(), nulls_first: order.nulls_first }
}

/// The place in the select list that a bare number names.
pub fn position(e: &ast::Expr) -> Option<usize> {
    match e {
        Generic::Literal(Literal::Number(digits)) => digits.parse::<usize>().ok()?.checked_sub(1),
        _ => None,
    }
}

/// The rows of a plan that LIMIT and OFFSET leave.
pub fn limited(plan: Plan, order: Vec<Order<ColId, Plan>>, top: Top) -> Plan {
    let Top { limit, offset, ties } = top;
    Plan::TopK(Box::new(TopK { input: plan, partition: vec![], order, limit, offset, ties }))
}

/// The first row for each value of some columns.
pub fn first_of_each(plan: Plan, partition: Vec<ColId>, order: Vec<Order<ColId, Plan>>) -> Plan {
    let limit = Some(Expr::number(1));
    Plan::TopK(Box::new(TopK { input: plan, partition, order, limit, offset: None, ties: Ties::Split }))
}
