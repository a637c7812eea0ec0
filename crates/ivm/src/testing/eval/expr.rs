//! Scalar expressions in three-valued logic: a condition is true, false or null.

use super::{Scope, function, rows};
use crate::error::{Error, Result};
use crate::expr::{Case, Expr as Generic, IsTest, Literal, Quantified, TypeName};
use crate::plan::{ColId, Expr, Plan};
use crate::testing::number::Numeric;
use crate::testing::value::{NULL, Row, Value};

/// The value of an expression for one row.
pub fn eval(e: &Expr, scope: &Scope) -> Result<Value> {
    Ok(match e {
        Generic::Column(id) => scope.column(*id)?.clone(),
        Generic::Literal(value) => literal(value)?,
        Generic::Cast(e, ty) => cast(eval(e, scope)?, ty)?,
        Generic::Unary(op, e) => match (op.symbol.as_str(), eval(e, scope)?) {
            (_, Value::Null) => NULL,
            ("-", Value::Int(n)) => Value::Int(-n),
            ("-", Value::Numeric(n)) => Value::Numeric(n.negate()),
            ("-", Value::Float(x)) => Value::Float(-x),
            ("+", value) => value,
            (op, _) => return Err(unknown(&format!("prefix operator {op}"))),
        },
        Generic::Binary(op, l, r) => function::operator(&op.symbol, &eval(l, scope)?, &eval(r, scope)?)?,
        Generic::And(parts) => connective(parts, false, scope)?,
        Generic::Or(parts) => connective(parts, true, scope)?,
        Generic::Not(e) => truth(&eval(e, scope)?)?.map_or(NULL, |b| Value::Bool(!b)),
        Generic::Is(e, test) => Value::Bool(is(&eval(e, scope)?, *test)?),
        Generic::Distinct(l, r) => Value::Bool(eval(l, scope)?.compare(&eval(r, scope)?).is_ne()),
        Generic::Case(case) => self::case(case, scope)?,
        Generic::Call(call) => match (call.name.name.as_str(), call.over.is_some()) {
            ("coalesce", false) => {
                for arg in &call.args {
                    let value = eval(&arg.value, scope)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                NULL
            }
            (name, false) => {
                let args = call.args.iter().map(|arg| eval(&arg.value, scope)).collect::<Result<Row>>()?;
                function::call(name, &args)?
            }
            (name, true) => return Err(unknown(&format!("window function {name}"))),
        },
        Generic::Array(items) => Value::Array(values(items, scope)?),
        Generic::Row(items) => Value::Row(values(items, scope)?),
        Generic::Collate(e, _) => eval(e, scope)?,
        Generic::Quantified(q) => match eval(&q.right, scope)? {
            Value::Array(items) => quantified(q, items, scope)?,
            Value::Null => NULL,
            _ => return Err(unknown("ANY over something that is no array")),
        },
        Generic::QuantifiedQuery(q) => quantified(q, column(&q.right, scope)?, scope)?,
        Generic::InQuery(e, query) => {
            let left = eval(e, scope)?;
            any(column(query, scope)?.iter().map(|right| function::operator("=", &left, right)))?
        }
        Generic::Exists(query) => Value::Bool(!rows(query, scope)?.rows.is_empty()),
        Generic::Scalar(query) => match column(query, scope)?.as_slice() {
            [] => NULL,
            [value] => value.clone(),
            _ => {
                return Err(Error::Evaluation("more than one row returned by a subquery used as one value".to_owned()));
            }
        },
        Generic::ArrayOf(query) => Value::Array(column(query, scope)?),
        Generic::WholeRow(_)
        | Generic::Special(..)
        | Generic::Keyword(..)
        | Generic::Subscript(..)
        | Generic::Field(..)
        | Generic::Grouping(_) => return Err(unknown(&format!("{e:?}"))),
    })
}

/// Whether every predicate is true, neither false nor null.
pub fn all_true(predicates: &[&Expr], scope: &Scope) -> Result<bool> {
    for predicate in predicates {
        if truth(&eval(predicate, scope)?)? != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unknown(what: &str) -> Error {
    Error::Evaluation(format!("{what} is not known"))
}

fn values(items: &[Expr], scope: &Scope) -> Result<Row> {
    items.iter().map(|item| eval(item, scope)).collect()
}

/// The rows of a subquery as values: bare for one column, rows for more.
fn column(query: &Plan, scope: &Scope) -> Result<Vec<Value>> {
    let value = |mut row: Row| match row.len() {
        1 => row.remove(0),
        _ => Value::Row(row),
    };
    Ok(rows(query, scope)?.rows.into_iter().map(value).collect())
}

fn literal(value: &Literal) -> Result<Value> {
    Ok(match value {
        Literal::Null => NULL,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Number(digits) => match digits.parse() {
            Ok(n) => Value::Int(n),
            Err(_) => Value::Numeric(Numeric::parse(digits)?),
        },
        Literal::String(text) => Value::Text(text.clone()),
        Literal::Bits(..) => return Err(unknown("a bit string")),
    })
}

fn cast(value: Value, TypeName(ty): &TypeName) -> Result<Value> {
    let base = ty.split('(').next().unwrap_or(ty);
    Ok(match (base, value) {
        (_, Value::Null) => NULL,
        ("smallint" | "integer" | "bigint", Value::Text(text)) => {
            Value::Int(Numeric::parse(&text)?.rescaled(0)?.digits)
        }
        ("smallint" | "integer" | "bigint", Value::Bool(b)) => Value::Int(b.into()),
        ("smallint" | "integer" | "bigint", Value::Float(x)) => Value::Int(x.round_ties_even() as i128),
        ("smallint" | "integer" | "bigint", value) => match value.number() {
            Some(n) => Value::Int(n.rescaled(0)?.digits),
            None => return Err(unknown(&format!("{value} as {ty}"))),
        },
        ("numeric", value) => {
            let number = match (&value, value.number()) {
                (_, Some(n)) => n,
                _ => Numeric::parse(&value.to_string())?,
            };
            match declared_scale(ty)? {
                Some(scale) => Value::Numeric(number.rescaled(scale)?),
                None => Value::Numeric(number),
            }
        }
        ("double precision" | "real", value) => match (&value, value.float()) {
            (_, Some(x)) => Value::Float(x),
            _ => Value::Float(value.to_string().parse().map_err(|_| unknown(&format!("{value} as {ty}")))?),
        },
        ("boolean", Value::Int(n)) => Value::Bool(n != 0),
        ("boolean", Value::Text(text)) => Value::Bool(matches!(text.as_str(), "t" | "true" | "on" | "yes" | "1")),
        ("text" | "character varying", value @ Value::Text(_)) => value,
        ("text" | "character varying", value) => Value::Text(value.to_string()),
        (_, value) => value,
    })
}

/// The `2` of `numeric(10,2)`.
fn declared_scale(ty: &str) -> Result<Option<u32>> {
    let modifier = ty.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let Some(modifier) = modifier else { return Ok(None) };
    let scale = modifier.split_once(',').map_or("0", |(_, scale)| scale).trim();
    scale.parse().map(Some).map_err(|_| unknown(&format!("type {ty}")))
}

fn truth(value: &Value) -> Result<Option<bool>> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(b) => Ok(Some(*b)),
        other => Err(Error::Evaluation(format!("{other} is not a truth value"))),
    }
}

/// AND (`decisive` false) and OR (`decisive` true): a decisive part decides, else a null part does.
fn connective(parts: &[Expr], decisive: bool, scope: &Scope) -> Result<Value> {
    let mut result = Value::Bool(!decisive);
    for part in parts {
        match truth(&eval(part, scope)?)? {
            Some(b) if b == decisive => return Ok(Value::Bool(decisive)),
            Some(_) => {}
            None => result = NULL,
        }
    }
    Ok(result)
}

fn is(value: &Value, test: IsTest) -> Result<bool> {
    Ok(match test {
        // A row is null when all its fields are, and not null when none is.
        IsTest::Null => match value {
            Value::Row(fields) => fields.iter().all(Value::is_null),
            value => value.is_null(),
        },
        IsTest::NotNull => match value {
            Value::Row(fields) => !fields.iter().any(Value::is_null),
            value => !value.is_null(),
        },
        IsTest::True => truth(value)? == Some(true),
        IsTest::NotTrue => truth(value)? != Some(true),
        IsTest::False => truth(value)? == Some(false),
        IsTest::NotFalse => truth(value)? != Some(false),
        IsTest::Unknown => truth(value)?.is_none(),
        IsTest::NotUnknown => truth(value)?.is_some(),
    })
}

fn case(case: &Case<ColId, Plan>, scope: &Scope) -> Result<Value> {
    let operand = case.operand.as_ref().map(|operand| eval(operand, scope)).transpose()?;
    for (when, then) in &case.arms {
        let when = eval(when, scope)?;
        let condition = match &operand {
            Some(operand) => function::operator("=", operand, &when)?,
            None => when,
        };
        if truth(&condition)? == Some(true) {
            return eval(then, scope);
        }
    }
    case.otherwise.as_ref().map_or(Ok(NULL), |otherwise| eval(otherwise, scope))
}

fn quantified<R>(q: &Quantified<ColId, Plan, R>, items: Vec<Value>, scope: &Scope) -> Result<Value> {
    let left = eval(&q.left, scope)?;
    let compared = items.iter().map(|right| function::operator(&q.op.symbol, &left, right));
    match q.all {
        false => any(compared),
        true => {
            let negated = compared.map(|value| Ok(truth(&value?)?.map_or(NULL, |b| Value::Bool(!b))));
            Ok(truth(&any(negated)?)?.map_or(NULL, |b| Value::Bool(!b)))
        }
    }
}

/// True when one is true, else null when one is null, else false.
fn any(values: impl Iterator<Item = Result<Value>>) -> Result<Value> {
    let mut result = Value::Bool(false);
    for value in values {
        match truth(&value?)? {
            Some(true) => return Ok(Value::Bool(true)),
            Some(false) => {}
            None => result = NULL,
        }
    }
    Ok(result)
}
