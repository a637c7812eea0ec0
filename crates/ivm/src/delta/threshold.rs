//! A threshold: an input S of a join that is one row at most and that only the join's predicates read.
//! Bilinear, `P ⋈ ΔS = crossing(P) ⋈ ΔS`
//!
//! `v > (SELECT avg(v) …)` is such a join. By the bilinear law all rows of P leave with the old average and come back
//! with the new one. As nobody is shown which of the two a row met, they cancel, unless a predicate holds for one of
//! them only: of P only the rows need be read that flip at some [`Comparison`]. That is a filter, which may let too
//! many rows pass; the weights are those of `P ⋈ ΔS`.
//!
//! Where one of the two rows can meet nothing, because it is not there, has a NULL for a bound or fails a condition
//! that P has no part in, the other stands *alone*: all that meets it comes or leaves.
//!
//! Several thresholds are one, `ΔS = {S} − {S before}`, where S before is the product of what each of them was.

mod crossing;

use std::collections::BTreeSet;

use crate::clock;
use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{ColId, Expr, Join, Plan, Relation, UnionAll, reads};
use crate::view::{Identity, View};

use super::comparison::Comparison;
use super::join::Input;
use super::sum::weighted;
use super::{Cx, Delta};

pub use crossing::crossing;

type Ids = BTreeSet<ColId>;

/// The inputs of a join with its changed thresholds as one, the last.
pub fn united(inputs: Vec<Input>, join: &Join, cx: &mut Cx) -> Result<Vec<Input>> {
    let Some(shown) = cx.node().plan.read_around(join) else { return Ok(inputs) };
    let all: Vec<Ids> = inputs.iter().map(|input| ids(&input.state)).collect();
    let union = |of: &dyn Fn(&Input, &Ids) -> bool| {
        let those = inputs.iter().zip(&all).filter(|(input, own)| of(input, own));
        those.flat_map(|(_, own)| own.clone()).collect::<Ids>()
    };
    let single = |input: &Input| is_single(&input.state, cx.view);
    let mut scope = Scope {
        moving: union(&|input, own| input.delta.is_some() && single(input) && own.is_disjoint(&shown)),
        single: union(&|input, _| single(input)),
        // Time is joined last.
        later: union(&|input, _| clock::is_scan(&input.state)),
    };
    while let Some(other) = join.predicates.iter().find(|e| matches!(scope.role(e), Role::Other)) {
        let read = reads(other);
        let met = all.iter().filter(|own| !own.is_disjoint(&read));
        met.for_each(|own| scope.moving.retain(|id| !own.contains(id)));
    }
    let is_moving = |input: &Input| !ids(&input.state).is_disjoint(&scope.moving);
    let (moved, mut rest): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(is_moving);
    rest.extend(one(moved, cx)?);
    Ok(rest)
}

/// Columns of the inputs of a join.
struct Scope {
    moving: Ids,
    /// Those of inputs that are one row at most, the moving ones among them.
    single: Ids,
    later: Ids,
}

/// What a predicate asks of what moves.
enum Role<'a> {
    Nothing,
    /// Whether the row that moves holds, whatever it meets.
    Gate,
    Bound(Comparison<'a>),
    Other,
}

impl Scope {
    fn role<'a>(&self, e: &'a Expr) -> Role<'a> {
        let read = reads(e);
        if read.is_disjoint(&self.moving) {
            return Role::Nothing;
        }
        if !read.is_disjoint(&self.later) || !e.subqueries().is_empty() {
            return Role::Other;
        }
        if read.is_subset(&self.single) {
            return Role::Gate;
        }
        match Comparison::of(e, &self.moving) {
            Some(comparison) if reads(comparison.f).is_subset(&self.single) => Role::Bound(comparison),
            _ => Role::Other,
        }
    }
}

/// Whether a plan is the row of a node that has one, or made of it: its delta is an old and a new row at most.
fn is_single(plan: &Plan, view: &View) -> bool {
    match plan {
        Plan::Scan(scan) => match scan.relation {
            Relation::Node(index) => matches!(&view.nodes[index].identity, Identity::Key(key) if key.is_empty()),
            _ => false,
        },
        Plan::Project(project) => is_single(&project.input, view),
        Plan::Filter(filter) => is_single(&filter.input, view),
        _ => false,
    }
}

fn ids(plan: &Plan) -> Ids {
    plan.columns().iter().map(|column| column.id).collect()
}

/// Thresholds as one.
fn one(mut moved: Vec<Input>, cx: &mut Cx) -> Result<Option<Input>> {
    if moved.len() <= 1 {
        return Ok(moved.pop().map(|input| Input { threshold: true, ..input }));
    }
    let (mut states, mut before) = (vec![], vec![]);
    for Input { state, delta, .. } in moved {
        let delta = delta.ok_or(Error::Bug("a threshold that moves has a delta"))?;
        before.push(previous(&state, delta, cx));
        states.push(state);
    }
    let (state, before) = (Plan::join(states, vec![]), Plan::join(before, vec![]));
    let (columns, old) = (state.columns(), before.columns());
    let rows = vec![weighted(state.clone(), &columns, 1, &mut cx.ids), weighted(before, &old, -1, &mut cx.ids)];
    let delta = Delta::sum(columns, rows, &mut cx.ids);
    Ok(Some(Input { state, delta: Some(delta), threshold: true }))
}

/// What a threshold was: the row that left, or the one that is still there where none came or left.
fn previous(state: &Plan, delta: Delta, cx: &mut Cx) -> Plan {
    let Delta { plan: moved, w, .. } = cx.shared(delta, "d", "bilinear");
    let columns = state.columns();
    let own: Vec<ColId> = columns.iter().map(|column| column.id).collect();
    let (any, _) = moved.copied(&mut cx.ids);
    let same = state.clone().semi_join(any, E::bool(true), true);
    let fresh = columns.iter().map(|column| cx.ids.column(column.name.as_str())).collect();
    let left = moved.filter(E::binary("<", w.expr(), E::number(0)));
    Plan::UnionAll(UnionAll { columns: fresh, inputs: vec![(left, own.clone()), (same, own)] })
}
