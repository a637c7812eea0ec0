//! Subqueries of expressions become joins, so that they have deltas.
//!
//! | subquery | becomes |
//! |---|---|
//! | `EXISTS`, `IN`, `= ANY` that a row must satisfy | ⋉ |
//! | `NOT EXISTS`, `NOT IN`, `<> ALL` that a row must satisfy | ▷ |
//! | one value | ⟕ with a side that has one row at most for each row on the left |
//! | a truth value, under OR, in CASE or in the select list | ⟕ with the distinct keys of the subquery |
//!
//! The outer columns that a subquery reads are *lifted* out of it first (`lift`): conditions become
//! join conditions, and columns that are compared with outer ones become keys of the aggregates, limits
//! and windows on the way, one group for each value instead of one query for each row. This is unnesting after Kim
//! and Neumann. What depends on outer columns in another way is first joined with their values (`domain`).
//!
//! A subquery that reads no table is a function of its row, and stays as it is.

mod domain;
mod filter;
mod lateral;
mod lift;
mod value;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::expr::{Expr as Generic, Op};
use crate::plan::{Column, Expr, Ids, Outer, Plan, reads};
use crate::types::Types;
use crate::{keys, operands, refuse};

pub use lateral::lateral;
use lift::{Lifted, Pair, lift};

/// The plan without subqueries in its expressions.
///
/// # Errors
/// `Unsupported` for a subquery that cannot be joined, `Catalog` for what the catalog does not know.
pub fn unnest(plan: Plan, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
    Unnester { ids, types: Types::new(catalog), is_conditional: false }.plan(plan)
}

struct Unnester<'a> {
    ids: &'a mut Ids,
    /// The types of columns that were loaded.
    types: Types<'a>,
    /// Whether the subquery that is joined is computed for some rows only.
    is_conditional: bool,
}

impl Unnester<'_> {
    fn plan(&mut self, plan: Plan) -> Result<Plan> {
        if matches!(plan, Plan::Fixpoint(_)) && compares(&plan) {
            self.load_types(&plan)?;
        }
        let plan = plan.try_map_inputs(&mut |input| self.plan(input))?;
        if !plan.expressions().iter().any(|e| has_subquery(e)) {
            return Ok(plan);
        }
        if plan.expressions().into_iter().any(|e| e.subqueries().into_iter().any(compares)) {
            plan.inputs().into_iter().try_for_each(|input| self.load_types(input))?;
        }
        match plan {
            Plan::Filter(f) => self.filter(f.input, f.predicate),
            Plan::Project(p) => {
                let mut input = p.input;
                let columns = p.columns.into_iter().map(|(column, e)| Ok((column, self.value(&mut input, e)?)));
                let columns = columns.collect::<Result<Vec<_>>>()?;
                Ok(input.project(columns))
            }
            Plan::Join(j) => {
                let (with_subquery, plain): (Vec<Expr>, Vec<Expr>) =
                    j.predicates.into_iter().flat_map(Expr::conjuncts).partition(has_subquery);
                self.filter(Plan::join(j.inputs, plain), Expr::all(with_subquery))
            }
            Plan::Outer(o) => self.outer(*o),
            _ => Err(refuse::misplaced()),
        }
    }

    /// A condition on the right side alone filters the rows that can match.
    fn outer(&mut self, outer: Outer) -> Result<Plan> {
        let left = outer.left.ids();
        let (with_subquery, plain): (Vec<Expr>, Vec<Expr>) = outer.on.conjuncts().into_iter().partition(has_subquery);
        if with_subquery.iter().any(|e| !reads(e).is_disjoint(&left)) {
            return Err(refuse::misplaced());
        }
        let right = self.filter(outer.right, Expr::all(with_subquery))?;
        Ok(outer.left.left_join(right, Expr::all(plain)))
    }

    /// Loads the types of a plan whose columns subqueries may read.
    fn load_types(&mut self, plan: &Plan) -> Result<()> {
        if !plan.free().into_iter().all(|id| self.types.knows(id)) {
            return Err(refuse::unliftable());
        }
        self.types.extend(plan)
    }

    /// The sides of `left op (query)` for a row of `plan`, column by column, cast as they are compared.
    fn pairs(&mut self, plan: &Plan, op: &Op, left: Expr, query: &Plan) -> Result<Vec<Pair>> {
        let columns = query.columns();
        let lefts = match left {
            Generic::Row(items) if columns.len() > 1 || items.len() == 1 => items,
            left => vec![left],
        };
        let named = lefts.into_iter().map(|left| (self.ids.column("left"), left)).collect::<Vec<_>>();
        self.load_types(&plan.clone().project(named.clone()))?;
        self.load_types(query)?;
        let pair = |((l, left), r): ((Column, Expr), &Column)| {
            let types = (self.types.get(l.id)?, self.types.get(r.id)?);
            operands::compared(op, (left, types.0), (r.expr(), types.1), self.types.catalog)
        };
        named.into_iter().zip(&columns).map(pair).collect()
    }

    /// A subquery, unnested itself, that reads no columns of the query around it.
    fn lifted(&mut self, query: Plan, around: &Plan) -> Result<Lifted> {
        let query = self.plan(query)?;
        lift(query, around, self)
    }

    /// Whether a lifted subquery has at most one row for each row that its conditions join it with.
    fn is_single(&self, lifted: &Lifted) -> Result<bool> {
        let facts = keys::facts(&lifted.plan, self.types.catalog)?;
        let known = facts.determined(&lifted.compared());
        Ok(facts.keys.iter().any(|key| key.is_subset(&known)))
    }
}

/// Whether an expression holds a subquery that reads a table.
fn has_subquery(e: &Expr) -> bool {
    e.subqueries().into_iter().any(reads_tables)
}

fn reads_tables(plan: &Plan) -> bool {
    !plan.relations().is_empty()
}

/// Whether a plan compares a value with those of a subquery.
fn compares(plan: &Plan) -> bool {
    let is_compared = |e: &Expr| matches!(e, Generic::InQuery(..) | Generic::QuantifiedQuery(_));
    let mut found = false;
    plan.visit(&mut |plan| found |= plan.expressions().into_iter().any(|e| e.any(&mut { is_compared })));
    found
}

/// The plan with just these columns.
fn only(plan: Plan, columns: &[Column]) -> Plan {
    match plan.columns() == columns {
        true => plan,
        false => plan.project(columns.iter().map(Column::pass).collect()),
    }
}

#[cfg(test)]
mod tests;
