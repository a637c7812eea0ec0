//! ⋉: `π(L) ⋉ R = π(L ⋉ R)`, so that a join reads the scans below the projection; and `σp(L ⋈ S) ⋉ R = (σp(L) ⋉ R) ⋈ S` where
//! the condition compares columns of `L` with keys of `R`. A delta of that join begins with the rows that have a match, gain
//! or lose one; not with all rows that are joined with a change.

use super::{filter, movable, project, substitute, substituted};
use crate::clock;
use crate::plan::{Expr, Join, Plan, Semi, equality, reads};

pub fn semi(semi: Semi) -> Plan {
    match semi.left {
        Plan::Project(p) if movable(&p) && substituted(&semi.on, &p.columns).is_some() => {
            let on = substitute(&semi.on, &p.columns);
            project::project(self::semi(Semi { left: p.input, on, ..semi }), p.columns)
        }
        left => left.semi_join(semi.right, semi.on, semi.anti),
    }
}

/// Moves semi and anti joins on keys into the input of a join that they compare. The last rule: others look for what is an
/// input of a join.
pub fn sink(plan: Plan) -> Plan {
    match plan.map_inputs(&mut sink) {
        Plan::Semi(semi) => sunk(*semi),
        other => other,
    }
}

fn sunk(semi: Semi) -> Plan {
    let Semi { left, right, on, anti } = semi;
    match left {
        Plan::Join(mut join) => match compared(&join, &right, &on) {
            Some(at) => {
                let input = join.inputs[at].take();
                let own = input.ids();
                let is_own = |e: &Expr| e.subqueries().is_empty() && e.columns().into_iter().all(|id| own.contains(id));
                let (filters, predicates): (Vec<Expr>, Vec<Expr>) = join.predicates.into_iter().partition(is_own);
                let left = filters.into_iter().fold(input, filter::filter);
                join.inputs[at] = sunk(Semi { left, right, on, anti });
                Plan::join(join.inputs, predicates)
            }
            None => Plan::Join(join).semi_join(right, on, anti),
        },
        left => left.semi_join(right, on, anti),
    }
}

/// The input of a join that a condition compares with keys of `right`, where it reads no other.
fn compared(join: &Join, right: &Plan, on: &Expr) -> Option<usize> {
    let of_right = right.ids();
    let keyed = |e: &Expr| equality(e, &of_right).is_some() || reads(e).is_subset(&of_right);
    let mut read = reads(on);
    read.retain(|id| !of_right.contains(id));
    let is_read = |input: &Plan| !read.is_disjoint(&input.ids());
    let mut inputs = (0..join.inputs.len()).filter(|at| is_read(&join.inputs[*at]));
    let at = inputs.next().filter(|_| inputs.next().is_none())?;
    let sinks = on.clone().conjuncts().iter().all(keyed) && read.is_subset(&join.inputs[at].ids());
    (sinks && !is_one_row(&join.inputs[at])).then_some(at)
}

/// Whether a plan has one row at most, which a join reads in a way of its own.
fn is_one_row(plan: &Plan) -> bool {
    match plan {
        Plan::Aggregate(aggregate) => aggregate.keys.is_empty(),
        Plan::Project(project) => is_one_row(&project.input),
        Plan::Filter(filter) => is_one_row(&filter.input),
        other => clock::is_scan(other),
    }
}
