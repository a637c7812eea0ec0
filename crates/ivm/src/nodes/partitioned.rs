//! Windows and top-k: their table holds the columns that the query shows, and those by which programs look rows up.

use crate::error::Result;
use crate::keys::{self, Facts};
use crate::plan::{ColId, Column, Expr, Order, Plan, Ties};
use crate::recursion;
use crate::refuse;
use crate::view::Node;

use super::running::column;
use super::{Cutter, ordered, running, width};

impl Cutter<'_> {
    /// Makes a node of a window or a top-k, of which `shown` is read, and returns a plan that reads it.
    pub fn partitioned(&mut self, operator: Plan, shown: Vec<(Column, Expr)>) -> Result<Plan> {
        if let Plan::TopK(top) = &operator
            && top.order.is_empty()
            && recursion::may_be_endless(&top.input)
        {
            return Err(refuse::recursion_limited());
        }
        let facts = self.facts_below(&operator)?;
        let operator = without_idle_nulls(operator, &facts);
        let mut lookup = operator.named_columns();
        // Without a partition, those that order the rows of a top-k.
        let order: Vec<ColId> = match lookup.is_empty() {
            true => operator.expressions().into_iter().filter_map(column).collect(),
            false => vec![],
        };
        let available = operator.columns();
        let mut stored = shown.clone();
        for id in lookup.iter().chain(&order) {
            let known = stored.iter().any(|(column, e)| column.id == *id && *e == column.expr());
            let column = available.iter().find(|column| column.id == *id);
            stored.extend(column.filter(|_| !known).map(Column::pass));
        }
        let running = match &operator {
            Plan::Window(window) => running::of(window, &stored, &facts, self.types)?,
            _ => vec![],
        };
        let indexed = self.is_indexed(&operator, &facts, !running.is_empty())?;
        if let Plan::Window(window) = &operator
            && !running.is_empty()
        {
            // Of a value that may be too long for an index it has the hash, which has no order.
            let order = running::order(window)
                .iter()
                .filter_map(|key| column(&key.expr))
                .map(|id| Ok((id, width(&self.types.get(id)?.name).is_some())));
            let order = order.collect::<Result<Vec<(ColId, bool)>>>()?;
            lookup.extend(order.into_iter().take_while(|(_, short)| *short).map(|(id, _)| id));
        }
        let whole = projected(operator.clone(), stored.clone());
        let (columns, identity) = self.described(&whole)?;
        let added = stored.len() > shown.len();
        let plan = projected(operator.try_map_inputs(&mut |input| self.below(input))?, stored);
        let scan = self.read(Node { lookup, indexed, running, ..self.made(plan, columns, identity) })?;
        let shown = shown.into_iter().map(|(column, _)| column.pass()).collect();
        Ok(if added { scan.project(shown) } else { scan })
    }

    fn facts_below(&self, operator: &Plan) -> Result<Facts> {
        let input = operator.inputs().first().map(|input| keys::facts(input, self.types.catalog));
        input.unwrap_or_else(|| Ok(Facts::default()))
    }

    /// Whether an index has the rows of each partition in the order of a window that runs, or of a limit.
    fn is_indexed(&self, operator: &Plan, facts: &Facts, runs: bool) -> Result<bool> {
        let catalog = self.types.catalog;
        match operator {
            Plan::Window(w) => Ok(runs && ordered::sorts(&w.input, &w.partition, running::order(w), catalog)?),
            // Rows are looked up by the values that count: a NULL equals nothing.
            Plan::TopK(top) if top.ties == Ties::Together && !top.order.iter().all(|key| is_full(key, facts)) => {
                Ok(false)
            }
            Plan::TopK(top) => {
                Ok(top.limit.is_some() && ordered::sorts(&top.input, &top.partition, &top.order, catalog)?)
            }
            _ => Ok(false),
        }
    }
}

/// Whether a key of an order is a column without NULLs.
fn is_full(key: &Order, facts: &Facts) -> bool {
    column(&key.expr).is_some_and(|id| facts.not_null.contains(&id))
}

/// A top-k whose order says nothing about NULLs that there are none of: to the server it would be another order than that of
/// an index.
fn without_idle_nulls(mut operator: Plan, facts: &Facts) -> Plan {
    if let Plan::TopK(top) = &mut operator {
        top.order.iter_mut().filter(|key| is_full(key, facts)).for_each(|key| key.nulls_first = None);
    }
    operator
}

fn projected(plan: Plan, columns: Vec<(Column, Expr)>) -> Plan {
    let passed = columns.iter().all(|(column, e)| *e == column.expr());
    let same = passed && plan.columns().iter().map(|column| column.id).eq(columns.iter().map(|(column, _)| column.id));
    if same { plan } else { plan.project(columns) }
}
