//! Fixpoints, as PostgreSQL computes them: a round reads the rows of the one before.

use std::collections::BTreeSet;

use super::{Scope, Table, canonical};
use crate::error::{Error, Result};
use crate::plan::{ColId, Fixpoint, Plan, Relation};
use crate::testing::value::Row;

/// A recursion with more rounds or rows than this does not end.
const ROUNDS: usize = 60;
const ROWS: usize = 5000;

pub fn rows(fixpoint: &Fixpoint, scope: &Scope) -> Result<Vec<Row>> {
    let mut seen = BTreeSet::new();
    let mut fresh = |rows: Vec<Row>| match fixpoint.all {
        true => rows,
        false => rows.into_iter().filter(|row| seen.insert(canonical(row))).collect(),
    };
    let mut round = fresh(fed(&fixpoint.base, scope)?);
    let (mut result, mut rounds) = (vec![], 0);
    let mut tables = scope.tables.clone();
    while !round.is_empty() {
        rounds += 1;
        result.extend(round.iter().cloned());
        if rounds > ROUNDS || result.len() > ROWS {
            return Err(Error::Evaluation("the recursion does not end".to_owned()));
        }
        tables.insert(Relation::Recursion(fixpoint.number), Table { columns: fixpoint.names(), rows: round });
        round = fresh(fed(&fixpoint.step, &Scope { tables: &tables, ..*scope })?);
    }
    Ok(result)
}

/// The rows of a plan, its columns in this order.
fn fed((plan, ids): &(Plan, Vec<ColId>), scope: &Scope) -> Result<Vec<Row>> {
    let input = super::rows(plan, scope)?;
    let row = |row: &Row| {
        let inner = scope.inner(&input.columns, row);
        ids.iter().map(|id| inner.column(*id).cloned()).collect::<Result<Row>>()
    };
    input.rows.iter().map(row).collect()
}
