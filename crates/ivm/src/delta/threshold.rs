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
//! Several thresholds are one, see `single`.

mod crossing;

use std::collections::BTreeSet;

use crate::clock;
use crate::error::Result;
use crate::plan::{ColId, Expr, Join, Plan, reads};

use super::Cx;
use super::comparison::Comparison;
use super::join::Input;
use super::single::{is_single, one};

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
    rest.extend(one(moved, cx)?.map(|input| Input { threshold: true, ..input }));
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

fn ids(plan: &Plan) -> Ids {
    plan.columns().iter().map(|column| column.id).collect()
}
