//! The touched groups with their old state and the new state, by addition.

use std::collections::BTreeMap;

use crate::catalog::Equality;
use crate::error::{Error, Result};
use crate::expr::{Expr as E, IsTest};
use crate::identity;
use crate::nodes::{companion, scale};
use crate::plan::{Aggregate, AggregateCall, ColId, Column, Expr};
use crate::view::NodeColumn;
use crate::view::{Scale, Successor, Upkeep};

use super::super::restrict::Key;
use super::super::{Cx, Delta};
use super::touched::{Change, Touched, touched};
use super::{Group, Groups, Stale, extremum};

/// The old values and the changes of a group, for each call.
struct Next<'a> {
    upkeep: &'a [Upkeep],
    changes: &'a [Change],
    old: Vec<Expr>,
    calls: &'a [AggregateCall],
    keyed: bool,
    /// The conditions that a key is NULL.
    null: Vec<Expr>,
}

pub fn groups(aggregate: &Aggregate, input: Delta, cx: &mut Cx) -> Result<Groups> {
    let upkeep = upkeep(cx)?;
    let Touched { plan, changes } = touched(aggregate, input, &upkeep, cx)?;
    let (state, old) = cx.old_state();
    let old_of = |id: ColId| old.get(&id).map(Column::expr).ok_or(Error::Bug("a state column is missing"));
    let (keyed, calls) = (!aggregate.keys.is_empty(), &aggregate.calls);
    let mut next = Next { upkeep: &upkeep, changes: &changes, old: vec![], calls, keyed, null: vec![] };
    for call in &aggregate.calls {
        next.old.push(old_of(call.column.id)?);
    }
    let mut keys = vec![];
    let mut columns: Vec<(Column, Expr)> = vec![];
    for key in &aggregate.keys {
        let known = cx.known(key.id)?.clone();
        let touched = cx.ids.column(key.name.as_str());
        columns.push((touched.clone(), next.key(key, old_of(key.id)?, &known)));
        next.null.extend((!known.not_null).then(|| key.expr().is_absent()));
        keys.push(Key { input: key.clone(), touched, known });
    }
    let mut calls = vec![];
    for (at, call) in aggregate.calls.iter().enumerate() {
        let known = cx.known(call.column.id)?.clone();
        let name = &call.column.name;
        let (before, after) = (cx.ids.column(companion(name, "old")), cx.ids.column(name.as_str()));
        columns.push((before.clone(), next.old[at].clone()));
        let followed = next.value(at, &known);
        let value = match is_indexed(upkeep[at]) {
            true => E::case(vec![(next.lost(at), extremum::looked_up(aggregate, call, cx)?)], followed),
            false => followed,
        };
        columns.push((after.clone(), value));
        calls.push(Group { old: before, new: after, known, counts: upkeep[at] == Upkeep::Count });
    }
    let stale = match next.stale() {
        _ if upkeep.contains(&Upkeep::Recompute) => Stale::Always,
        Some(condition) => {
            let column = cx.ids.column("stale");
            columns.push((column.clone(), condition));
            Stale::When(column)
        }
        None => Stale::Never,
    };
    let on = same_group(aggregate, &old, cx)?;
    let groups = plan.left_join(state, on).project(columns);
    let plan = cx.step("touched", "key-local: touched groups, old and new", groups);
    Ok(Groups { plan, keys, calls, stale })
}

fn is_indexed(upkeep: Upkeep) -> bool {
    matches!(upkeep, Upkeep::Min(Successor::Indexed) | Upkeep::Max(Successor::Indexed))
}

/// How each call is maintained; when one must be recomputed, all are.
fn upkeep(cx: &Cx) -> Result<Vec<Upkeep>> {
    let upkeep = &cx.node().upkeep;
    if upkeep.first() != Some(&Upkeep::Count) {
        return Err(Error::Bug("a state table without a row count"));
    }
    let all = upkeep.contains(&Upkeep::Recompute);
    let rest = upkeep.iter().skip(1).map(|upkeep| if all { Upkeep::Recompute } else { *upkeep });
    Ok(std::iter::once(Upkeep::Count).chain(rest).collect())
}

/// The condition that a touched group is a row of the state table, by its identity so that the index serves.
fn same_group(aggregate: &Aggregate, old: &BTreeMap<ColId, Column>, cx: &Cx) -> Result<Expr> {
    let value = |key: &Column| old.get(&key.id).map_or(E::null(), Column::expr);
    let pair = |key: &Column| Ok((cx.known(key.id)?, value(key), key.expr()));
    Ok(identity::same_key(&cx.node().identity, aggregate.keys.iter().map(pair).collect::<Result<_>>()?))
}

impl Next<'_> {
    /// A group retains the look of its key while it exists.
    fn key(&self, key: &Column, old: Expr, known: &NodeColumn) -> Expr {
        match known.ty.equality {
            Equality::Image => key.expr(),
            _ => E::case(vec![(self.old[0].clone().is_absent(), key.expr())], old),
        }
    }

    /// The value of a call after the change, unless the group is stale.
    fn value(&self, at: usize, known: &NodeColumn) -> Expr {
        let old = self.old[at].clone();
        match (&self.changes[at], self.upkeep[at]) {
            (Change::Moves { inserted, .. }, Upkeep::Min(_)) => E::call("least", vec![old, inserted.expr()]),
            (Change::Moves { inserted, .. }, _) => E::call("greatest", vec![old, inserted.expr()]),
            (Change::Adds(_), Upkeep::Sum { count, scale }) => {
                let sum = match scale {
                    Scale::Counted(counter) => {
                        E::call("round", vec![self.total(at), scale::largest(self.total(self.at(counter)))])
                    }
                    Scale::Integer | Scale::Fixed => self.total(at),
                };
                let empty = E::equals(self.total(self.at(count)), E::number(0));
                E::case(vec![(empty, E::null().cast(&known.ty.base))], sum)
            }
            (Change::Adds(_), _) => self.total(at),
            (Change::Unknown, _) => old,
        }
    }

    /// old + Δ, for a counter.
    fn total(&self, at: usize) -> Expr {
        let old = E::call("coalesce", vec![self.old[at].clone(), E::number(0)]);
        match &self.changes[at] {
            Change::Adds(added) => E::binary("+", old, added.expr()),
            _ => old,
        }
    }

    fn at(&self, id: ColId) -> usize {
        self.calls.iter().position(|call| call.column.id == id).unwrap_or(0)
    }

    /// The condition that addition does not give the new values of a group; `None` when it always does. A keyed group
    /// that is deleted has none.
    fn stale(&self) -> Option<Expr> {
        let (indexed, added): (Vec<usize>, Vec<usize>) =
            (0..self.calls.len()).partition(|at| is_indexed(self.upkeep[*at]));
        let any = |of: Vec<usize>| of.into_iter().flat_map(|at| self.stale_call(at)).collect::<Vec<Expr>>();
        let (mut conditions, lost) = (any(added), any(indexed));
        if !self.null.is_empty() && !lost.is_empty() {
            conditions.push(E::And(vec![E::any_of(self.null.clone()), E::any_of(lost)]));
        }
        (!conditions.is_empty()).then(|| self.remaining(conditions))
    }

    /// The condition that a group lost an extremum of which an index finds the next one, unless a key is NULL.
    fn lost(&self, at: usize) -> Expr {
        self.remaining(self.stale_call(at))
    }

    /// Any of the conditions is true for a group that is not deleted.
    fn remaining(&self, conditions: Vec<Expr>) -> Expr {
        let remains = self.keyed.then(|| E::binary(">", self.total(0), E::number(0)));
        E::all(remains.into_iter().chain([E::any_of(conditions).is(IsTest::True)]).collect())
    }

    fn stale_call(&self, at: usize) -> Vec<Expr> {
        match (&self.changes[at], self.upkeep[at]) {
            // A deleted value at or beyond the new extremum may have been its last copy, or one that
            // the same delta inserted.
            (Change::Moves { inserted, deleted }, upkeep) => {
                let least = matches!(upkeep, Upkeep::Min(_));
                let (better, extreme) = if least { (">", "least") } else { ("<", "greatest") };
                let extreme = E::call(extreme, vec![self.old[at].clone(), inserted.expr()]);
                let safe = E::binary(better, deleted.expr(), extreme).is(IsTest::NotTrue);
                vec![E::And(vec![deleted.expr().is_present(), safe])]
            }
            // Only of NaN and infinities, from which nothing can be subtracted, `x - x` is not zero.
            (Change::Adds(_), Upkeep::Sum { scale: scale @ (Scale::Fixed | Scale::Counted(_)), .. }) => {
                let itself = E::binary("-", self.total(at), self.total(at));
                let mut stale = vec![E::binary("<>", itself, E::number(0))];
                if let Scale::Counted(counter) = scale {
                    stale.push(scale::beyond_cap(self.total(self.at(counter))));
                }
                stale
            }
            _ => vec![],
        }
    }
}
