//! LATERAL: a subquery in FROM that reads columns of other items is joined on them; one that reads no
//! table extends their row.

use super::{Lifted, Unnester, compares};
use crate::error::Result;
use crate::expr::{Expr as Generic, Literal};
use crate::plan::{Column, Expr, Ids, Plan, Unnest, Values};
use crate::refuse::unliftable;
use crate::types::Types;

/// `left CROSS JOIN LATERAL query`, or with `on`, `left LEFT JOIN LATERAL query ON on`. `types` are those of columns
/// around them.
pub fn lateral((left, query): (Plan, Plan), on: Option<Expr>, types: &Types, ids: &mut Ids) -> Result<Plan> {
    if query.free().is_empty() || !is_of_row(&query) {
        return joined((left, query), on, Unnester { ids, types: types.clone(), is_conditional: false });
    }
    match (query, on) {
        (query, None) => Ok(extended(left, query)),
        (Plan::Unnest(u), Some(on)) if is_true(&on) && u.input.columns().is_empty() => {
            Ok(Plan::Unnest(Box::new(Unnest { input: left, outer: true, ..*u })))
        }
        _ => Err(unliftable()),
    }
}

/// Whether a plan reads no table and derives its rows from one outer row.
fn is_of_row(query: &Plan) -> bool {
    match query {
        Plan::Values(values) => values.rows.len() == 1,
        Plan::Filter(_) | Plan::Project(_) | Plan::Expand(_) | Plan::Unnest(_) | Plan::Join(_) => {
            query.inputs().into_iter().all(is_of_row)
        }
        _ => false,
    }
}

/// The rows of `left`, each with those that `query` derives from it: `query` with `left` in the place of its one row.
fn extended(left: Plan, query: Plan) -> Plan {
    let shown = left.pass();
    let with = |more: Vec<(Column, Expr)>| {
        let new = more.into_iter().filter(|(column, _)| shown.iter().all(|(known, _)| known.id != column.id));
        shown.iter().cloned().chain(new).collect::<Vec<_>>()
    };
    match query {
        Plan::Values(Values { columns, rows }) => {
            let computed: Vec<_> = columns.into_iter().zip(rows.into_iter().flatten()).collect();
            if computed.is_empty() { left } else { left.project(with(computed)) }
        }
        Plan::Project(ref p) | Plan::Expand(ref p) => {
            query.project_alike(extended(left, p.input.clone()), with(p.columns.clone()))
        }
        Plan::Join(j) => {
            let product = j.inputs.into_iter().fold(left, extended);
            product.filter_all(j.predicates)
        }
        other => other.map_inputs(&mut |input| extended(left.clone(), input)),
    }
}

fn is_true(e: &Expr) -> bool {
    *e == Generic::Literal(Literal::Bool(true))
}

/// A subquery over tables, joined on the columns that it reads of other items.
fn joined((left, query): (Plan, Plan), on: Option<Expr>, mut unnester: Unnester) -> Result<Plan> {
    let shown: Vec<Column> = left.columns().into_iter().chain(query.columns()).collect();
    if compares(&query) {
        unnester.load_types(&left)?;
    }
    let lifted = unnester.lifted(query, &left)?;
    let after = |lifted: &Lifted| shown.iter().map(|column| (column.clone(), lifted.output(column.id))).collect();
    let (joined, columns) = match on {
        None if !lifted.may_miss() => {
            let columns = after(&lifted);
            (Plan::join(vec![left, lifted.plan], lifted.on), columns)
        }
        Some(on) if !lifted.single => {
            let mut lifted = lifted.marked(unnester.ids);
            lifted.on.push(lifted.after(on));
            let columns = after(&lifted);
            (left.left_join(lifted.plan, Expr::all(lifted.on)), columns)
        }
        Some(on) if !is_true(&on) => return Err(unliftable()),
        // A single one has a row for every row on the left.
        None | Some(_) => {
            let columns = after(&lifted);
            (left.left_join(lifted.plan, Expr::all(lifted.on)), columns)
        }
    };
    Ok(joined.project(columns))
}
