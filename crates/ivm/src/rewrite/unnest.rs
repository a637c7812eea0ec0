//! Subqueries of expressions become joins, so that they have deltas.
//!
//! | subquery | becomes |
//! |---|---|
//! | `EXISTS`, `IN`, `= ANY` that a row must satisfy | ⋉ |
//! | `NOT EXISTS`, `NOT IN`, `<> ALL` that a row must satisfy | ▷ |
//! | one value | ⟕ with a side that has one row at most for each row on the left |
//! | a truth value, under OR, in CASE or in the select list | ⟕ with the distinct keys of the subquery |
//!
//! What a subquery reads of the query around it is *lifted* out of it first (`lift`): conditions become
//! join conditions, and columns that an outer one is compared with become keys of the aggregates, limits
//! and windows on the way, one group for each value instead of one query for each row. That is what Kim
//! and Neumann call unnesting, restricted to correlation by equality.
//!
//! A subquery that reads no table is a function of its row, and stays as it is.

mod filter;
mod lateral;
mod lift;
mod value;

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::keys;
use crate::plan::{ColId, Column, Expr, Ids, Outer, Plan};

pub use lateral::lateral;
use lift::{Lifted, lift};

/// The plan without subqueries in its expressions.
pub fn unnest(plan: Plan, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
    Unnester { catalog, ids }.plan(plan)
}

struct Unnester<'a> {
    catalog: &'a dyn Catalog,
    ids: &'a mut Ids,
}

impl Unnester<'_> {
    fn plan(&mut self, plan: Plan) -> Result<Plan> {
        let plan = plan.try_map_inputs(&mut |input| self.plan(input))?;
        if !plan.expressions().iter().any(|e| has_subquery(e)) {
            return Ok(plan);
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
                let (asking, plain): (Vec<Expr>, Vec<Expr>) =
                    j.predicates.into_iter().flat_map(Expr::conjuncts).partition(has_subquery);
                self.filter(Plan::join(j.inputs, plain), Expr::all(asking))
            }
            Plan::Outer(o) => self.outer(*o),
            _ => Err(misplaced()),
        }
    }

    /// A condition that asks about the right side alone decides which of its rows there are to match.
    fn outer(&mut self, outer: Outer) -> Result<Plan> {
        let left: Vec<ColId> = outer.left.columns().iter().map(|column| column.id).collect();
        let (asking, plain): (Vec<Expr>, Vec<Expr>) = outer.on.conjuncts().into_iter().partition(has_subquery);
        if asking.iter().any(|e| crate::plan::reads(e).iter().any(|id| left.contains(id))) {
            return Err(misplaced());
        }
        let right = self.filter(outer.right, Expr::all(asking))?;
        Ok(outer.left.left_join(right, Expr::all(plain)))
    }

    /// A subquery, unnested itself, without what it reads of the query around it.
    fn lifted(&mut self, query: Plan) -> Result<Lifted> {
        let query = self.plan(query)?;
        lift(query, self.ids)
    }

    /// Whether a lifted subquery has at most one row for each row that its conditions join it with.
    fn is_single(&self, lifted: &Lifted) -> Result<bool> {
        let given = lifted.compared();
        let known = keys::determined(&lifted.plan, &given, self.catalog)?;
        let facts = keys::facts(&lifted.plan, self.catalog)?;
        Ok(facts.keys.iter().any(|key| key.is_subset(&known)))
    }
}

/// Whether an expression holds a subquery that reads a table.
fn has_subquery(e: &Expr) -> bool {
    e.subqueries().into_iter().any(reads_tables)
}

fn reads_tables(plan: &Plan) -> bool {
    let mut found = false;
    plan.scans(&mut |_| found = true);
    let asks = |plan: &Plan| plan.expressions().iter().any(|e| has_subquery(e));
    found || asks(plan) || plan.inputs().into_iter().any(reads_tables)
}

/// The plan with just these columns.
fn only(plan: Plan, columns: &[Column]) -> Plan {
    match plan.columns() == columns {
        true => plan,
        false => plan.project(columns.iter().map(Column::pass).collect()),
    }
}

fn misplaced() -> Error {
    Error::unsupported(
        "a subquery at this place",
        "only those in WHERE, HAVING, inner join conditions and select lists are joined",
        "Compute it in a subquery in FROM, and refer to its column.",
    )
}

#[cfg(test)]
mod tests;
