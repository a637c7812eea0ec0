//! ω that runs or reads rows nearby.   Key-local:  Δω(R) = ω(R↾K) − old ω↾K,  with K the rows of touched partitions that a change reaches
//!
//! Where the value at a row is that of the rows up to it, the rows before the first changed one stay. Those after it go on from
//! the values that the table shows for the last one before. Where the values depend on a few rows nearby, those after the last
//! changed row stay as well: see [`stretch`](super::stretch).

use crate::error::{Error, Result};
use crate::expr::{Call, Expr as E};
use crate::nodes::{companion, running};
use crate::plan::{AggregateCall, ColId, Column, Expr, Order, Plan, Ties, TopK, Window, replaced};
use crate::sql::ident::QName;
use crate::view::Running;

use super::partitioned::{Partitioned, held, of_table, touched_null};
use super::restrict::{self, Key, Meet, Meets};
use super::stretch::{Reach, Stretch, by_hash, reversed};
use super::sum::weighted;
use super::{Cx, Delta, RECOMPUTED};

/// What an average is made of.
const SUMS: [&str; 2] = ["sum", "count"];

/// A window with how its calls are followed.
struct Followed<'a> {
    operator: &'a Partitioned<'a>,
    window: &'a Window,
    calls: &'a [Running],
    keys: &'a [Key],
    reach: Reach<'a>,
}

/// What calls go on from: for each its value at the last row before, or its sum and number, and for `first_value` the number of
/// such rows.
struct Starts {
    values: Vec<Vec<Column>>,
    rows: Option<Column>,
}

pub fn followed(
    operator: &Partitioned,
    (window, calls): (&Window, &[Running]),
    input: Delta,
    cx: &mut Cx,
) -> Result<Delta> {
    let keys = &operator.keys(cx)?;
    let window = Followed { operator, window, calls, keys, reach: Reach::of(window, calls, keys)? };
    let (touched, first, last) = window.reach.touched(input.plan, cx);
    let ends = (&first, last.as_ref());
    let mut rows = window.exchanged((&touched, restrict::equal), ends, cx)?;
    if let Some(touched) = touched_null(keys, &touched, cx) {
        rows.extend(window.exchanged((&touched, restrict::with_nulls), ends, cx)?);
    }
    Ok(Delta::sum(operator.columns(), rows, &mut cx.ids))
}

impl Followed<'_> {
    /// −1 for the old rows that the changes reach, +1 for the new ones.
    fn exchanged(&self, meets: Meets, ends: (&Column, Option<&Column>), cx: &mut Cx) -> Result<Vec<Plan>> {
        let (touched, meet) = meets;
        let stretch = self.reach.stretch(meets, ends, cx)?;
        let (before, starts) = self.before(&stretch, meet, cx)?;
        let (state, old) = cx.old_state();
        let shown = self.operator.columns();
        let columns = shown.iter().map(|column| of_table(&old, column.id)).collect::<Result<Vec<_>>>()?;
        let mut conditions = in_partition(&held(self.keys, &old)?, meet);
        conditions.extend(self.reach.between(&stretch.reached, &of_table(&old, self.reach.own)?.expr()));
        let held = Plan::join(vec![stretch.plan.clone(), state], conditions);
        let deleted = weighted(held, &columns, -1, &mut cx.ids);
        let rows = self.window(before, &stretch, (&starts, meet), cx)?;
        let law = "key-local: touched partitions, recomputed as far as the changes reach";
        let inserted = cx.step_if(RECOMPUTED, law, rows, touched);
        Ok(vec![deleted, weighted(inserted, &shown, 1, &mut cx.ids)])
    }

    /// The touched partitions with what the calls go on from at the first row that is read.
    fn before(&self, stretch: &Stretch, meet: Meet, cx: &mut Cx) -> Result<(Plan, Starts)> {
        let mut starts = Starts { rows: None, values: vec![] };
        let (mut shown, mut summed) = (vec![], vec![]);
        for (call, running) in self.window.calls.iter().zip(self.calls) {
            let mut start = |what| cx.ids.column(companion(&call.0.name, what));
            starts.values.push(match running {
                Running::Near { .. } => vec![],
                Running::Avg => {
                    let of = vec![start("sum_before"), start("count_before")];
                    summed.push((&call.1, of.clone()));
                    of
                }
                _ => {
                    let of = start("before");
                    shown.push((&call.0, *running, of.clone()));
                    vec![of]
                }
            });
        }
        let mut plan = stretch.plan.clone();
        if !shown.is_empty() {
            let (last, rows) = self.last(shown, (stretch, meet), cx)?;
            plan = plan.lateral(last);
            starts.rows = rows;
        }
        if !summed.is_empty() {
            plan = plan.lateral(self.sums(summed, (stretch, meet), cx)?);
        }
        Ok((plan, starts))
    }

    /// The values that the table shows for the last row before; the number of such rows where a call asks for it.
    fn last(
        &self,
        shown: Vec<(&Column, Running, Column)>,
        (stretch, meet): (&Stretch, Meet),
        cx: &mut Cx,
    ) -> Result<(Plan, Option<Column>)> {
        let (state, old) = cx.old_state();
        let mut conditions = in_partition(&held(self.keys, &old)?, meet);
        conditions.push(self.reach.is_before(of_table(&old, self.reach.own)?.expr(), &stretch.read.0));
        let order = running::order(self.window).iter().map(|key| {
            let id = running::column(&key.expr).ok_or(Error::Bug("a running window in the order of an expression"))?;
            Ok(reversed(Order { expr: of_table(&old, id)?.expr(), ..key.clone() }))
        });
        let (order, limit) = (order.collect::<Result<_>>()?, Some(E::number(1)));
        let input = state.filter_all(conditions);
        let last = TopK { input, partition: vec![], order, limit, offset: None, ties: Ties::Follow };
        let peers = AggregateCall::new(cx.ids.column("peers"), "count", vec![]);
        let count = peers.column.clone();
        let (mut calls, mut values, mut rows) = (vec![peers], vec![], None);
        for (column, running, start) in shown {
            // Peers share a value, but for their number: the last one has the greatest.
            let value = cx.ids.column(column.name.as_str());
            calls.push(AggregateCall::new(value.clone(), "max", vec![of_table(&old, column.id)?.id]));
            let others = || E::binary("-", count.expr(), E::number(1));
            let e = if running == Running::Rank { E::binary("+", value.expr(), others()) } else { value.expr() };
            values.push((start, e));
            if running == Running::First && rows.is_none() {
                rows = Some(cx.ids.column("rows_before"));
            }
        }
        values.extend(rows.iter().map(|rows| (rows.clone(), count.expr())));
        Ok((Plan::TopK(Box::new(last)).aggregate(vec![], calls).project(values), rows))
    }

    /// The sums and numbers of the values before, which no table shows.
    fn sums(&self, summed: Vec<(&Expr, Vec<Column>)>, (stretch, meet): (&Stretch, Meet), cx: &mut Cx) -> Result<Plan> {
        let (input, copies) = self.operator.input()?.copied(&mut cx.ids);
        let keys: Vec<Key> = self.keys.iter().map(|key| key.copied(&copies)).collect();
        let mut conditions = meet(&keys);
        let own = replaced(&E::Column(self.reach.own), &copies);
        conditions.push(self.reach.is_before(own, &stretch.read.0));
        let (mut columns, mut calls) = (vec![], vec![]);
        for (call, starts) in summed {
            let E::Call(call) = call else { return Err(Error::Bug("a window without a call")) };
            let mut column = |name, e: &Expr| {
                let column = cx.ids.column(name);
                columns.push((column.clone(), replaced(e, &copies)));
                column.id
            };
            let args: Vec<ColId> = call.args.iter().map(|arg| column("value", &arg.value)).collect();
            let filter = call.filter.as_ref().map(|filter| column("counts", filter));
            for (start, name) in starts.into_iter().zip(SUMS) {
                calls.push(AggregateCall { filter, ..AggregateCall::new(start, name, args.clone()) });
            }
        }
        Ok(input.filter_all(conditions).project(columns).aggregate(vec![], calls))
    }

    /// The window over the rows that are read, with the values of those that the changes reach.
    fn window(&self, before: Plan, stretch: &Stretch, (starts, meet): (&Starts, Meet), cx: &mut Cx) -> Result<Plan> {
        let (input, own) = (self.operator.input()?, E::Column(self.reach.own));
        let mut conditions = meet(self.keys);
        conditions.extend(self.reach.between(&stretch.read, &own));
        let reached = if stretch.read == stretch.reached { vec![] } else { self.reach.between(&stretch.reached, &own) };
        let ends = [Some(&stretch.reached.0), stretch.reached.1.as_ref()].into_iter().filter(|_| !reached.is_empty());
        let more = starts.values.iter().flatten().chain(&starts.rows).chain(ends.flatten());
        let columns = input.pass().into_iter().chain(more.map(Column::pass)).collect();
        let rows = Plan::join(vec![before, input.clone()], conditions).project(columns);
        let (mut calls, mut values) = (vec![], vec![]);
        for (((column, call), running), start) in self.window.calls.iter().zip(self.calls).zip(&starts.values) {
            let E::Call(call) = call else { return Err(Error::Bug("a window without a call")) };
            let own = call.name.name.as_str();
            let names = if *running == Running::Avg { SUMS.to_vec() } else { vec![own] };
            let mut since = vec![];
            for name in names {
                let value = cx.ids.column(if name == own { column.name.as_str() } else { name });
                let call = Call { name: QName::bare(name), ..(**call).clone() };
                calls.push((value.clone(), E::Call(Box::new(call))));
                since.push(value);
            }
            values.push((column.clone(), starts.value(*running, start, &since)));
        }
        let window = Window { input: rows, partition: self.window.partition.clone(), calls };
        Ok(self.operator.shown_with(Plan::Window(Box::new(window)).filter_all(reached), &values))
    }
}

/// The conditions that a row of the node's table is in a touched partition.
fn in_partition(held: &[Key], meet: Meet) -> Vec<Expr> {
    meet(held).into_iter().chain(by_hash(held)).collect()
}

impl Starts {
    /// The value of a call that goes on from the ones at the `start`.
    fn value(&self, running: Running, start: &[Column], since: &[Column]) -> Expr {
        let pair = |at: usize| vec![start[at].expr(), since[at].expr()];
        let sum = |at: usize| E::binary("+", start[at].expr(), since[at].expr());
        let total = || E::call("coalesce", [sum(0)].into_iter().chain(pair(0)).collect());
        match (running, &self.rows) {
            (Running::Count | Running::Rank, _) => {
                E::binary("+", E::call("coalesce", vec![start[0].expr(), E::number(0)]), since[0].expr())
            }
            (Running::Sum, _) => total(),
            (Running::Avg, _) => E::binary("/", total(), sum(1).cast("numeric")),
            (Running::Min, _) => E::call("least", pair(0)),
            (Running::Max, _) => E::call("greatest", pair(0)),
            (Running::First, Some(rows)) => {
                E::case(vec![(E::binary(">", rows.expr(), E::number(0)), start[0].expr())], since[0].expr())
            }
            (Running::First | Running::Near { .. }, _) => since[0].expr(),
        }
    }
}
