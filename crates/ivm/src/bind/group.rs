//! GROUP BY and aggregates: `π(σ(γ(π(input))))`.
//!
//! The projection below γ computes keys, arguments and filters; above it, every expression that equals a group key or is
//! an aggregate becomes a column of γ. A column that is neither must be determined by the keys, and is made one of them:
//! the groups stay the same.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::Binder;
use super::row_order::{RowOrder, depends_on_order};
use crate::catalog::{Equality, FunctionKind};
use crate::error::{Error, Result};
use crate::expr::{self, Case, Expr as Generic, Mapper, Step};
use crate::keys;
use crate::plan::{AggregateCall, ColId, Column, Expr, Order, Plan, as_value, computed, reads};
use crate::refuse;
use crate::types::typed_null;

/// An aggregate, and the expressions above it over its columns.
pub struct Grouped {
    pub plan: Plan,
    pub outputs: Vec<Expr>,
    pub having: Option<Expr>,
}

/// Groups `input` by `keys`, for a select list and a HAVING condition; keys that are absent from this
/// grouping set are NULL there.
pub fn group(
    binder: &mut Binder,
    (input, row_order): (Plan, RowOrder),
    (keys, absent): (Vec<Expr>, Vec<Expr>),
    (outputs, having): (Vec<Expr>, Option<Expr>),
) -> Result<Grouped> {
    let nulls = binder.nulls_like(&input, &absent)?;
    let row_order = row_order.within_groups(&keys.iter().collect::<Vec<_>>());
    let mut grouping =
        Grouping { binder, input, row_order, below: vec![], keys: vec![], absent: vec![], calls: vec![] };
    for (key, null) in absent.into_iter().zip(nulls) {
        // A row is repeated as often as a key of any set has values for it.
        if grouping.binder.any_call([&key], FunctionKind::Set)? {
            grouping.column_below(key.clone(), "key");
        }
        grouping.absent.push((key, null));
    }
    for key in keys {
        let column = grouping.column_below(key.clone(), "key");
        if !grouping.keys.iter().any(|(_, known)| *known == key) {
            grouping.keys.push((column, key));
        }
    }
    let outputs = outputs.into_iter().map(|e| e.map_with(&mut grouping)).collect::<Result<_>>()?;
    let having = having.map(|e| e.map_with(&mut grouping)).transpose()?;
    let Grouping { binder, input, below, keys, calls, .. } = grouping;
    let computes = below.iter().any(|(column, e)| *e != column.expr());
    let input = if computes { binder.projection(input, below)? } else { input };
    let keys = keys.into_iter().map(|(column, _)| column).collect();
    Ok(Grouped { plan: input.aggregate(keys, calls), outputs, having })
}

impl Binder<'_> {
    /// NULLs of the types of these keys.
    fn nulls_like(&mut self, input: &Plan, keys: &[Expr]) -> Result<Vec<Expr>> {
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let columns: Vec<Column> = keys.iter().map(|_| self.ids.column("key")).collect();
        let typed = self.projection(input.clone(), columns.iter().cloned().zip(keys.iter().cloned()).collect())?;
        self.load_types(&typed)?;
        columns.iter().map(|column| self.types.get(column.id).map(typed_null)).collect()
    }
}

struct Grouping<'a, 'b> {
    binder: &'a mut Binder<'b>,
    input: Plan,
    /// The order of the rows of a group.
    row_order: RowOrder,
    /// The projection below the aggregate.
    below: Vec<(Column, Expr)>,
    keys: Vec<(Column, Expr)>,
    /// The keys of other grouping sets, and the NULL that each is in this one.
    absent: Vec<(Expr, Expr)>,
    calls: Vec<AggregateCall>,
}

type Call = expr::Call<ColId, Plan>;

impl Grouping<'_, '_> {
    /// The column of the projection below that has this value.
    fn column_below(&mut self, e: Expr, name: &str) -> Column {
        let passed = match &e {
            Generic::Column(id) => self.input.columns().into_iter().find(|column| column.id == *id),
            _ => None,
        };
        computed(&mut self.below, e, || passed.unwrap_or_else(|| self.binder.ids.column(name)))
    }

    /// The output column of an aggregate call; equal calls share one.
    fn call(&mut self, mut call: Call) -> Result<ColId> {
        self.refuse_outer(&call)?;
        if depends_on_order(&call) {
            call.order_by = self.row_order.keys_for(&call.name.to_string())?;
        }
        let Call { name, args, star: _, distinct, order_by, within_group, filter, over: _ } = call;
        let variadic = args.last().is_some_and(|arg| arg.variadic);
        let mut ids = vec![];
        for arg in args {
            if arg.name.is_some() {
                return Err(refuse::named_argument(&name));
            }
            if !within_group.is_empty() && (!arg.value.columns().is_empty() || !arg.value.subqueries().is_empty()) {
                return Err(refuse::direct_argument(&name));
            }
            ids.push(self.column_below(where_filtered(arg.value, &filter), "arg").id);
        }
        let mut orders = |keys: Vec<Order>| -> Vec<Order> {
            let key = |order: Order| Order {
                expr: self.column_below(where_filtered(order.expr, &filter), "sort").expr(),
                ..order
            };
            keys.into_iter().map(key).collect()
        };
        let (order_by, within_group) = (orders(order_by), orders(within_group));
        let filter = filter.map(|e| self.column_below(e, "filter").id);
        let column = self.binder.ids.column(name.name.as_str());
        let call =
            AggregateCall { column, function: name, args: ids, variadic, distinct, order_by, within_group, filter };
        let same = |known: &&AggregateCall| AggregateCall { column: call.column.clone(), ..(*known).clone() } == call;
        if let Some(known) = self.calls.iter().find(same) {
            return Ok(known.column.id);
        }
        let id = call.column.id;
        self.calls.push(call);
        Ok(id)
    }

    /// An aggregate that reads columns of a query around this one, and none of its own, is one of that query.
    fn refuse_outer(&self, call: &Call) -> Result<()> {
        let own = self.input.ids();
        let read = reads(&Generic::Call(Box::new(call.clone())));
        match !read.is_empty() && read.is_disjoint(&own) {
            true => Err(refuse::outer_aggregate(&call.name)),
            false => Ok(()),
        }
    }

    /// `GROUPING(keys)`: a bit for each, the first the highest, that is set where the key is absent.
    fn grouping(&self, keys: &[Expr]) -> Result<Expr> {
        let mut bits = 0;
        for e in keys {
            let present = self.keys.iter().any(|(_, key)| key == e);
            if !present && !self.absent.iter().any(|(key, _)| key == e) {
                return Err(Error::Syntax("GROUPING of an expression that is no group key".to_owned()));
            }
            bits = bits * 2 + i64::from(!present);
        }
        Ok(Expr::number(bits).cast("integer"))
    }

    /// Makes a key of a column that the keys determine.
    fn extra_key(&mut self, id: ColId) -> Result<()> {
        let given: BTreeSet<ColId> =
            self.keys.iter().filter_map(|(_, e)| if let Expr::Column(id) = e { Some(*id) } else { None }).collect();
        // A column of an outer query is the same in every row.
        let Some(column) = self.input.columns().into_iter().find(|column| column.id == id) else { return Ok(()) };
        if !keys::facts(&self.input, self.binder.types.catalog)?.determined(&given).contains(&id) {
            return Err(refuse::ungrouped(&column.name));
        }
        self.binder.load_types(&self.input)?;
        if self.binder.types.get(id)?.equality == Equality::Missing {
            return Err(refuse::ungroupable(&column.name));
        }
        let column = self.column_below(Expr::Column(id), "key");
        self.keys.push((column, Expr::Column(id)));
        Ok(())
    }
}

/// An argument of an aggregate, computed only for the rows that pass its FILTER: `FILTER (WHERE a > 0)` keeps `v / a` from
/// dividing by zero.
pub fn where_filtered(e: Expr, filter: &Option<Expr>) -> Expr {
    let computed = !matches!(e, Generic::Column(_) | Generic::Literal(_));
    match filter {
        Some(filter) if computed && !e.is_constant() => {
            Generic::Case(Box::new(Case { operand: None, arms: vec![(filter.clone(), as_value(e))], otherwise: None }))
        }
        _ => e,
    }
}

impl Mapper<ColId, Plan> for Grouping<'_, '_> {
    type C2 = ColId;
    type Q2 = Plan;

    fn column(&mut self, id: ColId) -> Result<Expr> {
        self.extra_key(id)?;
        Ok(Expr::Column(id))
    }

    /// A subquery may refer to group keys, and to columns that they determine.
    fn query(&mut self, plan: Plan) -> Result<Plan> {
        let own = self.input.ids();
        for id in plan.free().intersection(&own) {
            if !self.keys.iter().any(|(_, key)| *key == Expr::Column(*id)) {
                self.extra_key(*id)?;
            }
        }
        Ok(plan)
    }

    fn node(&mut self, e: Expr) -> Result<Step<ColId, Plan, ColId, Plan>> {
        if let Some((column, _)) = self.keys.iter().find(|(_, key)| *key == e) {
            return Ok(ControlFlow::Break(column.expr()));
        }
        if let Some((_, null)) = self.absent.iter().find(|(key, _)| *key == e) {
            return Ok(ControlFlow::Break(null.clone()));
        }
        match e {
            Generic::Grouping(keys) => self.grouping(&keys).map(ControlFlow::Break),
            Generic::Call(call)
                if call.over.is_none() && self.binder.function(&call.name)? == FunctionKind::Aggregate =>
            {
                self.call(*call).map(|id| ControlFlow::Break(Expr::Column(id)))
            }
            e => Ok(ControlFlow::Continue(e)),
        }
    }
}
