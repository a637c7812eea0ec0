//! The functions and operators that the laws' plans use.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::{Error, Result};
use crate::testing::number::Numeric;
use crate::testing::value::{NULL, Value};

/// A binary operator; all are strict.
pub fn operator(symbol: &str, left: &Value, right: &Value) -> Result<Value> {
    let row_comparison = matches!((left, right), (Value::Row(_), Value::Row(_)));
    if left.is_null() || right.is_null() {
        return Ok(NULL);
    }
    if row_comparison && let ("=" | "<>", Value::Row(l), Value::Row(r)) = (symbol, left, right) {
        return row_equality(symbol, l, r);
    }
    let order = left.compare(right);
    Ok(match symbol {
        "=" => Value::Bool(order.is_eq()),
        "<>" => Value::Bool(order.is_ne()),
        "<" => Value::Bool(order.is_lt()),
        "<=" => Value::Bool(order.is_le()),
        ">" => Value::Bool(order.is_gt()),
        ">=" => Value::Bool(order.is_ge()),
        "||" => Value::Text(format!("{left}{right}")),
        _ => return arithmetic(symbol, left, right),
    })
}

/// Rows are unequal as soon as one field is, and null when equality hangs on a null field.
fn row_equality(symbol: &str, left: &[Value], right: &[Value]) -> Result<Value> {
    let mut result = Value::Bool(symbol == "=");
    for (l, r) in left.iter().zip(right) {
        match operator("=", l, r)? {
            Value::Bool(false) => return Ok(Value::Bool(symbol == "<>")),
            Value::Null => result = NULL,
            _ => {}
        }
    }
    Ok(result)
}

/// `+ - * / % ^`.
pub fn arithmetic(symbol: &str, left: &Value, right: &Value) -> Result<Value> {
    let unknown = || Error::Evaluation(format!("{left} {symbol} {right} is not known"));
    let overflow = || Error::Evaluation(format!("{left} {symbol} {right} is too large"));
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(NULL),
        (Value::Int(l), Value::Int(r)) => match symbol {
            "+" => l.checked_add(*r).map(Value::Int).ok_or_else(overflow),
            "-" => l.checked_sub(*r).map(Value::Int).ok_or_else(overflow),
            "*" => l.checked_mul(*r).map(Value::Int).ok_or_else(overflow),
            "/" | "%" if *r == 0 => Err(Error::Evaluation("division by zero".to_owned())),
            "/" => Ok(Value::Int(l / r)),
            "%" => Ok(Value::Int(l % r)),
            _ => Err(unknown()),
        },
        _ => match (left.number(), right.number()) {
            (Some(l), Some(r)) => exact(symbol, l, r).unwrap_or_else(|| Err(unknown())),
            _ => match (left.float(), right.float()) {
                (Some(l), Some(r)) => float(symbol, l, r).map(Value::Float).ok_or_else(unknown),
                _ => Err(unknown()),
            },
        },
    }
}

fn exact(symbol: &str, left: Numeric, right: Numeric) -> Option<Result<Value>> {
    let result = match symbol {
        "+" => left.plus(right),
        "-" => left.plus(right.negate()),
        "*" => left.multiply(right),
        "/" => left.divide(right),
        "^" => left.power(right),
        _ => return None,
    };
    Some(result.map(Value::Numeric))
}

fn float(symbol: &str, left: f64, right: f64) -> Option<f64> {
    Some(match symbol {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        "^" => left.powf(right),
        _ => return None,
    })
}

/// A function call; `coalesce` is elsewhere, because it does not evaluate all of its arguments.
pub fn call(name: &str, args: &[Value]) -> Result<Value> {
    match (name, args) {
        ("greatest" | "least", args) => {
            let given = args.iter().filter(|value| !value.is_null()).cloned();
            let best = match name {
                "least" => given.reduce(|l, r| if r.compare(&l).is_lt() { r } else { l }),
                _ => given.reduce(|l, r| if r.compare(&l).is_gt() { r } else { l }),
            };
            Ok(best.unwrap_or(NULL))
        }
        ("nullif", [left, right]) => match operator("=", left, right)? {
            Value::Bool(true) => Ok(NULL),
            _ => Ok(left.clone()),
        },
        // With the empty array, as a string of unknown type.
        ("array_cat", [Value::Null, _]) => Ok(Value::Array(vec![])),
        ("array_cat", [array, _]) => Ok(array.clone()),
        ("hash_record_extended", [row, seed]) => Ok(hash(row, seed)),
        (_, args) if args.iter().any(Value::is_null) => Ok(NULL),
        _ => strict(name, args),
    }
}

/// The same number for rows that are equal, nulls included.
fn hash(row: &Value, seed: &Value) -> Value {
    let mut hasher = DefaultHasher::new();
    format!("{} {}", row.canonical(), seed.canonical()).hash(&mut hasher);
    Value::Int(i128::from(hasher.finish().cast_signed()))
}

/// A function that is null when an argument is.
fn strict(name: &str, args: &[Value]) -> Result<Value> {
    let unknown = || Error::Evaluation(format!("function {name}({args:?}) is not known"));
    let scale = |value: &Value| match value {
        Value::Int(n) => u32::try_from(*n).map_err(|_| unknown()),
        _ => Err(unknown()),
    };
    Ok(match (name, args) {
        ("abs", [Value::Int(n)]) => Value::Int(n.abs()),
        ("abs", [Value::Numeric(n)]) => Value::Numeric(Numeric { digits: n.digits.abs(), scale: n.scale }),
        ("abs", [Value::Float(x)]) => Value::Float(x.abs()),
        ("sign", [value]) => match value.number() {
            Some(n) => Value::Numeric(Numeric::integer(n.digits.signum())),
            None => return Err(unknown()),
        },
        ("scale", [value]) => Value::Int(value.number().ok_or_else(unknown)?.scale.into()),
        ("trunc", [value]) => Value::Numeric(value.number().ok_or_else(unknown)?.truncated(0)?),
        ("trunc", [value, to]) => Value::Numeric(value.number().ok_or_else(unknown)?.truncated(scale(to)?)?),
        ("round", [value]) => Value::Numeric(value.number().ok_or_else(unknown)?.rescaled(0)?),
        ("round", [value, to]) => Value::Numeric(value.number().ok_or_else(unknown)?.rescaled(scale(to)?)?),
        ("div", [left, right]) => match (left.number(), right.number()) {
            (Some(l), Some(r)) => Value::Numeric(l.divide(r)?.truncated(0)?),
            _ => return Err(unknown()),
        },
        ("length", [Value::Text(text)]) => Value::Int(i128::try_from(text.chars().count()).map_err(|_| unknown())?),
        ("lower", [Value::Text(text)]) => Value::Text(text.to_lowercase()),
        ("upper", [Value::Text(text)]) => Value::Text(text.to_uppercase()),
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row;

    #[test]
    fn equal_rows_hash_alike() {
        let numeric = |text: &str| Value::Numeric(Numeric::parse(text).unwrap());
        let hash = |row: Vec<Value>| call("hash_record_extended", &[Value::Row(row), Value::Int(0)]).unwrap();
        assert_eq!(hash(row![numeric("1.0"), NULL]), hash(row![numeric("1.00"), NULL]));
        assert_ne!(hash(row![1, NULL]), hash(row![NULL, 1]));
    }

    #[test]
    fn row_equality_is_three_valued() {
        let equal = |l: Vec<Value>, r: Vec<Value>| operator("=", &Value::Row(l), &Value::Row(r)).unwrap();
        assert_eq!(equal(row![1, NULL], row![2, 5]), Value::Bool(false));
        assert_eq!(equal(row![1, NULL], row![1, 5]), NULL);
        assert_eq!(equal(row![1, 5], row![1, 5]), Value::Bool(true));
    }

    #[test]
    fn nulls_are_skipped_or_spread() {
        assert_eq!(call("least", &[NULL, 3.into(), 2.into()]).unwrap(), Value::Int(2));
        assert_eq!(call("nullif", &[3.into(), 3.into()]).unwrap(), NULL);
        assert_eq!(call("abs", &[NULL]).unwrap(), NULL);
        assert_eq!(operator("+", &NULL, &Value::Int(1)).unwrap(), NULL);
    }
}
