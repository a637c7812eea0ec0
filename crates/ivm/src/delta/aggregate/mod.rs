//! γ, aggregate.   Key-local:  Δγ(R) = γ(R↾K) − old γ↾K,  with K the groups that ΔR touches
//!
//! The old groups are the node's own table. Counters make most new groups cheap, because counting and
//! exact sums are linear: new = old + Δ. The rest is *stale* and recomputed from the input, restricted to
//! its keys: extrema that a deletion may have taken away, aggregates that cannot be undone, sums that meet
//! NaN or an infinity. A group leaves when its row count is zero; an aggregate without keys always has
//! its one row. A count below zero says that rows left that were never counted: such a group *leaves* once more than it
//! is there, and the table does not agree with the delta.

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
use super::sum::Rows;
use super::{Cx, Delta};

pub fn delta(aggregate: &Aggregate, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(input) = cx.delta(&aggregate.input)? else { return Ok(None) };
    let groups = next::groups(aggregate, input, cx)?;
    let (rows, consolidated) = match groups.stale {
        Stale::Never => (groups.followed(cx), true),
        Stale::Always => (recompute::replaced(aggregate, &groups, cx)?, false),
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

/// The groups that a delta touches, one row each, with what they were and what they become.
struct Groups {
    /// Reads the step that holds them.
    plan: Plan,
    keys: Vec<Key>,
    /// The calls, the row count first.
    calls: Vec<Group>,
    stale: Stale,
}

/// One call of a touched group. The new value means nothing in a stale group.
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
    /// Where a column of the touched groups says so.
    When(Column),
    Always,
}

impl Groups {
    /// Δ of the groups that follow by addition: out with the old row, in with the new, where they differ.
    fn followed(&self, cx: &mut Cx) -> Vec<Rows> {
        let mut condition: Vec<Expr> = match &self.stale {
            Stale::When(stale) => vec![E::Not(Box::new(stale.expr()))],
            _ => vec![],
        };
        condition.push(E::any_of(self.calls.iter().map(Group::differs).collect()));
        let left = self.rows([condition.clone(), vec![self.existed()]].concat(), Which::Old, cx);
        condition.extend(self.remains());
        vec![left, self.rows(condition, Which::New, cx)]
    }

    /// The groups that are recomputed: the condition, if it is not all of them.
    fn stale(&self) -> Option<Expr> {
        match &self.stale {
            Stale::When(stale) => Some(stale.expr()),
            _ => None,
        }
    }

    /// The group was there before the change.
    fn existed(&self) -> Expr {
        self.calls[0].old.expr().is_present()
    }

    /// The group is there after it, or cannot be; nothing to ask when there is one group only.
    fn remains(&self) -> Option<Expr> {
        let rows = self.calls[0].new.expr();
        (!self.keys.is_empty()).then(|| E::binary("<>", rows, E::number(0)))
    }

    /// More rows left the group than were in it.
    fn miscounted(&self) -> Expr {
        let counts = self.calls.iter().filter(|group| group.counts);
        E::any_of(counts.map(|group| E::binary("<", group.new.expr(), E::number(0))).collect())
    }

    /// The old rows leaving, or the new rows coming, of the groups that all conditions hold for.
    fn rows(&self, conditions: Vec<Expr>, which: Which, cx: &mut Cx) -> Rows {
        let calls = self.calls.iter().map(|group| match which {
            Which::Old => &group.old,
            Which::New => &group.new,
        });
        let gone = E::number(-1);
        let weight = match which {
            Which::Old => gone,
            Which::New => E::case(vec![(self.miscounted(), gone)], E::number(1)),
        };
        let weight = weight.cast("bigint");
        let mut columns: Vec<_> = self.keys.iter().map(|key| &key.touched).chain(calls).map(Column::pass).collect();
        columns.push((cx.ids.column("w"), weight));
        let ids = columns.iter().map(|(column, _)| column.id).collect();
        let groups = match conditions.is_empty() {
            true => self.plan.clone(),
            false => self.plan.clone().filter(E::all(conditions)),
        };
        (groups.project(columns), ids)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Which {
    Old,
    New,
}

impl Group {
    /// A user can tell the new value from the old one.
    fn differs(&self) -> Expr {
        let image = |column: &Column| match self.known.ty.equality {
            Equality::Image => column.expr(),
            Equality::Loose | Equality::Missing => identity::image(&self.known.ty, column.expr()),
        };
        E::Distinct(Box::new(image(&self.old)), Box::new(image(&self.new)))
    }
}
