//! Aggregates over the rows of one group.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::{Scope, canonical, expr, function};
use crate::error::{Error, Result};
use crate::expr::Direction;
use crate::plan::{AggregateCall, ColId, Order};
use crate::testing::number::Numeric;
use crate::testing::value::{NULL, Row, Value};

/// The value of a call over a group.
pub fn eval(call: &AggregateCall, columns: &[ColId], members: &[Row], scope: &Scope) -> Result<Value> {
    let inputs = inputs(call, columns, members, scope)?;
    match (call.function.name.as_str(), call.args.len()) {
        ("count", 0) => count(inputs.len()),
        ("count", _) => count(inputs.iter().filter(|args| !args[0].is_null()).count()),
        ("array_agg", 1) if inputs.is_empty() => Ok(NULL),
        ("array_agg", 1) => Ok(Value::Array(inputs.into_iter().map(|mut args| args.remove(0)).collect())),
        ("string_agg", 2) => Ok(string_agg(&inputs)),
        (name, 1) => {
            let values: Vec<&Value> = inputs.iter().map(|args| &args[0]).filter(|value| !value.is_null()).collect();
            strict(name, &values)
        }
        (name, _) => Err(Error::Evaluation(format!("aggregate {name} is not known"))),
    }
}

/// The arguments of a call for each row that its filter lets through, in its order, duplicates removed
/// where it says so.
fn inputs(call: &AggregateCall, columns: &[ColId], members: &[Row], scope: &Scope) -> Result<Vec<Row>> {
    let mut sorted: Vec<(Row, Row)> = vec![];
    for member in members {
        let inner = scope.inner(columns, member);
        if let Some(filter) = call.filter
            && !matches!(inner.column(filter)?, Value::Bool(true))
        {
            continue;
        }
        let keys = call.order_by.iter().map(|key| expr::eval(&key.expr, &inner)).collect::<Result<Row>>()?;
        let args = call.args.iter().map(|id| inner.column(*id).cloned()).collect::<Result<Row>>()?;
        sorted.push((keys, args));
    }
    sorted.sort_by(|(l, l_args), (r, r_args)| compare(&call.order_by, l, r).then_with(|| l_args.cmp(r_args)));
    let mut seen = BTreeSet::new();
    Ok(sorted.into_iter().map(|(_, args)| args).filter(|args| !call.distinct || seen.insert(canonical(args))).collect())
}

/// Rows by the values of their sort keys.
pub fn compare(order: &[Order], left: &[Value], right: &[Value]) -> Ordering {
    let unequal = order.iter().zip(left.iter().zip(right)).map(|(key, (left, right))| by_key(key, left, right));
    unequal.fold(Ordering::Equal, Ordering::then)
}

fn by_key(key: &Order, left: &Value, right: &Value) -> Ordering {
    let descending = matches!(key.direction, Direction::Descending);
    let nulls_first = key.nulls_first.unwrap_or(descending);
    match (left.is_null(), right.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) if nulls_first => Ordering::Less,
        (false, true) if nulls_first => Ordering::Greater,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => right.compare(left),
        (false, false) => left.compare(right),
    }
}

fn count(n: usize) -> Result<Value> {
    i128::try_from(n).map(Value::Int).map_err(|_| Error::Bug("a count that is no integer"))
}

/// An aggregate that ignores nulls and is null over nothing.
fn strict(name: &str, values: &[&Value]) -> Result<Value> {
    let Some(first) = values.first() else { return Ok(NULL) };
    let extremum = |wanted: Ordering| {
        let better = |best: Value, value: &&Value| match value.compare(&best) == wanted {
            true => (*value).clone(),
            false => best,
        };
        values.iter().fold((*first).clone(), better)
    };
    match name {
        "sum" => sum(values),
        "avg" => {
            let total = sum(values)?;
            match total.number() {
                Some(total) => {
                    let n = i128::try_from(values.len()).map_err(|_| Error::Bug("a count that is no integer"))?;
                    Ok(Value::Numeric(total.divide(Numeric::integer(n))?))
                }
                None => function::arithmetic("/", &total, &Value::Float(values.len() as f64)),
            }
        }
        "min" => Ok(extremum(Ordering::Less)),
        "max" => Ok(extremum(Ordering::Greater)),
        "any_value" => Ok((*first).clone()),
        "bool_and" | "every" => Ok(Value::Bool(values.iter().all(|value| **value == Value::Bool(true)))),
        "bool_or" => Ok(Value::Bool(values.iter().any(|value| **value == Value::Bool(true)))),
        _ => Err(Error::Evaluation(format!("aggregate {name} is not known"))),
    }
}

fn sum(values: &[&Value]) -> Result<Value> {
    let Some((first, rest)) = values.split_first() else { return Ok(NULL) };
    rest.iter().try_fold((*first).clone(), |total, value| function::arithmetic("+", &total, value))
}

fn string_agg(inputs: &[Row]) -> Value {
    let mut text: Option<String> = None;
    for args in inputs.iter().filter(|args| !args[0].is_null()) {
        let value = args[0].to_string();
        text = Some(match text {
            None => value,
            Some(text) if args[1].is_null() => text + &value,
            Some(text) => text + &args[1].to_string() + &value,
        });
    }
    text.map_or(NULL, Value::Text)
}
