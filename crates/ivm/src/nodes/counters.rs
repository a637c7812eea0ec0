//! The state of an aggregate: counters to which a delta is added, and the output columns of the query.
//!
//! | call | counters | output |
//! |---|---|---|
//! | `count(*)`, `count(x)` | itself | itself |
//! | `sum(x)`, exact | `count(x)`, `sum(x)`, perhaps values by scale | `sum(x)` |
//! | `avg(x)`, exact | as `sum(x)` | `sum(x)::numeric / count(x)::numeric` |
//! | `bool_and(x)`, `bool_or(x)` | `count(x)`, the count of true ones | whether all, or any, are true |
//! | `min(x)`, `max(x)` | itself | itself |
//! | any other | itself, recomputed | itself |
//! | a key whose equals may look different | `min(key::text)` | the key of that text |
//!
//! Every counter is an ordinary aggregate of the same input, so a state table has a defining query like
//! any node. Calls with the same argument and filter share counters; an argument that cannot be NULL is
//! counted by the group's own row count, which every state has: a group ends when it reaches zero.

use std::collections::BTreeSet;

use crate::catalog::{ColumnType, Equality};
use crate::error::Result;
use crate::identity::image;
use crate::keys;
use crate::plan::{Aggregate, AggregateCall, ColId, Column, Expr, Plan, computed};
use crate::sql::ident::Ident;
use crate::view::{Scale, Successor, Upkeep};

use super::{Cutter, companion, ordered, scale};

/// The aggregate that a state table holds.
pub struct State {
    pub input: Plan,
    /// Arguments of counters that `input` lacks.
    pub counted: Vec<(Column, Expr)>,
    pub calls: Vec<AggregateCall>,
    pub types: Vec<ColumnType>,
    pub upkeep: Vec<Upkeep>,
    /// The output columns of the query, keys and calls, from the state's columns.
    pub outputs: Vec<(Column, Expr)>,
}

struct Builder<'a, 'b> {
    cx: &'a mut Cutter<'b>,
    keys: &'a [Column],
    not_null: BTreeSet<ColId>,
    state: State,
}

/// Completes an aggregate to one that can be maintained.
pub fn state(aggregate: Aggregate, cx: &mut Cutter) -> Result<State> {
    let Aggregate { input, keys, calls } = aggregate;
    let not_null = keys::facts(&input, cx.types.catalog)?.not_null;
    let state = State { input, counted: vec![], calls: vec![], types: vec![], upkeep: vec![], outputs: vec![] };
    let mut builder = Builder { cx, keys: &keys, not_null, state };
    let rows = match calls.iter().find(|call| is_row_count(call)) {
        Some(call) => AggregateCall { column: Column { name: Ident::new("n"), ..call.column.clone() }, ..call.clone() },
        None => AggregateCall::new(builder.cx.ids.column("n"), "count", vec![]),
    };
    builder.counter(rows, bigint(), Upkeep::Count);
    for key in &keys {
        builder.key(key)?;
    }
    for call in calls {
        builder.call(call)?;
    }
    Ok(builder.state)
}

impl Builder<'_, '_> {
    /// The key of a group must look like that of one of its rows, also after the row that had it first is
    /// deleted: of keys that are equal and look different, the one with the least text.
    fn key(&mut self, key: &Column) -> Result<()> {
        let ty = self.cx.ty(&self.state.input, key.id)?;
        if ty.equality == Equality::Image {
            self.state.outputs.push(key.pass());
            return Ok(());
        }
        let text = self.cx.ids.column(companion(&key.name, "text"));
        let look = self.cx.ids.column(companion(&key.name, "look"));
        self.state.counted.push((text.clone(), image(&ty, key.expr())));
        let least = AggregateCall::new(look.clone(), "min", vec![text.id]);
        self.counter(least, simple_type("text", Equality::Image), Upkeep::Min(Successor::Recomputed));
        let mut shown = look.expr().cast(&ty.name);
        if let Some(collation) = ty.collation {
            shown = Expr::Collate(Box::new(shown), collation);
        }
        self.state.outputs.push((key.clone(), shown));
        Ok(())
    }

    /// Adds the counters and the output of one call.
    fn call(&mut self, call: AggregateCall) -> Result<()> {
        let (column, args, ty) = (call.column.clone(), call.args.clone(), self.type_of(&call)?);
        let own = call.function.schema.is_none();
        let plain = own && !call.distinct && call.within_group.is_empty() && !call.variadic;
        let exact = match args.as_slice() {
            [arg] => plain && exact_sum(&self.cx.types.get(*arg)?.base).is_some(),
            _ => false,
        };
        let shown = match (call.function.name.as_str(), args.as_slice()) {
            ("count", []) if plain => self.counter(call, ty, Upkeep::Count),
            ("count", [arg]) if plain => self.non_null(*arg, call),
            ("sum", [arg]) if exact => self.sum(*arg, call)?.0,
            ("avg", [arg]) if exact => {
                let (sum, count) = self.sum(*arg, call)?;
                let [sum, count] = [sum, count].map(|id| Expr::Column(id).cast("numeric"));
                self.state.outputs.push((column, Expr::binary("/", sum, count)));
                return Ok(());
            }
            ("bool_and" | "every" | "bool_or", [arg]) if plain => {
                let shown = self.truth(*arg, call);
                self.state.outputs.push((column, shown));
                return Ok(());
            }
            ("min", [arg]) if own => {
                let upkeep = Upkeep::Min(self.successor(*arg)?);
                self.counter(call, ty, upkeep)
            }
            ("max", [arg]) if own => {
                let upkeep = Upkeep::Max(self.successor(*arg)?);
                self.counter(call, ty, upkeep)
            }
            _ => self.counter(call, ty, Upkeep::Recompute),
        };
        self.state.outputs.push((column, Expr::Column(shown)));
        Ok(())
    }

    /// How the next extremum is found.
    fn successor(&self, arg: ColId) -> Result<Successor> {
        let keys: Vec<ColId> = self.keys.iter().map(|key| key.id).collect();
        let indexed = ordered::finds(&self.state.input, &keys, arg, self.cx.types.catalog)?;
        Ok(if indexed { Successor::Indexed } else { Successor::Recomputed })
    }

    /// The type of a call; an extremum looks like its argument.
    fn type_of(&self, call: &AggregateCall) -> Result<ColumnType> {
        let ty = self.cx.types.get(call.column.id)?.clone();
        Ok(match (call.function.name.as_str(), call.args.as_slice()) {
            ("min" | "max", [arg]) if call.function.schema.is_none() => {
                ColumnType { equality: self.cx.ty(&self.state.input, *arg)?.equality, ..ty }
            }
            _ => ty,
        })
    }

    /// Whether all or any values are true, NULL of none: by the counts of values and of true ones.
    fn truth(&mut self, arg: ColId, call: AggregateCall) -> Expr {
        let name = call.column.name.clone();
        let count = self.cx.ids.column(companion(&name, "count"));
        let count = Expr::Column(self.non_null(arg, AggregateCall { column: count, ..simple("count", &call) }));
        let value = Expr::case(vec![(Expr::Column(arg), Expr::bool(true))], Expr::null().cast("boolean"));
        let place = self.counted(value, companion(&name, "true"));
        let column = self.cx.ids.column(companion(&name, "trues"));
        let trues = AggregateCall { column, args: vec![place], ..simple("count", &call) };
        let trues = Expr::Column(self.counter(trues, bigint(), Upkeep::Count));
        let shown = match call.function.name.as_str() {
            "bool_or" => Expr::binary(">", trues, Expr::number(0)),
            _ => Expr::equals(trues, count.clone()),
        };
        let none = Expr::equals(count, Expr::number(0));
        Expr::case(vec![(none, Expr::null().cast("boolean"))], shown)
    }

    /// The column below the aggregate that computes an argument of counters.
    fn counted(&mut self, value: Expr, name: String) -> ColId {
        computed(&mut self.state.counted, value, || self.cx.ids.column(name)).id
    }

    /// The sum of an argument and the count of its values.
    fn sum(&mut self, arg: ColId, call: AggregateCall) -> Result<(ColId, ColId)> {
        let name = call.column.name.clone();
        let count = self.cx.ids.column(companion(&name, "count"));
        let count = self.non_null(arg, AggregateCall { column: count, ..simple("count", &call) });
        let scale = self.scale(arg, count, &call)?;
        let ty = match (exact_sum(&self.cx.types.get(arg)?.base), scale) {
            (Some("bigint"), _) => bigint(),
            (_, Scale::Counted(_)) => simple_type("numeric", Equality::Loose),
            _ => simple_type("numeric", Equality::Image),
        };
        let column = match call.function.name.as_str() {
            "sum" => call.column.clone(),
            _ => self.cx.ids.column(companion(&name, "sum")),
        };
        let sum = AggregateCall { column, ..simple("sum", &call) };
        Ok((self.counter(sum, ty, Upkeep::Sum { count, scale }), count))
    }

    /// How the scale of a sum is known, with a counter where it needs one.
    fn scale(&mut self, arg: ColId, count: ColId, call: &AggregateCall) -> Result<Scale> {
        if self.cx.types.get(arg)?.base != "numeric" {
            return Ok(Scale::Integer);
        }
        if scale::fixed(&self.state.input, arg, self.cx).is_some() {
            return Ok(Scale::Fixed);
        }
        let name = call.column.name.clone();
        let value = scale::contribution(Expr::Column(arg));
        let place = self.counted(value, companion(&name, "scale"));
        let column = self.cx.ids.column(companion(&name, "scales"));
        let sum = AggregateCall { column, args: vec![place], ..simple("sum", call) };
        let ty = simple_type("numeric", Equality::Image);
        Ok(Scale::Counted(self.counter(sum, ty, Upkeep::Sum { count, scale: Scale::Integer })))
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

/// A call of another function with the arguments and the filter of `call`; counts and sums do not
/// depend on the order of rows.
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
    simple_type("bigint", Equality::Image)
}

fn simple_type(name: &str, equality: Equality) -> ColumnType {
    let name = name.to_owned();
    ColumnType { base: name.clone(), name, collation: None, equality, hashable: true, sortable: true }
}
