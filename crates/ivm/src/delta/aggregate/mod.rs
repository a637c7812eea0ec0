//! γ, aggregate.   Key-local:  Δγ(R) = γ(R↾K) − old γ↾K,  with K the groups that ΔR touches
//!
//! The old groups are the node's own table. Counters make most new groups cheap, because counting and
//! exact sums are linear: new = old + Δ. An index may find the next extremum. The rest is *stale* and recomputed from the
//! input, restricted to its keys: extrema that may have been deleted, aggregates that cannot be undone, sums that meet
//! NaN or an infinity. A group is deleted when its row count is zero; an aggregate without keys always has
//! its one row. A count below zero means that rows were deleted that were never counted: such a group is deleted once
//! more than it exists, and applying the delta fails.

mod extremum;
mod next;
mod recompute;
mod touched;

use crate::catalog::Equality;
use crate::error::Result;
use crate::expr::Expr as E;
use crate::identity;
use crate::plan::{Aggregate, Column, Expr, Plan};
use crate::view::NodeColumn;

use super::restrict::Key;
use super::{Cx, Delta};

pub fn delta(aggregate: &Aggregate, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(input) = cx.delta(&aggregate.input)? else { return Ok(None) };
    let groups = next::groups(aggregate, input, cx)?;
    let (rows, consolidated) = match groups.stale {
        Stale::Never => (groups.followed(cx), true),
        Stale::Always => (recompute::replaced(aggregate, &groups, cx), false),
        Stale::When(_) => {
            let mut rows = groups.followed(cx);
            rows.push(recompute::step(aggregate, &groups, cx)?);
            (rows, true)
        }
    };
    Ok(Some(Delta { consolidated, ..Delta::sum(output(aggregate), rows, &mut cx.ids) }))
}

fn output(aggregate: &Aggregate) -> Vec<Column> {
    aggregate.keys.iter().cloned().chain(aggregate.calls.iter().map(|call| call.column.clone())).collect()
}

/// The groups that a delta touches, one row each, with their old and new values.
struct Groups {
    /// A scan of the step that holds them.
    plan: Plan,
    keys: Vec<Key>,
    /// The calls, the row count first.
    calls: Vec<Group>,
    stale: Stale,
}

/// One call of a touched group. The new value is undefined in a stale group.
struct Group {
    old: Column,
    new: Column,
    known: NodeColumn,
    /// Whether it counts rows.
    counts: bool,
}

/// Which groups are recomputed.
enum Stale {
    Never,
    /// Where a column of the touched groups is true.
    When(Column),
    Always,
}

impl Groups {
    /// Δ of the groups whose counters are added up: −1 for the old row, +1 for the new one, where they differ.
    fn followed(&self, cx: &mut Cx) -> Vec<Plan> {
        let mut condition: Vec<Expr> = self.stale().into_iter().map(|stale| E::Not(Box::new(stale))).collect();
        condition.push(E::any_of(self.calls.iter().map(Group::differs).collect()));
        let left = self.old_rows([condition.clone(), vec![self.existed()]].concat(), cx);
        condition.extend(self.remains());
        vec![left, self.new_rows(condition, cx)]
    }

    /// The condition that a group is recomputed, unless all or none are.
    fn stale(&self) -> Option<Expr> {
        if let Stale::When(stale) = &self.stale { Some(stale.expr()) } else { None }
    }

    /// The group existed before the change.
    fn existed(&self) -> Expr {
        self.calls[0].old.expr().is_present()
    }

    /// The group exists after the change, or has an impossible count; `None` when there is one group only.
    fn remains(&self) -> Option<Expr> {
        let rows = self.calls[0].new.expr();
        (!self.keys.is_empty()).then(|| E::binary("<>", rows, E::number(0)))
    }

    /// More rows of the group were deleted than it had.
    fn miscounted(&self) -> Expr {
        let counts = self.calls.iter().filter(|group| group.counts);
        E::any_of(counts.map(|group| E::binary("<", group.new.expr(), E::number(0))).collect())
    }

    /// The old rows of the groups for which all conditions hold.
    fn old_rows(&self, conditions: Vec<Expr>, cx: &mut Cx) -> Plan {
        self.rows(conditions, |group| &group.old, E::number(-1), cx)
    }

    /// The new rows of the groups for which all conditions hold.
    fn new_rows(&self, conditions: Vec<Expr>, cx: &mut Cx) -> Plan {
        let weight = E::case(vec![(self.miscounted(), E::number(-1))], E::number(1));
        self.rows(conditions, |group| &group.new, weight, cx)
    }

    fn rows(&self, conditions: Vec<Expr>, value: fn(&Group) -> &Column, weight: Expr, cx: &mut Cx) -> Plan {
        let calls = self.calls.iter().map(value);
        let columns: Vec<Column> = self.keys.iter().map(|key| &key.touched).chain(calls).cloned().collect();
        let rows = self.plan.clone().filter_all(conditions);
        Delta::weighted(rows, &columns, weight.cast("bigint"), &mut cx.ids).plan
    }
}

impl Group {
    /// The new value looks different from the old one.
    fn differs(&self) -> Expr {
        let image = |column: &Column| match self.known.ty.equality {
            Equality::Image => column.expr(),
            Equality::Loose | Equality::Missing => identity::image(&self.known.ty, column.expr()),
        };
        E::Distinct(Box::new(image(&self.old)), Box::new(image(&self.new)))
    }
}
