//! SELECT: FROM, WHERE, grouping, select list, DISTINCT, in this order.

use std::collections::BTreeSet;

use super::group::{self, Grouped};
use super::scope::{Context, Place};
use super::{Binder, refuse};
use crate::catalog::FunctionKind;
use crate::error::Result;
use crate::expr::Expr as Generic;
use crate::plan::{Column, Distinct, Expr, Plan};
use crate::sql::ast::{self, Group, Item, Select};
use crate::sql::ident::Ident;

impl Binder<'_> {
    pub fn select(&mut self, select: &Select, context: Context) -> Result<Plan> {
        let Select { distinct, items, from, filter, group_by, having, windows: _ } = select;
        if let ast::Distinct::On(_) = distinct {
            return Err(refuse::distinct_on());
        }
        let (mut plan, scope) = self.product(from, context)?;
        let place = &Place { scope: &scope, context };
        if let Some(filter) = filter {
            plan = plan.filter(self.expr(filter, place)?);
        }
        let outputs = items.iter().map(|item| self.expr(&item.expr, place)).collect::<Result<Vec<Expr>>>()?;
        let having = having.as_ref().map(|having| self.expr(having, place)).transpose()?;
        let keys = self.group_keys(group_by, place)?;
        let grouped = !group_by.is_empty() || having.is_some() || self.any_aggregate(&outputs)?;
        let (mut plan, outputs) = match grouped {
            false => (plan, outputs),
            true => {
                let Grouped { plan, outputs, having } = group::group(self, plan, keys, (outputs, having))?;
                (having.into_iter().fold(plan, Plan::filter), outputs)
            }
        };
        let named = items.iter().map(output_name).zip(outputs).collect();
        plan = plan.project(self.outputs(named));
        Ok(match distinct {
            ast::Distinct::Rows => Plan::Distinct(Box::new(Distinct { input: plan })),
            _ => plan,
        })
    }

    fn group_keys(&mut self, groups: &[Group], place: &Place) -> Result<Vec<Expr>> {
        let key = |group: &Group| match group {
            Group::Expr(e) => self.expr(e, place).map(Some),
            Group::Empty => Ok(None),
            Group::Rollup(_) | Group::Cube(_) | Group::Sets(_) => Err(refuse::grouping_sets()),
        };
        groups.iter().map(key).filter_map(Result::transpose).collect()
    }

    fn any_aggregate(&mut self, exprs: &[Expr]) -> Result<bool> {
        let mut names = vec![];
        for e in exprs {
            e.visit(&mut |e| {
                if let Generic::Call(call) = e {
                    names.push(&call.name);
                }
            });
        }
        for name in names {
            if self.function(name)? == FunctionKind::Aggregate {
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
