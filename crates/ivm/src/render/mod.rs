//! A plan as one SQL query.
//!
//! Filters, projections, joins and an aggregate over scans are collected in a [`block::Block`] and become one
//! flat SELECT, whose joins PostgreSQL plans in any order. Only an operator that cannot be part of the same SELECT (a union
//! or an aggregate below a join, a DISTINCT below any operator) becomes a subquery in FROM.

mod block;
mod expr;
mod fixpoint;
mod names;
mod top_k;
mod unnest;

use std::collections::BTreeMap;

use crate::clock::CLOCK;
use crate::error::{Error, Result};
use crate::plan::{ColId, Plan, Relation, UnionAll, Values};
use crate::sql::ast::{Body, Distinct, Expr, Item, Query};
use crate::sql::ident::{Ident, QName};

use names::Aliases;
pub use names::unique;

/// The query of a plan; its output columns are the plan's, their names made unique.
///
/// # Errors
/// `Bug` where the plan reads a column that its input does not have.
pub fn query(plan: &Plan, names: &dyn Fn(&Relation) -> QName) -> Result<Query> {
    Renderer { names, aliases: Aliases::default(), outer: vec![], recursions: BTreeMap::new() }.query(plan)
}

/// The query of a plan that is not cut, with the expressions in `around` for the outer columns that it reads.
///
/// # Errors
/// As for [`query`].
pub fn query_within(plan: &Plan, around: BTreeMap<ColId, Expr>) -> Result<Query> {
    Renderer { names: &uncut, aliases: Aliases::default(), outer: vec![around], recursions: BTreeMap::new() }
        .query(plan)
}

/// The name of a relation in a plan that is not cut into nodes: it reads sources and the clock.
pub fn uncut(relation: &Relation) -> QName {
    match relation {
        Relation::Source(name) => name.clone(),
        Relation::Clock => QName::bare(CLOCK),
        other => QName::bare(format!("{other:?}")),
    }
}

/// Renders one query: its aliases, nested queries included, are all different.
struct Renderer<'a> {
    names: &'a dyn Fn(&Relation) -> QName,
    aliases: Aliases,
    /// What the columns of the enclosing queries are, for the subqueries of expressions.
    outer: Vec<expr::Columns>,
    /// The fixpoints around, by number: the names of their CTEs.
    recursions: BTreeMap<u32, Ident>,
}

impl Renderer<'_> {
    fn query(&mut self, plan: &Plan) -> Result<Query> {
        let columns = plan.columns();
        let ids: Vec<ColId> = columns.iter().map(|column| column.id).collect();
        let names = names::unique(&columns);
        match plan {
            Plan::UnionAll(union) => self.union(union, &names),
            Plan::TopK(top) => self.top_k(top, &ids, &names),
            Plan::Expand(expand) => self.expand(expand, &ids, &names),
            Plan::Distinct(distinct) => self.block(&distinct.input)?.select(&ids, &names, Distinct::Rows),
            Plan::Fixpoint(fixpoint) => self.fixpoint(fixpoint, &names),
            _ => self.block(plan)?.select(&ids, &names, Distinct::No),
        }
    }

    /// One SELECT per input.
    fn union(&mut self, union: &UnionAll, names: &[Ident]) -> Result<Query> {
        let mut arms = vec![];
        for (input, ids) in &union.inputs {
            arms.push(self.block(input)?.select(ids, names, Distinct::No)?);
        }
        Query::union_all(arms).ok_or(Error::Bug("a union of nothing"))
    }

    /// `VALUES (…), (…)`, to be used in FROM: its columns have no names of their own.
    fn values(&mut self, values: &Values) -> Result<Query> {
        let rows = values
            .rows
            .iter()
            .map(|row| row.iter().map(|e| self.expr(e, &expr::Columns::default())).collect::<Result<Vec<Expr>>>());
        let rows = rows.collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Err(Error::Bug("a list of values without rows"));
        }
        Ok(Query { with: None, body: Body::Values(rows), order_by: vec![], limit: None, offset: None })
    }
}

/// A select item; the alias is left out where the column has that name anyway.
fn item(expr: Expr, name: &Ident) -> Item {
    let named = matches!(&expr, Expr::Column(column) if column.column == *name);
    Item { expr, alias: (!named).then(|| name.clone()) }
}

#[cfg(test)]
mod tests;
