//! σ sinks: `σp(π(R)) = π(σp(R))`, `σp(σq(R)) = σ(q∧p)(R)`, `σp(R ⋈q S) = R ⋈(q∧p) S`.

use super::{project, substituted};
use crate::plan::{Expr, Filter, Plan, Project};

pub fn filter(input: Plan, predicate: Expr) -> Plan {
    match input {
        Plan::Filter(f) => {
            let Filter { input, predicate: first } = *f;
            let conjuncts = first.conjuncts().into_iter().chain(predicate.conjuncts()).collect();
            input.filter(Expr::all(conjuncts))
        }
        Plan::Project(p) => match substituted(&predicate, &p.columns) {
            Some(predicate) => {
                let Project { input, columns } = *p;
                project::project(filter(input, predicate), columns)
            }
            None => Plan::Project(p).filter(predicate),
        },
        Plan::Join(mut j) => {
            j.predicates.extend(predicate.conjuncts());
            Plan::Join(j)
        }
        other => other.filter(predicate),
    }
}
