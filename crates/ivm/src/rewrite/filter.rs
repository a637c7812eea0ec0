//! σ sinks: `σp(π(R)) = π(σp(R))`, `σp(σq(R)) = σ(q∧p)(R)`, `σp(R ⋈q S) = R ⋈(q∧p) S`, `σp(L ⋉ R) = σp(L) ⋉ R`,
//! `σp(L ⟕ R) = σp(L) ⟕ R` and `σp(L ×* f) = σp(L) ×* f` for a `p` over `L`; and `σp(L ⟕q R) = L ⋈(q∧p) R` where `p` is true for no NULLs of `R`.

use std::collections::BTreeSet;

use super::{join, project, substituted, window};
use crate::keys;
use crate::plan::{ColId, Expr, Filter, Outer, Plan, Project, Unnest};

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
        Plan::Semi(s) => filter(s.left, predicate).semi_join(s.right, s.on, s.anti),
        Plan::Outer(o) => outer(*o, predicate),
        Plan::Unnest(u) => unnest(*u, predicate),
        Plan::Window(w) => window::filtered(*w, predicate),
        other => other.filter(predicate),
    }
}

fn outer(outer: Outer, predicate: Expr) -> Plan {
    let Outer { left, right, on } = outer;
    let of_right: BTreeSet<ColId> = right.columns().iter().map(|column| column.id).collect();
    if !keys::implied_not_null(&predicate).is_disjoint(&of_right) {
        let conditions = on.conjuncts().into_iter().chain(predicate.conjuncts()).collect();
        return join::join(vec![left, right], conditions);
    }
    let (sinking, staying) = split(predicate, &of_right);
    let left = if sinking.is_empty() { left } else { filter(left, Expr::all(sinking)) };
    let plan = left.left_join(right, on);
    if staying.is_empty() { plan } else { plan.filter(Expr::all(staying)) }
}

fn unnest(unnest: Unnest, predicate: Expr) -> Plan {
    let returned = unnest.columns.iter().map(|(column, _)| column.id).collect();
    let (sinking, staying) = split(predicate, &returned);
    let input = if sinking.is_empty() { unnest.input } else { filter(unnest.input, Expr::all(sinking)) };
    let plan = Plan::Unnest(Box::new(Unnest { input, ..unnest }));
    if staying.is_empty() { plan } else { plan.filter(Expr::all(staying)) }
}

/// The conjuncts that do without these columns, and the others. What a subquery reads is not looked for.
fn split(predicate: Expr, columns: &BTreeSet<ColId>) -> (Vec<Expr>, Vec<Expr>) {
    let free = |e: &Expr| e.subqueries().is_empty() && e.columns().into_iter().all(|id| !columns.contains(id));
    predicate.conjuncts().into_iter().partition(free)
}
