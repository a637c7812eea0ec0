//! The groups that a delta touches, with the changes of their counters.

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::nodes::companion;
use crate::plan::{Aggregate, AggregateCall, ColId, Column, Expr, Plan, computed};
use crate::view::Upkeep;

use super::super::{Cx, Delta};

/// One row per touched group: its keys and the changes of its calls.
pub struct Touched {
    pub plan: Plan,
    pub changes: Vec<Change>,
}

/// The change of one call.
pub enum Change {
    /// Added to a count or a sum.
    Adds(Column),
    /// The extreme inserted and the extreme deleted value.
    Moves {
        inserted: Column,
        deleted: Column,
    },
    Unknown,
}

struct Builder<'a, 'b> {
    cx: &'a mut Cx<'b>,
    w: Column,
    /// Arguments and filters that the input lacks.
    below: Vec<(Column, Expr)>,
    calls: Vec<AggregateCall>,
    /// The changes, from the calls.
    above: Vec<(Column, Expr)>,
}

pub fn touched(aggregate: &Aggregate, input: Delta, upkeep: &[Upkeep], cx: &mut Cx) -> Result<Touched> {
    let above = aggregate.keys.iter().map(Column::pass).collect();
    let mut builder = Builder { cx, w: input.w.clone(), below: vec![], calls: vec![], above };
    let changes = aggregate.calls.iter().zip(upkeep).map(|(call, upkeep)| builder.change(call, *upkeep));
    let changes = changes.collect::<Result<_>>()?;
    let below = input.plan.pass().into_iter().chain(builder.below).collect();
    let grouped = input.plan.project(below).aggregate(aggregate.keys.clone(), builder.calls);
    Ok(Touched { plan: grouped.project(builder.above), changes })
}

impl Builder<'_, '_> {
    fn change(&mut self, call: &AggregateCall, upkeep: Upkeep) -> Result<Change> {
        let name = call.column.name.as_str().to_owned();
        Ok(match upkeep {
            Upkeep::Count => {
                let present = call.args.first().map(|&arg| E::Column(arg).is_present());
                let filter = self.filter(call.filter.map(E::Column).into_iter().chain(present).collect());
                Change::Adds(self.total(&name, self.w.id, filter, "bigint"))
            }
            Upkeep::Sum { .. } => {
                let ty = self.cx.known(call.column.id)?.ty.name.clone();
                let arg = call.args.first().copied().ok_or(Error::Bug("a sum without an argument"))?;
                let value = match (ty.as_str(), call.filter) {
                    ("bigint", _) => E::Column(arg),
                    _ => E::Column(arg).cast("numeric"),
                };
                let product = self.below(&name, E::binary("*", value, self.w.expr()));
                Change::Adds(self.total(&name, product, call.filter, &ty))
            }
            Upkeep::Min(_) | Upkeep::Max(_) => Change::Moves {
                inserted: self.extreme(call, ">", "inserted"),
                deleted: self.extreme(call, "<", "deleted"),
            },
            Upkeep::Recompute => Change::Unknown,
        })
    }

    /// The sum of a column over the group, zero for none, as a value of the state's type.
    fn total(&mut self, name: &str, arg: ColId, filter: Option<ColId>, ty: &str) -> Column {
        let sum = self.cx.ids.column(name);
        self.calls.push(AggregateCall { filter, ..AggregateCall::new(sum.clone(), "sum", vec![arg]) });
        let total = self.cx.ids.column(name);
        let value = E::call("coalesce", vec![sum.expr(), E::number(0).cast("numeric")]);
        self.above.push((total.clone(), value.cast(ty)));
        total
    }

    /// The call itself over the rows whose weight has this sign.
    fn extreme(&mut self, call: &AggregateCall, sign: &str, what: &str) -> Column {
        let moved = E::binary(sign, self.w.expr(), E::number(0));
        let filter = self.filter(call.filter.map(E::Column).into_iter().chain([moved]).collect());
        let column = self.cx.ids.column(companion(&call.column.name, what));
        self.calls.push(AggregateCall { column: column.clone(), filter, ..call.clone() });
        self.above.push(column.pass());
        column
    }

    /// The column of a filter that is the conjunction of conditions; `None` for none.
    fn filter(&mut self, conditions: Vec<Expr>) -> Option<ColId> {
        match conditions.as_slice() {
            [] => None,
            [E::Column(id)] => Some(*id),
            _ => Some(self.below("counts", E::all(conditions))),
        }
    }

    /// The column below the aggregate that computes an expression.
    fn below(&mut self, name: &str, value: Expr) -> ColId {
        computed(&mut self.below, value, || self.cx.ids.column(name)).id
    }
}
