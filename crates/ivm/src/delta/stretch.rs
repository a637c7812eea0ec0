//! Where the rows begin and end whose values a change reaches, in windows whose calls run or read rows nearby.
//!
//! Say that a value depends on `before` rows before its own and on `after` rows after it. Then a change reaches the `after` rows
//! before it and the `before` rows after it, or all rows after it where a call runs; and to compute those, as many rows more
//! are read on either side. Before the first changed row and after the last one the old rows are the new ones, so the node's
//! table tells these places. A place is what the first key of the order says: rows that are equal in it are never parted.

use crate::error::{Error, Result};
use crate::expr::{Direction, Expr as E};
use crate::identity;
use crate::nodes::{running, width};
use crate::plan::{AggregateCall, ColId, Column, Expr, Order, Plan, Ties, TopK, Window};
use crate::view::Running;

use super::Cx;
use super::partitioned::{held, of_table};
use super::restrict::{Key, Meet, Meets};

/// The order of a window by its first key, and how far the values of its calls reach.
pub struct Reach<'a> {
    keys: &'a [Key],
    key: Order,
    /// The first key, a column of the input.
    pub own: ColId,
    before: i64,
    after: i64,
    runs: bool,
}

/// Touched partitions, each with the columns that tell where its rows begin and end: those that a change reaches, and those
/// that their values depend on. Without an end, the last row of the partition is one.
pub struct Stretch {
    pub plan: Plan,
    pub reached: (Column, Option<Column>),
    pub read: (Column, Option<Column>),
}

#[derive(Clone, Copy)]
enum Towards {
    Start,
    End,
}

impl<'a> Reach<'a> {
    pub fn of(window: &Window, calls: &[Running], keys: &'a [Key]) -> Result<Reach<'a>> {
        let key = running::order(window).first().cloned().ok_or(Error::Bug("a running window without an order"))?;
        let own = running::column(&key.expr).ok_or(Error::Bug("a running window in the order of an expression"))?;
        let (before, after, runs) = running::reach(calls);
        Ok(Reach { keys, key, own, before, after, runs })
    }

    /// The touched partitions, each with its first changed row, and its last one where that counts.
    pub fn touched(&self, rows: Plan, cx: &mut Cx) -> (Plan, Column, Option<Column>) {
        let first = cx.ids.column("first");
        let keys = self.keys.iter().map(|key| (key.touched.clone(), key.input.expr()));
        let law = "key-local: touched partitions, and where their changes begin";
        if self.runs {
            let partition = self.keys.iter().map(|key| key.input.id).collect();
            let (order, limit) = (vec![self.key.clone()], Some(E::number(1)));
            let top = TopK { input: rows, partition, order, limit, offset: None, ties: Ties::Split };
            let columns = keys.chain([(first.clone(), self.key.expr.clone())]).collect();
            return (cx.step("touched", law, Plan::TopK(Box::new(top)).project(columns)), first, None);
        }
        let (changed, last) = (cx.ids.column("changed"), cx.ids.column("last"));
        let rows = rows.project(keys.chain([(changed.clone(), self.key.expr.clone())]).collect());
        let call =
            |column: &Column, towards| AggregateCall::new(column.clone(), self.extremum(towards), vec![changed.id]);
        let calls = vec![call(&first, Towards::Start), call(&last, Towards::End)];
        let ends = rows.aggregate(self.keys.iter().map(|key| key.touched.clone()).collect(), calls);
        let ends = if self.keys.is_empty() { ends.filter(first.expr().is_present()) } else { ends };
        (
            cx.step("touched", "key-local: touched partitions, and where their changes begin and end", ends),
            first,
            Some(last),
        )
    }

    /// Where the rows begin and end that changes from `first` to `last` reach.
    pub fn stretch(
        &self,
        (touched, meet): Meets,
        (first, last): (&Column, Option<&Column>),
        cx: &mut Cx,
    ) -> Result<Stretch> {
        let near = |column: &Column| (column.clone(), last.cloned());
        if self.before == 0 && self.after == 0 {
            return Ok(Stretch { plan: touched.clone(), reached: near(first), read: near(first) });
        }
        let mut plan = touched.clone();
        let mut place = |from: &Column, by, towards, name| self.moved((&mut plan, meet), from, (by, towards, name), cx);
        let from = place(first, self.after, Towards::Start, "reached_from")?;
        let read_from = place(&from, self.before, Towards::Start, "read_from")?;
        let (to, read_to) = match last {
            Some(last) => {
                let to = place(last, self.before, Towards::End, "reached_to")?;
                let read_to = place(&to, self.after, Towards::End, "read_to")?;
                (Some(to), Some(read_to))
            }
            None => (None, None),
        };
        let plan = cx.step_if("stretch", "key-local: which rows the changes reach", plan, touched);
        Ok(Stretch { plan, reached: (from, to), read: (read_from, read_to) })
    }

    /// Adds the place `by` rows from another one as a column: that of the last row before that, if they are fewer, or that place
    /// itself, if there is none.
    fn moved(
        &self,
        (plan, meet): (&mut Plan, Meet),
        from: &Column,
        (by, towards, name): (i64, Towards, &str),
        cx: &mut Cx,
    ) -> Result<Column> {
        if by == 0 {
            return Ok(from.clone());
        }
        let (state, old) = cx.old_state();
        let own = of_table(&old, self.own)?;
        let held = held(self.keys, &old)?;
        let mut conditions = meet(&held);
        conditions.extend(by_hash(&held));
        let order = Order { expr: own.expr(), ..self.key.clone() };
        let order = match towards {
            Towards::Start => {
                conditions.push(self.is_before(own.expr(), from));
                reversed(order)
            }
            Towards::End => {
                conditions.push(self.compared(">", "<", own.expr(), from));
                order
            }
        };
        let (input, limit) = (state.filter_all(conditions), Some(E::number(by)));
        let rows = TopK { input, partition: vec![], order: vec![order], limit, offset: None, ties: Ties::Split };
        let (furthest, place) = (cx.ids.column("furthest"), cx.ids.column(name));
        let call = AggregateCall::new(furthest.clone(), self.extremum(towards), vec![own.id]);
        let found = Plan::TopK(Box::new(rows)).aggregate(vec![], vec![call]);
        let columns = plan.pass().into_iter();
        let columns =
            columns.chain([(place.clone(), E::call("coalesce", vec![furthest.expr(), from.expr()]))]).collect();
        *plan = plan.clone().lateral(found).project(columns);
        Ok(place)
    }

    /// The conditions that a value is between two places.
    pub fn between(&self, (from, to): &(Column, Option<Column>), value: &Expr) -> Vec<Expr> {
        let to = to.iter().map(|to| self.compared("<=", ">=", value.clone(), to));
        [self.compared(">=", "<=", value.clone(), from)].into_iter().chain(to).collect()
    }

    /// The condition that a value is before a place.
    pub fn is_before(&self, value: Expr, place: &Column) -> Expr {
        self.compared("<", ">", value, place)
    }

    /// A value compared with a place, by the operator of the order's direction.
    fn compared(&self, ascending: &str, descending: &str, value: Expr, place: &Column) -> Expr {
        E::binary(if self.ascends() { ascending } else { descending }, value, place.expr())
    }

    /// The aggregate of the first or the last place.
    fn extremum(&self, towards: Towards) -> &'static str {
        if matches!(towards, Towards::Start) == self.ascends() { "min" } else { "max" }
    }

    fn ascends(&self) -> bool {
        self.key.direction == Direction::Ascending
    }
}

/// The other way round.
pub fn reversed(key: Order) -> Order {
    let ascends = key.direction == Direction::Ascending;
    let direction = if ascends { Direction::Descending } else { Direction::Ascending };
    Order { direction, nulls_first: key.nulls_first.map(|first| !first), ..key }
}

/// The condition that keys have the same hash, where the index of a node's table has the hash of those that may be too long for it.
pub fn by_hash(keys: &[Key]) -> Option<Expr> {
    let long: Vec<&Key> = keys.iter().filter(|key| width(&key.known.ty.name).is_none()).collect();
    let pairs = long.iter().map(|key| (&key.known, key.input.expr(), key.touched.expr()));
    if long.iter().all(|key| key.known.ty.hashable) { identity::same_hash(&pairs.collect::<Vec<_>>()) } else { None }
}
