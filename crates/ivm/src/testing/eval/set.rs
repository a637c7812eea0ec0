//! Set-returning functions: the rows that a call returns, and projections that call them.

use std::ops::ControlFlow;

use super::{Rows, Scope, expr, rows};
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, Step};
use crate::plan::{ColId, Expr, Plan, Project, Unnest};
use crate::testing::value::{NULL, Row, Value};

/// Every row of the input with each row of the function.
pub fn unnest(unnest: &Unnest, scope: &Scope) -> Result<Vec<Row>> {
    let Rows { columns, rows } = rows(&unnest.input, scope)?;
    let mut result = vec![];
    for row in rows {
        let returned = call(&unnest.call, &scope.inner(&columns, &row))?;
        if returned.is_empty() && unnest.outer {
            result.push(row.iter().cloned().chain(unnest.columns.iter().map(|_| NULL)).collect());
        }
        for (at, values) in returned.into_iter().enumerate() {
            let place = unnest.ordinality.then_some(Value::Int(at as i128 + 1));
            result.push(row.iter().cloned().chain(values).chain(place).collect());
        }
    }
    Ok(result)
}

/// All calls of one row advance together; those that are exhausted show NULL until the last one is.
pub fn expand(expand: &Project, scope: &Scope) -> Result<Vec<Row>> {
    let Rows { columns, rows } = rows(&expand.input, scope)?;
    let mut calls = vec![];
    let exprs = expand.columns.iter().map(|(_, e)| e.clone().try_replace(&mut |e| Ok(lifted(e, &mut calls))));
    let exprs = exprs.collect::<Result<Vec<Expr>>>()?;
    let places: Vec<ColId> = (0..calls.len()).map(place).collect();
    let mut result = vec![];
    for row in rows {
        let outer = scope.inner(&columns, &row);
        let lists = calls.iter().map(|e| call(e, &outer)).collect::<Result<Vec<_>>>()?;
        for step in 0..lists.iter().map(Vec::len).max().unwrap_or(1) {
            let now: Row = lists.iter().map(|list| value(list.get(step))).collect();
            let inner = outer.inner(&places, &now);
            result.push(exprs.iter().map(|e| expr::eval(e, &inner)).collect::<Result<Row>>()?);
        }
    }
    Ok(result)
}

/// A row of a function as one value.
fn value(row: Option<&Row>) -> Value {
    match row.map(Vec::as_slice) {
        None => NULL,
        Some([value]) => value.clone(),
        Some(row) => Value::Row(row.to_vec()),
    }
}

/// The rows of a call.
fn call(e: &Expr, scope: &Scope) -> Result<Vec<Row>> {
    let unknown = || Error::Evaluation(format!("no set is known for {e:?}"));
    let Generic::Call(call) = e else { return Err(unknown()) };
    let args = call.args.iter().map(|arg| expr::eval(&arg.value, scope)).collect::<Result<Row>>()?;
    match (call.name.name.as_str(), args.as_slice()) {
        ("generate_series", [Value::Null, _] | [_, Value::Null]) => Ok(vec![]),
        ("generate_series", [Value::Int(from), Value::Int(to)]) => {
            Ok((*from..=*to).map(|n| vec![Value::Int(n)]).collect())
        }
        ("unnest", arrays) => {
            let items = |array: &Value| match array {
                Value::Array(items) => Ok(items.clone()),
                Value::Null => Ok(vec![]),
                _ => Err(unknown()),
            };
            let arrays = arrays.iter().map(items).collect::<Result<Vec<Row>>>()?;
            let length = arrays.iter().map(Vec::len).max().unwrap_or(0);
            let row = |at| arrays.iter().map(|items: &Row| items.get(at).cloned().unwrap_or(NULL)).collect();
            Ok((0..length).map(row).collect())
        }
        _ => Err(unknown()),
    }
}

/// The column that stands for a lifted call; no plan has as many.
fn place(nth: usize) -> ColId {
    ColId(u32::MAX - nth as u32)
}

/// Takes a set-returning call out of an expression.
fn lifted(e: Expr, calls: &mut Vec<Expr>) -> Step<ColId, Plan, ColId, Plan> {
    let is_set = |name: &str| matches!(name, "generate_series" | "unnest");
    match &e {
        Generic::Call(call) if is_set(call.name.name.as_str()) => {
            calls.push(e);
            ControlFlow::Break(Expr::Column(place(calls.len() - 1)))
        }
        _ => ControlFlow::Continue(e),
    }
}
