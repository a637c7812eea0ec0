//! σ sinks: `σp(π(R)) = π(σp(R))`, `σp(σq(R)) = σ(q∧p)(R)`, `σp(R ⋈q S) = R ⋈(q∧p) S`, `σp(L ⋉ R) = σp(L) ⋉ R`;
//! `σp(L ⟕ R) = σp(L) ⟕ R` and `σp(L ×* f) = σp(L) ×* f` for a `p` over `L`; `σp(ω(R)) = ω(σp(R))` for a `p` over the
//! partition; and `σp(L ⟕q R) = L ⋈(q∧p) R` where `p` is not true for the NULLs of `R`.

use super::{join, project, substituted, window};
use crate::keys;
use crate::plan::{ColId, Expr, Outer, Plan};

pub fn filter(input: Plan, predicate: Expr) -> Plan {
    match input {
        Plan::Filter(f) => {
            let conjuncts = f.predicate.conjuncts().into_iter().chain(predicate.conjuncts()).collect();
            f.input.filter(Expr::all(conjuncts))
        }
        Plan::Project(p) => match substituted(&predicate, &p.columns) {
            Some(predicate) => project::project(filter(p.input, predicate), p.columns),
            None => Plan::Project(p).filter(predicate),
        },
        Plan::Join(mut j) => {
            j.predicates.extend(predicate.conjuncts());
            Plan::Join(j)
        }
        Plan::Semi(s) => filter(s.left, predicate).semi_join(s.right, s.on, s.anti),
        Plan::Outer(o) => outer(o, predicate),
        Plan::Unnest(mut u) => {
            let own = u.input.ids();
            let staying = sink(&mut u.input, predicate, |id| own.contains(&id));
            Plan::Unnest(u).filter_all(staying)
        }
        Plan::Window(mut w) => {
            let staying = sink(&mut w.input, predicate, |id| w.partition.contains(&id));
            let staying = window::first_rows(&mut w, staying);
            Plan::Window(w).filter_all(staying)
        }
        other => other.filter(predicate),
    }
}

fn outer(mut outer: Box<Outer>, predicate: Expr) -> Plan {
    let of_right = outer.right.ids();
    if !keys::implied_not_null(&predicate).is_disjoint(&of_right) {
        let conditions = outer.on.conjuncts().into_iter().chain(predicate.conjuncts()).collect();
        return join::join(vec![outer.left, outer.right], conditions);
    }
    let staying = sink(&mut outer.left, predicate, |id| !of_right.contains(&id));
    Plan::Outer(outer).filter_all(staying)
}

/// Restricts an input by the conjuncts that read only columns `below`; the other conjuncts. One with a subquery stays: the
/// columns that it reads are not searched for.
fn sink(input: &mut Plan, predicate: Expr, below: impl Fn(ColId) -> bool) -> Vec<Expr> {
    let sinks = |e: &Expr| e.subqueries().is_empty() && e.columns().into_iter().all(|id| below(*id));
    let (sinking, staying): (Vec<Expr>, Vec<Expr>) = predicate.conjuncts().into_iter().partition(sinks);
    if !sinking.is_empty() {
        *input = filter(input.take(), Expr::all(sinking));
    }
    staying
}
