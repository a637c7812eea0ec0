//! ⋈ flattens: `π(R) ⋈ S = π(R ⋈ S)`, `(R ⋈p S) ⋈q T = ⋈(p∧q)(R, S, T)`.

use super::{movable, project, substitute, substituted};
use crate::plan::{Column, Expr, Plan};

pub fn join(inputs: Vec<Plan>, predicates: Vec<Expr>) -> Plan {
    let mut output: Vec<(Column, Expr)> = vec![];
    let mut flat = vec![];
    let mut conditions = vec![];
    for input in inputs {
        let (input, columns) = lifted(input, &predicates);
        output.extend(columns);
        match input {
            Plan::Join(j) => {
                flat.extend(j.inputs);
                conditions.extend(j.predicates);
            }
            other => flat.push(other),
        }
    }
    for predicate in predicates.into_iter().flat_map(Expr::conjuncts) {
        conditions.push(substitute(&predicate, &output));
    }
    project::project(Plan::join(flat, conditions), output)
}

/// An input without its projection, and the projection; the input itself when a predicate cannot do
/// without.
fn lifted(input: Plan, predicates: &[Expr]) -> (Plan, Vec<(Column, Expr)>) {
    match input {
        Plan::Project(p) if movable(&p) && predicates.iter().all(|e| substituted(e, &p.columns).is_some()) => {
            (p.input, p.columns)
        }
        other => {
            let columns = other.pass();
            (other, columns)
        }
    }
}
