//! LATERAL: a subquery in FROM that reads its neighbours is joined on what it reads of them.

use super::lift::unliftable;
use super::{Lifted, Unnester};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::expr::{Expr as Generic, Literal};
use crate::plan::{Column, Expr, Ids, Plan};

/// `left CROSS JOIN LATERAL query`, or with `outer`, `left LEFT JOIN LATERAL query ON on`.
pub fn lateral(left: Plan, query: Plan, on: Option<Expr>, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
    let shown: Vec<Column> = left.columns().into_iter().chain(query.columns()).collect();
    let lifted = Unnester { catalog, ids }.lifted(query)?;
    let columns: Vec<(Column, Expr)> = shown.iter().map(|column| (column.clone(), lifted.output(column.id))).collect();
    let computed = !lifted.outputs.is_empty();
    let Lifted { plan, on: mut conditions, single, .. } = lifted;
    let always = |on: &Expr| *on == Generic::Literal(Literal::Bool(true));
    let joined = match on {
        None if !single || conditions.is_empty() => Plan::join(vec![left, plan], conditions),
        Some(on) if !computed && !single => {
            conditions.push(on);
            left.left_join(plan, Expr::all(conditions))
        }
        Some(on) if !always(&on) => return Err(unliftable()),
        Some(_) if computed && !single => return Err(unliftable()),
        None | Some(_) => left.left_join(plan, Expr::all(conditions)),
    };
    Ok(joined.project(columns))
}
