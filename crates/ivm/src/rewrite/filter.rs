//! σ sinks: `σp(π(R)) = π(σp(R))`, `σp(σq(R)) = σ(q∧p)(R)`, `σp(R ⋈q S) = R ⋈(q∧p) S`, `σp(L ⋉ R) = σp(L) ⋉ R`;
//! `σp(L ⟕ R) = σp(L) ⟕ R` and `σp(L ×* f) = σp(L) ×* f` for a `p` over `L`; `σp(ω(R)) = ω(σp(R))` for a `p` over the
//! partition; and `σp(L ⟕q R) = L ⋈(q∧p) R` where `p` is not true for the NULLs of `R`.

use super::{join, project, substituted, window};
use crate::keys;
use crate::plan::{ColId, Expr, Filter, Outer, Plan, Project, Unnest, Window};

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
        Plan::Unnest(u) => {
            let Unnest { input, call, columns, ordinality, outer } = *u;
            let own = input.ids();
            let (input, staying) = sunk(input, predicate, |id| own.contains(&id));
            Plan::Unnest(Box::new(Unnest { input, call, columns, ordinality, outer })).filter_all(staying)
        }
        Plan::Window(w) => {
            let Window { input, partition, calls } = *w;
            let (input, staying) = sunk(input, predicate, |id| partition.contains(&id));
            let (window, staying) = window::first_rows(Window { input, partition, calls }, staying);
            Plan::Window(Box::new(window)).filter_all(staying)
        }
        other => other.filter(predicate),
    }
}

fn outer(outer: Outer, predicate: Expr) -> Plan {
    let Outer { left, right, on } = outer;
    let of_right = right.ids();
    if !keys::implied_not_null(&predicate).is_disjoint(&of_right) {
        let conditions = on.conjuncts().into_iter().chain(predicate.conjuncts()).collect();
        return join::join(vec![left, right], conditions);
    }
    let (left, staying) = sunk(left, predicate, |id| !of_right.contains(&id));
    left.left_join(right, on).filter_all(staying)
}

/// The input, restricted by the conjuncts that read only columns `below`, and the other conjuncts. One with a subquery
/// stays: the columns that it reads are not searched for.
fn sunk(input: Plan, predicate: Expr, below: impl Fn(ColId) -> bool) -> (Plan, Vec<Expr>) {
    let sinks = |e: &Expr| e.subqueries().is_empty() && e.columns().into_iter().all(|id| below(*id));
    let (sinking, staying): (Vec<Expr>, Vec<Expr>) = predicate.conjuncts().into_iter().partition(sinks);
    let input = if sinking.is_empty() { input } else { filter(input, Expr::all(sinking)) };
    (input, staying)
}
