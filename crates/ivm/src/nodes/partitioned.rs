//! Windows and top-k: their table holds what the query shows of them, and the columns that find their rows.

use crate::bind::refuse;
use crate::error::Result;
use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Plan};
use crate::{keys, recursion};

use super::{Cut, Cutter, identity};
use crate::render::unique;

impl Cutter<'_> {
    /// Makes a node of a window or a top-k, of which `shown` is read, and returns what reads it.
    pub fn partitioned(&mut self, operator: Plan, shown: Vec<(Column, Expr)>) -> Result<Plan> {
        if let Plan::TopK(top) = &operator
            && top.order.is_empty()
            && recursion::may_be_endless(&top.input)
        {
            return Err(refuse::recursion_limited());
        }
        let (lookup, order) = located(&operator);
        let available = operator.columns();
        let mut kept = shown.clone();
        for id in lookup.iter().chain(&order) {
            let there = kept.iter().any(|(column, e)| column.id == *id && *e == column.expr());
            let column = available.iter().find(|column| column.id == *id);
            kept.extend(column.filter(|_| !there).map(Column::pass));
        }
        let whole = projected(operator.clone(), kept.clone());
        let facts = keys::facts(&whole, self.catalog)?;
        let identity = identity::choose(&whole, &facts, self.catalog, self.types)?;
        let output = whole.columns();
        let mut columns = vec![];
        for (column, name) in output.iter().zip(unique(&output)) {
            columns.push(self.column(column, name, &whole, &facts)?);
        }
        let added = kept.len() > shown.len();
        let plan = projected(operator.try_map_inputs(&mut |input| self.below(input))?, kept);
        let scan = self.read(Cut { lookup, ..Cut::new(plan, columns, identity) })?;
        let shown = shown.into_iter().map(|(column, _)| column.pass()).collect();
        Ok(if added { scan.project(shown) } else { scan })
    }
}

/// The columns that tell partitions apart, and those that put the rows of a top-k in their order.
fn located(operator: &Plan) -> (Vec<ColId>, Vec<ColId>) {
    match operator {
        Plan::Window(window) => (window.partition.clone(), vec![]),
        Plan::TopK(top) => {
            let keys = top.order.iter().filter_map(|key| if let E::Column(id) = key.expr { Some(id) } else { None });
            (top.partition.clone(), if top.partition.is_empty() { keys.collect() } else { vec![] })
        }
        _ => (vec![], vec![]),
    }
}

fn projected(plan: Plan, columns: Vec<(Column, Expr)>) -> Plan {
    match columns.iter().map(|(_, e)| e.clone()).eq(plan.columns().iter().map(Column::expr))
        && columns.iter().all(|(column, e)| *e == column.expr())
    {
        true => plan,
        false => plan.project(columns),
    }
}
