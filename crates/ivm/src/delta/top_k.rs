//! τ, top-k without a partition.   Key-local:  Δτ(R) = τ(R) − old τ
//!
//! Recomputing reads all of R, but mostly the table itself is enough. Say it is full, with `b` its last row in the order.
//! It holds every row before `b` and some of those equal to `b`; so the rows of `T ⊎ ΔR` up to `b` with a positive
//! weight are rows of the new R, and include all of those before `b`. If they are `limit` or more, the first of
//! them are the answer. If they are fewer, R must be read. A table that is not full holds all of R, and `T ⊎ ΔR` is
//! the new R.

use crate::error::Result;
use crate::expr::{Bound, Call, Expr as E, Frame, FrameUnit};
use crate::keys;
use crate::plan::{AggregateCall, Column, Expr, Order, Plan, Ties, TopK, UnionAll};
use crate::sql::ident::QName;

use super::partition;
use super::partitioned::Partitioned;
use super::sum::weighted;
use super::{Cx, Delta, RECOMPUTED, SHORT, consolidate};

pub fn delta(operator: &Partitioned, top: &TopK, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(input) = cx.delta(&top.input)? else { return Ok(None) };
    match First::of(operator, top) {
        Some(first) => first.delta(input, cx).map(Some),
        None => partition::replaced(operator, input, cx).map(Some),
    }
}

/// The first `limit` rows of all.
struct First<'a> {
    operator: &'a Partitioned<'a>,
    top: &'a TopK,
    limit: i64,
    /// The columns of the table.
    shown: Vec<Column>,
}

impl<'a> First<'a> {
    fn of(operator: &'a Partitioned, top: &'a TopK) -> Option<First<'a>> {
        let shown = operator.columns();
        let held = |key: &Order| matches!(key.expr, E::Column(id) if shown.iter().any(|column| column.id == id));
        let limit = top.limit.as_ref().and_then(keys::count).filter(|limit| *limit > 0)?;
        let whole = top.partition.is_empty() && top.offset.is_none() && top.order.iter().all(held);
        (whole && top.ties != Ties::Together).then_some(First { operator, top, limit, shown })
    }

    fn delta(&self, input: Delta, cx: &mut Cx) -> Result<Delta> {
        let changes = self.operator.shown(input.plan, std::slice::from_ref(&input.w));
        let changes = cx.step("changes", "linear", changes);
        let (state, old) = cx.old_state();
        let held = cx.step_if("held", "key-local: the rows shown so far", state, &changes);
        let old: Vec<Column> = self.shown.iter().filter_map(|column| old.get(&column.id).cloned()).collect();
        let near = self.near((&held, &old), (&changes, &input.w), cx)?;
        let short = self.short(&held, &near, &changes, cx);
        let law = "key-local: all rows, because too few are left";
        let all = cx.step_if(RECOMPUTED, law, self.operator.over(self.top.input.clone()), &short);
        let first = self.first(near, short, cx);
        let rows = vec![first, weighted(all, &self.shown, 1, &mut cx.ids), weighted(held, &old, -1, &mut cx.ids)];
        Ok(Delta::sum(self.shown.clone(), rows, &mut cx.ids))
    }

    /// The rows of `T ⊎ ΔR` up to the last one of a full table, with their weight as the last column.
    fn near(&self, (held, old): (&Plan, &[Column]), (changes, w): (&Plan, &Column), cx: &mut Cx) -> Result<Plan> {
        let (total, was) = (cx.ids.column("w"), cx.ids.column("was"));
        let mut arm = |plan: Plan, columns: &[Column], w: Expr, was: bool| {
            let more = [(cx.ids.column("w"), w), (cx.ids.column("was"), E::bool(was))];
            let columns: Vec<_> = columns.iter().map(Column::pass).chain(more).collect();
            plan.project(columns).arm()
        };
        let inputs = vec![
            arm(held.clone(), old, E::number(1).cast("bigint"), true),
            arm(changes.clone(), &self.shown, w.expr(), false),
        ];
        let columns = self.shown.iter().cloned().chain([total.clone(), was.clone()]).collect();
        let place = cx.ids.column("place");
        let rank = Call::new(QName::bare("rank"), vec![]).over(self.top.order.clone(), None);
        let placed = Plan::UnionAll(UnionAll { columns, inputs }).windowed(vec![(place.clone(), rank)]);
        let (bound, held) = (cx.ids.column("bound"), cx.ids.column("held"));
        let of_old = |name: &str, args: Vec<Expr>| {
            let call = Call { star: args.is_empty(), filter: Some(was.expr()), ..Call::new(QName::bare(name), args) };
            call.over(vec![], None)
        };
        let calls = vec![(bound.clone(), of_old("max", vec![place.expr()])), (held.clone(), of_old("count", vec![]))];
        let near = E::any_of(vec![
            E::binary("<", held.expr(), E::number(self.limit)),
            E::binary("<=", place.expr(), bound.expr()),
        ]);
        let plan = placed.windowed(calls).filter(near);
        let known = self.shown.iter().map(|column| Ok((column.clone(), cx.known(column.id)?.clone())));
        let known = known.collect::<Result<Vec<_>>>()?;
        let sum = consolidate::plan(Delta::new(plan, total), &known, &mut cx.ids);
        let positive = sum.columns().last().map(|w| E::binary(">", w.expr(), E::number(0)));
        let sum = positive.into_iter().fold(sum, Plan::filter);
        Ok(cx.step_if("near", "key-local: rows up to the last one shown so far", sum, changes))
    }

    /// A row if the table was full and too few rows are near.
    fn short(&self, held: &Plan, near: &Plan, changes: &Plan, cx: &mut Cx) -> Plan {
        let held_rows = AggregateCall::new(cx.ids.column("held"), "count", vec![]);
        let weight = near.columns().last().map(|w| w.id);
        let near_rows = AggregateCall::new(cx.ids.column("near"), "sum", weight.into_iter().collect());
        let (old, new) = (held_rows.column.clone(), near_rows.column.clone());
        let left = E::call("coalesce", vec![new.expr(), E::number(0).cast("numeric")]);
        let conditions = vec![
            E::binary(">=", old.expr(), E::number(self.limit)),
            E::binary("<", left, E::number(self.limit).cast("numeric")),
        ];
        let both =
            vec![held.clone().aggregate(vec![], vec![held_rows]), near.clone().aggregate(vec![], vec![near_rows])];
        let plan = Plan::join(both, conditions).project(vec![old.pass()]);
        let short = cx.step_if(SHORT, "key-local: whether too few rows are left", plan, changes);
        cx.seldom();
        short
    }

    /// The first of the rows `near`, if they are enough.
    fn first(&self, near: Plan, short: Plan, cx: &mut Cx) -> Plan {
        let mut columns = near.columns();
        let limit = || E::number(self.limit).cast("bigint");
        let (before, rows, w) = (cx.ids.column("before"), cx.ids.column("rows"), cx.ids.column("w"));
        let weight = columns.pop().map_or(E::null(), |w| w.expr());
        let follow = self.top.ties == Ties::Follow;
        let unit = if follow { FrameUnit::Groups } else { FrameUnit::Rows };
        let end = Some(Bound::Preceding(E::number(1)));
        let frame = Frame { unit, start: Bound::UnboundedPreceding, end };
        let total = Call::new(QName::bare("sum"), vec![weight.clone()]).over(self.top.order.clone(), Some(frame));
        let some = E::call("coalesce", vec![before.expr(), E::number(0).cast("numeric")]).cast("bigint");
        let mut shown: Vec<_> = columns.iter().map(Column::pass).collect();
        let with = |more: Vec<(Column, Expr)>| shown.iter().cloned().chain(more).collect::<Vec<_>>();
        let all = cx.ids.column("all");
        let counted =
            near.windowed(vec![(before, total)]).project(with(vec![(all.clone(), weight), (rows.clone(), some)]));
        let copies = match follow {
            true => all.expr(),
            false => E::call("least", vec![all.expr(), E::binary("-", limit(), rows.expr())]),
        };
        let first = counted.filter(E::binary("<", rows.expr(), limit())).semi_join(short, E::bool(true), true);
        shown.push((w, copies));
        first.project(shown)
    }
}
