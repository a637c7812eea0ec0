//! ω that runs.   Key-local:  Δω(R) = ω(R↾K) − old ω↾K,  with K the rows of touched partitions from the first changed one on
//!
//! The value at a row is that of the rows up to it, so the rows before the first changed one stay. Those after it go on from
//! the values that the table shows for the last one before. First is what the first key of the order says: rows that are
//! equal in it belong to K, so that peers are never parted.

use crate::error::{Error, Result};
use crate::expr::{Direction, Expr as E};
use crate::nodes::{companion, running};
use crate::plan::{AggregateCall, ColId, Column, Expr, Order, Plan, Ties, TopK, Window};
use crate::view::Running;

use super::partitioned::{Partitioned, held, of_table, touched_null};
use super::restrict::{self, Key, Meets};
use super::sum::weighted;
use super::{Cx, Delta, RECOMPUTED};

/// A window with how its calls go on, and the first changed row of a touched partition.
struct Suffix<'a> {
    operator: &'a Partitioned<'a>,
    window: &'a Window,
    calls: &'a [Running],
    keys: Vec<Key>,
    /// The first key of the order: among the touched keys, and of the window's input.
    first: Column,
    key: Order,
}

pub fn replaced(
    operator: &Partitioned,
    (window, calls): (&Window, &[Running]),
    input: Delta,
    cx: &mut Cx,
) -> Result<Delta> {
    let keys = operator.keys(cx)?;
    let key = running::order(window).first().cloned().ok_or(Error::Bug("a running window without an order"))?;
    let first = cx.ids.column("first");
    let suffix = Suffix { operator, window, calls, keys, first, key };
    let touched = suffix.touched(input, cx);
    let mut rows = suffix.exchanged((&touched, restrict::equal), cx)?;
    if let Some(touched) = touched_null(&suffix.keys, &touched, cx) {
        rows.extend(suffix.exchanged((&touched, restrict::with_nulls), cx)?);
    }
    Ok(Delta::sum(operator.columns(), rows, &mut cx.ids))
}

impl Suffix<'_> {
    /// The keys of a delta's rows, each with the first row.
    fn touched(&self, input: Delta, cx: &mut Cx) -> Plan {
        let partition = self.keys.iter().map(|key| key.input.id).collect();
        let (order, limit) = (vec![self.key.clone()], Some(E::number(1)));
        let top = TopK { input: input.plan, partition, order, limit, offset: None, ties: Ties::Split };
        let keys = self.keys.iter().map(|key| (key.touched.clone(), key.input.expr()));
        let columns = keys.chain([(self.first.clone(), self.key.expr.clone())]).collect();
        let plan = Plan::TopK(Box::new(top)).project(columns);
        cx.step("touched", "key-local: touched partitions, and where their changes begin", plan)
    }

    /// −1 for the old rows from the first changed one on, +1 for the new ones.
    fn exchanged(&self, (touched, meet): Meets, cx: &mut Cx) -> Result<Vec<Plan>> {
        let (before, starts) = self.before((touched, meet), cx)?;
        let (state, old) = cx.old_state();
        let shown = self.operator.columns();
        let columns = shown.iter().map(|column| of_table(&old, column.id)).collect::<Result<Vec<_>>>()?;
        let held = self.rest((touched.clone(), state), meet(&held(&self.keys, &old)?), |id| of_table(&old, id))?;
        let deleted = weighted(held, &columns, -1, &mut cx.ids);
        let input = self.operator.input()?;
        let of_input = |id| Ok(Column { id, name: self.first.name.clone() });
        let rows = self.rest((before, input.clone()), meet(&self.keys), of_input)?;
        let with_starts = input.pass().into_iter().chain(starts.iter().map(Column::pass)).collect();
        let rows = self.goes_on(rows.project(with_starts), &starts, cx);
        let law = "key-local: touched partitions from the first change on, recomputed";
        let inserted = cx.step_if(RECOMPUTED, law, rows, touched);
        Ok(vec![deleted, weighted(inserted, &shown, 1, &mut cx.ids)])
    }

    /// The touched partitions with the values of the calls at the last row before the first change, NULL for none.
    fn before(&self, (touched, meet): Meets, cx: &mut Cx) -> Result<(Plan, Vec<Column>)> {
        let (state, old) = cx.old_state();
        let mut conditions = meet(&held(&self.keys, &old)?);
        conditions.push(self.compared("<", ">", of_table(&old, self.own()?)?.expr()));
        let reversed = running::order(self.window).iter().map(|key| {
            let ascending = key.direction == Direction::Ascending;
            let direction = if ascending { Direction::Descending } else { Direction::Ascending };
            let id = running::column(&key.expr).ok_or(Error::Bug("a running window in the order of an expression"))?;
            let nulls_first = key.nulls_first.map(|first| !first);
            Ok(Order { expr: of_table(&old, id)?.expr(), direction, nulls_first })
        });
        let order = reversed.collect::<Result<_>>()?;
        let (input, limit) = (state.filter_all(conditions), Some(E::number(1)));
        let last = TopK { input, partition: vec![], order, limit, offset: None, ties: Ties::Follow };
        let peers = AggregateCall::new(cx.ids.column("peers"), "count", vec![]);
        let count = peers.column.clone();
        let (mut calls, mut values, mut starts) = (vec![peers], vec![], vec![]);
        for ((column, _), running) in self.window.calls.iter().zip(self.calls) {
            // Peers share a value, but for their number: the last one has the greatest.
            let value = cx.ids.column(column.name.as_str());
            calls.push(AggregateCall::new(value.clone(), "max", vec![of_table(&old, column.id)?.id]));
            let start = cx.ids.column(companion(&column.name, "before"));
            let others = || E::binary("-", count.expr(), E::number(1));
            let e = if *running == Running::Rank { E::binary("+", value.expr(), others()) } else { value.expr() };
            values.push((start.clone(), e));
            starts.push(start);
        }
        let last = Plan::TopK(Box::new(last)).aggregate(vec![], calls).project(values);
        Ok((touched.clone().lateral(last), starts))
    }

    /// The rows of a relation in touched partitions from the first change on; `of` finds a column of it.
    fn rest(
        &self,
        (touched, rows): (Plan, Plan),
        mut conditions: Vec<Expr>,
        of: impl Fn(ColId) -> Result<Column>,
    ) -> Result<Plan> {
        conditions.push(self.compared(">=", "<=", of(self.own()?)?.expr()));
        Ok(Plan::join(vec![touched, rows], conditions))
    }

    /// The window over rows, its values counted from those at the start.
    fn goes_on(&self, rows: Plan, starts: &[Column], cx: &mut Cx) -> Plan {
        let (mut calls, mut values) = (vec![], vec![]);
        for (((column, call), running), start) in self.window.calls.iter().zip(self.calls).zip(starts) {
            let since = cx.ids.column(column.name.as_str());
            let pair = vec![start.expr(), since.expr()];
            let sum = |of: Expr| E::binary("+", of, since.expr());
            let value = match running {
                Running::Count | Running::Rank => sum(E::call("coalesce", vec![start.expr(), E::number(0)])),
                Running::Sum => E::call("coalesce", vec![sum(start.expr()), start.expr(), since.expr()]),
                Running::Min => E::call("least", pair),
                Running::Max => E::call("greatest", pair),
            };
            calls.push((since, call.clone()));
            values.push((column.clone(), value));
        }
        let window = Window { input: rows, partition: self.window.partition.clone(), calls };
        self.operator.shown_with(Plan::Window(Box::new(window)), &values)
    }

    /// A value compared with the first changed one, by the operator of the order's direction.
    fn compared(&self, ascending: &str, descending: &str, value: Expr) -> Expr {
        let operator = if self.key.direction == Direction::Ascending { ascending } else { descending };
        E::binary(operator, value, self.first.expr())
    }

    /// The first key of the order, a column of the input.
    fn own(&self) -> Result<ColId> {
        running::column(&self.key.expr).ok_or(Error::Bug("a running window in the order of an expression"))
    }
}
