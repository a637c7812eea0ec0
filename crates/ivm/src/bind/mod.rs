//! Canonical SQL to a plan: names become column ids, clauses become operators.
//!
//! A CTE is a subquery with a name: every reference gets its own copy. [`refuse`] has the constructs that no law covers.

mod distance;
mod expr;
mod from;
mod group;
mod grouping_sets;
mod offset;
mod on_clock;
mod order;
mod recursive;
mod row_order;
mod scope;
mod select;
mod set_operation;
mod temporal;
mod using;
mod window;

use std::collections::BTreeMap;

use crate::catalog::{Catalog, ColumnType, FunctionKind};
use crate::error::{Error, Result};
use crate::plan::{ColId, Column, Distinct, Expr, Ids, Plan, UnionAll, Values, as_value};
use crate::refuse;
use crate::sql::ast::{self, Body, Query, SetOp};
use crate::sql::ident::QName;
use crate::types::Types;

use row_order::{RowOrder, Rows};
use scope::{Context, Place, Scope};

/// The plan of a query; its output columns carry the query's output names, in order.
///
/// # Errors
/// `Unsupported` for a construct that no law covers, `Catalog` for what the catalog does not know.
pub fn bind(query: &Query, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
    let mut binder = Binder { ids, functions: BTreeMap::new(), types: Types::new(catalog) };
    let query = binder.unordered(query)?;
    binder.query(&query, Context::default())
}

struct Binder<'a> {
    ids: &'a mut Ids,
    /// The kinds of functions loaded from the catalog.
    functions: BTreeMap<QName, FunctionKind>,
    /// The types of columns, as far as they are loaded.
    types: Types<'a>,
}

impl Binder<'_> {
    fn query(&mut self, query: &Query, context: Context) -> Result<Plan> {
        Ok(self.ordered(query, context)?.trimmed())
    }

    /// The outermost query, without an ORDER BY that selects no rows: a table has no order.
    fn unordered(&mut self, query: &Query) -> Result<Query> {
        let all = query.limit.is_none() && query.offset.is_none();
        let decides = matches!(&query.body, Body::Select(select) if matches!(select.distinct, ast::Distinct::On(_)));
        let mut query = query.clone();
        if all && !decides && !self.any_call(query.order_by.iter().map(|key| &key.expr), FunctionKind::Set)? {
            query.order_by.clear();
        }
        Ok(query)
    }

    /// The rows of a query, and their order.
    fn ordered(&mut self, query: &Query, context: Context) -> Result<Rows> {
        let context = match &query.with {
            Some(with) => context.within(context.ctes.with(with)),
            None => context,
        };
        let top = self.top(query, context)?;
        let (plan, row_order) = match &query.body {
            Body::Select(select) => return self.select(select, &query.order_by, top, context),
            Body::Values(rows) => (self.values(rows, context)?, RowOrder::Any),
            Body::SetOp { op: SetOp::Union, all, left, right } => {
                let (left, right) = (self.ordered(left, context)?, self.ordered(right, context)?);
                let row_order =
                    if *all { left.row_order.clone().mixed(right.row_order.clone()) } else { RowOrder::Any };
                (self.union(left.trimmed(), right.trimmed(), *all)?, row_order)
            }
            Body::SetOp { op, all, left, right } => {
                let (left, right) = (self.query(left, context)?, self.query(right, context)?);
                (self.set_operation(*op, *all, left, right)?, RowOrder::Any)
            }
        };
        let row_order = match query.order_by.is_empty() {
            true => row_order,
            false => RowOrder::Sorted(order::by_output(&query.order_by, &plan)?),
        };
        let Some(top) = top else { return Ok(Rows::new(plan, row_order)) };
        let order = row_order.keys_for("LIMIT")?;
        Ok(Rows::new(order::limited(plan, order, top), row_order))
    }

    fn values(&mut self, rows: &[Vec<ast::Expr>], context: Context) -> Result<Plan> {
        let width = rows.first().map_or(0, Vec::len);
        let columns = (1..=width).map(|at| self.ids.column(format!("column{at}"))).collect();
        let scope = Scope::default();
        let place = Place { scope: &scope, context };
        let rows = rows
            .iter()
            .map(|row| row.iter().map(|e| self.expr(e, &place).map(as_value)).collect::<Result<Vec<Expr>>>());
        let rows = rows.collect::<Result<Vec<_>>>()?;
        if rows.iter().any(|row| row.len() != width) {
            return Err(Error::Syntax("lists of VALUES with different lengths".to_owned()));
        }
        Ok(Plan::Values(Values { columns, rows }))
    }

    fn union(&mut self, left: Plan, right: Plan, all: bool) -> Result<Plan> {
        let union = self.union_all(left, right)?;
        Ok(if all { union } else { Plan::Distinct(Box::new(Distinct { input: union })) })
    }

    /// Both arms, converted to the types that PostgreSQL gives the union: each arm must have them on its own, because a
    /// delta may consist of one arm.
    fn union_all(&mut self, left: Plan, right: Plan) -> Result<Plan> {
        let (from_left, from_right) = (left.columns(), right.columns());
        if from_left.len() != from_right.len() {
            return Err(Error::Syntax("arms of UNION with different numbers of columns".to_owned()));
        }
        let columns: Vec<Column> = from_left.iter().map(|column| self.ids.column(column.name.as_str())).collect();
        let inputs = vec![left.arm(), right.arm()];
        let union = UnionAll { columns: columns.clone(), inputs };
        let plan = Plan::UnionAll(union.clone());
        self.load_types(&plan)?;
        let inputs = union.inputs.into_iter().map(|(input, ids)| self.converted(input, ids, &columns));
        let inputs = inputs.collect::<Result<_>>()?;
        Ok(Plan::UnionAll(UnionAll { columns, inputs }))
    }

    /// An arm whose columns have the types of `columns`.
    fn converted(&mut self, arm: Plan, ids: Vec<ColId>, columns: &[Column]) -> Result<(Plan, Vec<ColId>)> {
        let mut output = vec![];
        let mut same = true;
        for (id, column) in ids.iter().zip(columns) {
            let (from, to) = (self.types.get(*id)?, self.types.get(column.id)?);
            if from == to {
                output.push((Column { id: *id, name: column.name.clone() }, Expr::Column(*id)));
            } else {
                let cast = collated(Expr::Column(*id).cast(&to.name), from, to);
                let column = self.ids.column(column.name.as_str());
                self.types.insert(column.id, to.clone());
                output.push((column, cast));
                same = false;
            }
        }
        if same {
            return Ok((arm, ids));
        }
        let ids = output.iter().map(|(column, _)| column.id).collect();
        Ok((arm.project(output), ids))
    }

    fn load_types(&mut self, plan: &Plan) -> Result<()> {
        if !plan.free().into_iter().all(|id| self.types.knows(id)) {
            return Err(refuse::correlated());
        }
        self.types.extend(plan)
    }

    fn function(&mut self, name: &QName) -> Result<FunctionKind> {
        if let Some(kind) = self.functions.get(name) {
            return Ok(*kind);
        }
        let kind = match crate::sql::print::is_keyword_call(name) {
            true => FunctionKind::Scalar,
            false => self.types.catalog.function(name)?,
        };
        self.functions.insert(name.clone(), kind);
        Ok(kind)
    }
}

/// A value of an arm under the collation that the union has.
fn collated(value: Expr, from: &ColumnType, to: &ColumnType) -> Expr {
    let collation = match (&to.collation, &from.collation) {
        (Some(collation), _) => collation.clone(),
        (None, Some(_)) => QName::qualified("pg_catalog", "default"),
        (None, None) => return value,
    };
    Expr::Collate(Box::new(value), collation)
}

#[cfg(test)]
mod tests;
