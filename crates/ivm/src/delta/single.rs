//! Inputs of a join that are one row at most: together they are one row too.   `ΔS = {S} − {S before}`
//!
//! By the bilinear law, m of them that changed would make 3^m rows of which all but two cancel. What each was is at hand,
//! and so the product of them is what it is now, less what it was: two rows, whatever m is.

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{ColId, Plan, Relation, TopK, UnionAll};
use crate::view::View;

use super::join::Input;
use super::sum::weighted;
use super::{Cx, Delta};

/// Whether a plan is the row of a node that has one, or made of it: its delta is an old and a new row at most.
pub fn is_single(plan: &Plan, view: &View) -> bool {
    match plan {
        Plan::Scan(scan) => match scan.relation {
            Relation::Node(index) => view.nodes[index].is_one_row(),
            _ => false,
        },
        Plan::Project(project) => is_single(&project.input, view),
        Plan::Filter(filter) => is_single(&filter.input, view),
        Plan::Join(join) => join.inputs.iter().all(|input| is_single(input, view)),
        _ => false,
    }
}

/// The inputs of a join, those of one row that changed as one, the last.
pub fn united(inputs: Vec<Input>, cx: &mut Cx) -> Result<Vec<Input>> {
    let moves = |input: &Input| input.delta.is_some() && !input.threshold && is_single(&input.state, cx.view);
    let (moved, mut rest): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(moves);
    rest.extend(one(moved, cx)?);
    Ok(rest)
}

/// Changed inputs of one row as one.
pub fn one(mut moved: Vec<Input>, cx: &mut Cx) -> Result<Option<Input>> {
    if moved.len() <= 1 {
        return Ok(moved.pop());
    }
    let (mut states, mut before) = (vec![], vec![]);
    for Input { state, delta, .. } in moved {
        let delta = delta.ok_or(Error::Bug("an input that moves has a delta"))?;
        before.push(previous(&state, delta, cx));
        states.push(state);
    }
    let (state, before) = (Plan::join(states, vec![]), Plan::join(before, vec![]));
    let (columns, old) = (state.columns(), before.columns());
    let rows = vec![weighted(state.clone(), &columns, 1, &mut cx.ids), weighted(before, &old, -1, &mut cx.ids)];
    let delta = Delta::sum(columns, rows, &mut cx.ids);
    Ok(Some(Input::new(&state, Some(delta))))
}

/// What an input was: the row that left, or the one that is still there where none came or left.
fn previous(state: &Plan, delta: Delta, cx: &mut Cx) -> Plan {
    let Delta { plan: moved, w, .. } = cx.shared(delta, "d", "bilinear");
    let columns = state.columns();
    let own: Vec<ColId> = columns.iter().map(|column| column.id).collect();
    let (any, _) = moved.copied(&mut cx.ids);
    let same = state.clone().semi_join(any, E::bool(true), true);
    let fresh = columns.iter().map(|column| cx.ids.column(column.name.as_str())).collect();
    let left = moved.filter(E::binary("<", w.expr(), E::number(0)));
    let either = Plan::UnionAll(UnionAll { columns: fresh, inputs: vec![(left, own.clone()), (same, own)] });
    // The planner would expect two rows, and of m such inputs 2^m.
    let limit = Some(E::number(1));
    Plan::TopK(Box::new(TopK { input: either, partition: vec![], order: vec![], limit, offset: None, ties: false }))
}
