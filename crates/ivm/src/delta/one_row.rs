//! Inputs of a join that have at most one row: together they have at most one row, too.   `ΔS = {S} − {S before}`
//!
//! By the bilinear law, m of them that changed would make 3^m rows of which all but two cancel. The previous row of
//! each can be read, and so the delta of their product is the current row less the previous one: two rows for any m.

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{ColId, Plan, Role, UnionAll};

use super::product::Input;
use super::sum::weighted;
use super::{Cx, Delta};

/// The inputs of a join, with the changed ones of this role as one, the last.
pub fn united(inputs: Vec<Input>, role: Role, cx: &mut Cx) -> Result<Vec<Input>> {
    let is_moving = |input: &Input| input.role == role && input.is_changed();
    let (mut moved, mut rest): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(is_moving);
    rest.extend(if moved.len() > 1 { Some(product(moved, role, cx)?) } else { moved.pop() });
    Ok(rest)
}

fn product(moved: Vec<Input>, role: Role, cx: &mut Cx) -> Result<Input> {
    let (mut states, mut before) = (vec![], vec![]);
    for Input { state, delta, .. } in moved {
        let delta = delta.ok_or(Error::Bug("a changed input without a delta"))?;
        before.push(previous(&state, delta, cx));
        states.push(state);
    }
    let (state, before) = (Plan::join(states, vec![]), Plan::join(before, vec![]));
    let (columns, old) = (state.columns(), before.columns());
    let rows = vec![weighted(state.clone(), &columns, 1, &mut cx.ids), weighted(before, &old, -1, &mut cx.ids)];
    let delta = Some(Delta::sum(columns, rows, &mut cx.ids));
    Ok(Input { state, delta, role })
}

/// The previous row of an input: the deleted one, or the current one where the delta is empty.
fn previous(state: &Plan, delta: Delta, cx: &mut Cx) -> Plan {
    let Delta { plan: moved, w, .. } = cx.shared(delta, "d", "bilinear");
    let columns = state.columns();
    let own: Vec<ColId> = columns.iter().map(|column| column.id).collect();
    let (any, _) = moved.copied(&mut cx.ids);
    let same = state.clone().semi_join(any, E::bool(true), true);
    let fresh = columns.iter().map(|column| cx.ids.column(column.name.as_str())).collect();
    let deleted = moved.filter(E::binary("<", w.expr(), E::number(0)));
    let either = Plan::UnionAll(UnionAll { columns: fresh, inputs: vec![(deleted, own.clone()), (same, own)] });
    // The planner would expect two rows, and of m such inputs 2^m.
    either.limited(E::number(1))
}
