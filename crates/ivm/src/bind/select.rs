//! SELECT: FROM, WHERE, grouping, select list, DISTINCT, in this order.

use std::collections::BTreeSet;

use super::group::{self, Grouped};
use super::grouping_sets::Set;
use super::scope::{Context, Place};
use super::{Binder, refuse};
use crate::catalog::FunctionKind;
use crate::error::Result;
use crate::expr::Expr as Generic;
use crate::plan::{Column, Distinct, Expand, Expr, Plan};
use crate::sql::ast::{self, Item, Select};
use crate::sql::ident::Ident;

impl Binder<'_> {
    pub fn select(&mut self, select: &Select, context: Context) -> Result<Plan> {
        if let ast::Distinct::On(_) = select.distinct {
            return Err(refuse::distinct_on());
        }
        let plan = self.every_set(select, context)?;
        Ok(match select.distinct {
            ast::Distinct::Rows => Plan::Distinct(Box::new(Distinct { input: plan })),
            _ => plan,
        })
    }

    /// The rows of a SELECT that is grouped, if it is, by one set of keys.
    pub fn one_set(&mut self, select: &Select, set: &Set, context: Context) -> Result<Plan> {
        let Select { distinct: _, items, from, filter, group_once: _, group_by, having, windows: _ } = select;
        let (mut plan, scope) = self.product(from, context)?;
        let place = &Place { scope: &scope, context };
        if let Some(filter) = filter {
            plan = plan.filter(self.expr(filter, place)?);
        }
        let outputs = items.iter().map(|item| self.expr(&item.expr, place)).collect::<Result<Vec<Expr>>>()?;
        let having = having.as_ref().map(|having| self.expr(having, place)).transpose()?;
        let keys = set.present.iter().map(|key| self.expr(key, place)).collect::<Result<Vec<Expr>>>()?;
        let absent = set.absent.iter().map(|key| self.expr(key, place)).collect::<Result<Vec<Expr>>>()?;
        let grouped = !group_by.is_empty() || having.is_some() || self.any_call(&outputs, FunctionKind::Aggregate)?;
        let (plan, outputs) = match grouped {
            false => (plan, outputs),
            true => {
                let Grouped { plan, outputs, having } = group::group(self, plan, (keys, absent), (outputs, having))?;
                (having.into_iter().fold(plan, Plan::filter), outputs)
            }
        };
        let named = items.iter().map(output_name).zip(outputs).collect();
        let outputs = self.outputs(named);
        self.projection(plan, outputs)
    }

    /// π, or π* where a call returns a set.
    pub fn projection(&mut self, input: Plan, columns: Vec<(Column, Expr)>) -> Result<Plan> {
        let exprs: Vec<Expr> = columns.iter().map(|(_, e)| e.clone()).collect();
        Ok(match self.any_call(&exprs, FunctionKind::Set)? {
            true => Plan::Expand(Box::new(Expand { input, columns })),
            false => input.project(columns),
        })
    }

    fn any_call(&mut self, exprs: &[Expr], kind: FunctionKind) -> Result<bool> {
        let mut names = vec![];
        for e in exprs {
            e.visit(&mut |e| {
                if let Generic::Call(call) = e {
                    names.push(&call.name);
                }
            });
        }
        for name in names {
            if self.function(name)? == kind {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The projection onto named outputs. A column keeps its id where it is shown first.
    fn outputs(&mut self, named: Vec<(Ident, Expr)>) -> Vec<(Column, Expr)> {
        let mut shown = BTreeSet::new();
        let column = |(name, e): (Ident, Expr)| match e {
            Expr::Column(id) if shown.insert(id) => (Column { id, name }, e),
            e => (self.ids.column(name.as_str()), e),
        };
        named.into_iter().map(column).collect()
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
