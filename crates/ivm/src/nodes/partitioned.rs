//! Windows and top-k: their table holds the columns that the query shows, and those by which programs look rows up.

use crate::error::Result;
use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Plan};
use crate::recursion;
use crate::refuse;
use crate::view::Node;

use super::Cutter;

impl Cutter<'_> {
    /// Makes a node of a window or a top-k, of which `shown` is read, and returns a plan that reads it.
    pub fn partitioned(&mut self, operator: Plan, shown: Vec<(Column, Expr)>) -> Result<Plan> {
        if let Plan::TopK(top) = &operator
            && top.order.is_empty()
            && recursion::may_be_endless(&top.input)
        {
            return Err(refuse::recursion_limited());
        }
        let lookup = operator.named_columns();
        let column = |e: &Expr| if let E::Column(id) = e { Some(*id) } else { None };
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
        let whole = projected(operator.clone(), stored.clone());
        let (columns, identity) = self.described(&whole)?;
        let added = stored.len() > shown.len();
        let plan = projected(operator.try_map_inputs(&mut |input| self.below(input))?, stored);
        let scan = self.read(Node { lookup, ..self.made(plan, columns, identity) })?;
        let shown = shown.into_iter().map(|(column, _)| column.pass()).collect();
        Ok(if added { scan.project(shown) } else { scan })
    }
}

fn projected(plan: Plan, columns: Vec<(Column, Expr)>) -> Plan {
    let passed = columns.iter().all(|(column, e)| *e == column.expr());
    let same = passed && plan.columns().iter().map(|column| column.id).eq(columns.iter().map(|(column, _)| column.id));
    if same { plan } else { plan.project(columns) }
}
