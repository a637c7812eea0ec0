//! π: `π(π(R)) = π(R)`, and a projection onto what is there already is none.

use super::substituted;
use crate::plan::{Column, Expr, Plan};

pub fn project(input: Plan, columns: Vec<(Column, Expr)>) -> Plan {
    if changes_nothing(&input, &columns) {
        return input;
    }
    match input {
        Plan::Project(p) => {
            let merged = columns.iter().map(|(column, e)| Some((column.clone(), substituted(e, &p.columns)?)));
            match merged.collect::<Option<Vec<_>>>() {
                Some(merged) => project(p.input, merged),
                None => Plan::Project(p).project(columns),
            }
        }
        other => other.project(columns),
    }
}

fn changes_nothing(input: &Plan, columns: &[(Column, Expr)]) -> bool {
    columns.iter().all(|(column, e)| *e == column.expr()) && input.columns().iter().eq(columns.iter().map(|(c, _)| c))
}
