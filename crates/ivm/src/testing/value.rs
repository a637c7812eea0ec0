//! Values, with SQL's two notions of sameness: looking alike (`Eq`) and being equal (`compare`).

use std::cmp::Ordering;
use std::fmt;

use super::number::Numeric;

/// One value. `Eq` and `Ord` tell apart what a user can tell apart, `1.0` from `1.00`, but no types: `1`
/// the integer looks like `1` the numeric.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Numeric(Numeric),
    Float(f64),
    Text(String),
    Row(Vec<Value>),
    Array(Vec<Value>),
}

/// SQL's NULL.
pub const NULL: Value = Value::Null;

/// The values of one row.
pub type Row = Vec<Value>;

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The number, when this is an exact one.
    pub fn number(&self) -> Option<Numeric> {
        match self {
            Value::Int(n) => Some(Numeric::integer(*n)),
            Value::Numeric(n) => Some(*n),
            _ => None,
        }
    }

    pub fn float(&self) -> Option<f64> {
        match self {
            Value::Float(x) => Some(*x),
            other => other.number().map(Numeric::to_f64),
        }
    }

    /// SQL's comparison of two values that are not null; inside rows and arrays nulls are equal and last.
    pub fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Row(l), Value::Row(r)) | (Value::Array(l), Value::Array(r)) => {
                let unequal = l.iter().zip(r).map(|(l, r)| l.compare(r)).find(|order| order.is_ne());
                unequal.unwrap_or_else(|| l.len().cmp(&r.len()))
            }
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (Value::Float(_), _) | (_, Value::Float(_)) => match (self.float(), other.float()) {
                // NaN is the largest and equals itself; adding zero makes -0 the same as 0.
                (Some(l), Some(r)) => (l + 0.0).total_cmp(&(r + 0.0)),
                _ => self.cmp(other),
            },
            _ => match (self.number(), other.number()) {
                (Some(l), Some(r)) => l.compare(r),
                _ => self.cmp(other),
            },
        }
    }

    /// One value for all that are equal to this one: what groups and keys are made of.
    pub fn canonical(&self) -> Value {
        match self {
            Value::Numeric(n) => Value::Numeric(n.trimmed()),
            Value::Float(x) => Value::Float(x + 0.0),
            Value::Row(values) => Value::Row(values.iter().map(Value::canonical).collect()),
            Value::Array(values) => Value::Array(values.iter().map(Value::canonical).collect()),
            other => other.clone(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Bool(_) => 0,
            Value::Int(_) | Value::Numeric(_) => 1,
            Value::Float(_) => 2,
            Value::Text(_) => 3,
            Value::Row(_) => 4,
            Value::Array(_) => 5,
            Value::Null => 6,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Bool(l), Value::Bool(r)) => l.cmp(r),
            (Value::Float(l), Value::Float(r)) => l.total_cmp(r),
            (Value::Text(l), Value::Text(r)) => l.cmp(r),
            (Value::Row(l), Value::Row(r)) | (Value::Array(l), Value::Array(r)) => l.cmp(r),
            _ => match (self.number(), other.number()) {
                (Some(l), Some(r)) => l.compare(r).then(l.scale.cmp(&r.scale)),
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::Numeric(n) => write!(f, "{n}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Text(text) => f.write_str(text),
            Value::Row(values) => write!(f, "({})", commas(values)),
            Value::Array(values) => write!(f, "{{{}}}", commas(values)),
        }
    }
}

fn commas(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
}

impl From<i32> for Value {
    fn from(n: i32) -> Value {
        Value::Int(n.into())
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n.into())
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Value {
        Value::Float(x)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<Numeric> for Value {
    fn from(n: Numeric) -> Value {
        Value::Numeric(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(text: &str) -> Value {
        Value::Numeric(Numeric::parse(text).unwrap())
    }

    #[test]
    fn looking_alike_is_not_being_equal() {
        assert_ne!(numeric("1.0"), numeric("1.00"));
        assert!(numeric("1.0").compare(&numeric("1.00")).is_eq());
        assert_eq!(numeric("1.0").canonical(), numeric("1.00").canonical());
        assert_eq!(numeric("1"), Value::Int(1));
        assert!(Value::Float(-0.0).compare(&Value::Float(0.0)).is_eq());
        assert!(Value::Float(f64::NAN).compare(&Value::Int(9)).is_gt());
    }
}
