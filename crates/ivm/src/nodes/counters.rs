//! The state of an aggregate: counters that follow a delta by addition, and what the query shows of them.
//!
//! | call | counters | shown |
//! |---|---|---|
//! | `count(*)`, `count(x)` | itself | itself |
//! | `sum(x)`, exact | `count(x)`, `sum(x)`, perhaps values by scale | `sum(x)` |
//! | `avg(x)`, exact | as `sum(x)` | `sum(x)::numeric / count(x)::numeric` |
//! | `min(x)`, `max(x)` | itself | itself |
//! | any other | itself, recomputed | itself |
//!
//! Every counter is an ordinary aggregate of the same input, so a state table has a defining query like
//! any node. Calls with the same argument and filter share counters; an argument that cannot be NULL is
//! counted by the group's own row count, which every state has: a group ends when it reaches zero.

use std::collections::BTreeSet;

use crate::catalog::{ColumnType, Equality};
use crate::error::Result;
use crate::keys;
use crate::plan::{Aggregate, AggregateCall, ColId, Column, Expr, Plan};

use super::{Cutter, Scale, Upkeep, scale};

/// The aggregate that a state table holds.
pub struct State {
    pub input: Plan,
    /// Arguments of counters that `input` does not compute.
    pub counted: Vec<(Column, Expr)>,
    pub calls: Vec<AggregateCall>,
    pub types: Vec<ColumnType>,
    pub upkeep: Vec<Upkeep>,
    /// What the query shows: keys and calls, from the state's columns.
    pub outputs: Vec<(Column, Expr)>,
}

struct Builder<'a, 'b> {
    cx: &'a mut Cutter<'b>,
    not_null: BTreeSet<ColId>,
    state: State,
}

/// Completes an aggregate to one that maintains itself.
pub fn state(aggregate: Aggregate, cx: &mut Cutter) -> Result<State> {
    let Aggregate { input, keys, calls } = aggregate;
    let not_null = keys::facts(&input, cx.catalog)?.not_null;
    let outputs = keys.iter().map(Column::pass).collect();
    let state = State { input, counted: vec![], calls: vec![], types: vec![], upkeep: vec![], outputs };
    let mut builder = Builder { cx, not_null, state };
    let rows = match calls.iter().find(|call| is_row_count(call)) {
        Some(call) => call.clone(),
        None => AggregateCall::new(builder.cx.ids.column("n"), "count", vec![]),
    };
    builder.counter(rows, bigint(), Upkeep::Count);
    for call in calls {
        builder.call(call)?;
    }
    Ok(builder.state)
}

impl Builder<'_, '_> {
    /// Adds what one call of the query needs.
    fn call(&mut self, call: AggregateCall) -> Result<()> {
        let column = call.column.clone();
        let ty = self.cx.types.get(column.id)?.clone();
        let plain = call.function.schema.is_none() && !call.distinct && call.within_group.is_empty() && !call.variadic;
        let shown = match (call.function.name.as_str(), call.args.as_slice()) {
            ("count", []) if plain => self.counter(call, ty, Upkeep::Count),
            ("count", [arg]) if plain => {
                let arg = *arg;
                self.non_null(arg, call)
            }
            ("sum", [arg]) if plain && exact_sum(&self.cx.types.get(*arg)?.base).is_some() => {
                let arg = *arg;
                self.sum(arg, call)?.0
            }
            ("avg", [arg]) if plain && exact_sum(&self.cx.types.get(*arg)?.base).is_some() => {
                let arg = *arg;
                let (sum, count) = self.sum(arg, call)?;
                let quotient = Expr::binary("/", Expr::Column(sum).cast("numeric"), Expr::Column(count).cast("numeric"));
                self.state.outputs.push((column, quotient));
                return Ok(());
            }
            ("min", [_]) if call.function.schema.is_none() => self.counter(call, ty, Upkeep::Min),
            ("max", [_]) if call.function.schema.is_none() => self.counter(call, ty, Upkeep::Max),
            _ => self.counter(call, ty, Upkeep::Recompute),
        };
        self.state.outputs.push((column, Expr::Column(shown)));
        Ok(())
    }

    /// The sum of an argument and the count of its values.
    fn sum(&mut self, arg: ColId, call: AggregateCall) -> Result<(ColId, ColId)> {
        let ty = match exact_sum(&self.cx.types.get(arg)?.base) {
            Some("bigint") => bigint(),
            _ => numeric(),
        };
        let name = call.column.name.as_str().to_owned();
        let count = self.cx.ids.column(format!("{name}_count"));
        let count = self.non_null(arg, AggregateCall { column: count, ..simple("count", &call) });
        let scale = self.scale(arg, count, &call)?;
        let column = match call.function.name.as_str() {
            "sum" => call.column.clone(),
            _ => self.cx.ids.column(format!("{name}_sum")),
        };
        let sum = AggregateCall { column, ..simple("sum", &call) };
        Ok((self.counter(sum, ty, Upkeep::Sum { count, scale }), count))
    }

    /// What keeps the scale of a sum right.
    fn scale(&mut self, arg: ColId, count: ColId, call: &AggregateCall) -> Result<Scale> {
        if self.cx.types.get(arg)?.base != "numeric" {
            return Ok(Scale::Integer);
        }
        if scale::fixed(&self.state.input, arg, self.cx).is_some() {
            return Ok(Scale::Fixed);
        }
        let name = call.column.name.as_str();
        let value = scale::contribution(Expr::Column(arg));
        let place = match self.state.counted.iter().find(|(_, e)| *e == value) {
            Some((column, _)) => column.id,
            None => {
                let column = self.cx.ids.column(format!("{name}_scale"));
                self.state.counted.push((column.clone(), value));
                column.id
            }
        };
        let column = self.cx.ids.column(format!("{name}_scales"));
        let sum = AggregateCall { column, args: vec![place], ..simple("sum", call) };
        Ok(Scale::Counted(self.counter(sum, numeric(), Upkeep::Sum { count, scale: Scale::Integer })))
    }

    /// The number of rows in which an argument is not NULL.
    fn non_null(&mut self, arg: ColId, call: AggregateCall) -> ColId {
        if call.filter.is_none() && self.not_null.contains(&arg) {
            return self.state.calls[0].column.id;
        }
        self.counter(simple("count", &call), bigint(), Upkeep::Count)
    }

    /// The column of a counter, shared with an equal one.
    fn counter(&mut self, call: AggregateCall, ty: ColumnType, upkeep: Upkeep) -> ColId {
        let same = |other: &&AggregateCall| AggregateCall { column: call.column.clone(), ..(*other).clone() } == call;
        if let Some(existing) = self.state.calls.iter().find(same) {
            return existing.column.id;
        }
        let id = call.column.id;
        self.state.calls.push(call);
        self.state.types.push(ty);
        self.state.upkeep.push(upkeep);
        id
    }
}

/// A call of another function with the arguments and the filter of `call`; the order of rows means
/// nothing to counts and sums.
fn simple(function: &str, call: &AggregateCall) -> AggregateCall {
    AggregateCall { filter: call.filter, ..AggregateCall::new(call.column.clone(), function, call.args.clone()) }
}

fn is_row_count(call: &AggregateCall) -> bool {
    *call == AggregateCall::new(call.column.clone(), "count", vec![])
}

/// The type of the sum over an argument type where sums are exact, so that addition can be undone.
fn exact_sum(base: &str) -> Option<&'static str> {
    match base {
        "smallint" | "integer" => Some("bigint"),
        "bigint" | "numeric" => Some("numeric"),
        _ => None,
    }
}

fn bigint() -> ColumnType {
    ColumnType { name: "bigint".into(), base: "bigint".into(), collation: None, equality: Equality::Image, hashable: true }
}

fn numeric() -> ColumnType {
    ColumnType { name: "numeric".into(), base: "numeric".into(), collation: None, equality: Equality::Loose, hashable: true }
}
