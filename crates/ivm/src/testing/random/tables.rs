//! Random contents of the tables of [`super`].

use proptest::collection::vec;
use proptest::prelude::*;

use super::{TABLES, source};
use crate::sql::ident::Ident;
use crate::testing::eval::{Table, Tables};
use crate::testing::number::Numeric;
use crate::testing::value::{NULL, Row, Value};

/// A random database.
pub fn arb_tables() -> impl Strategy<Value = Tables> {
    let text = prop_oneof![Just(NULL), Just("x".into()), Just("y".into())];
    let number = prop_oneof![Just(NULL), Just(number("2")), Just(number("2.0")), Just(number("-1.5"))];
    let r = (value(), value(), text, number).prop_map(|(a, b, t, x)| vec![a, b, t, x]);
    let s = (value(), (0..3i32).prop_map(Value::from)).prop_map(|(a, d)| vec![a, d]);
    (vec(r, 0..7), vec(s, 0..7), vec(value(), 0..6)).prop_map(|(r, s, u)| {
        // The position of a row is its key.
        let keyed = u.into_iter().enumerate().map(|(id, e)| vec![Value::Int(id as i128), e]).collect();
        let table = |(name, rows): (&str, Vec<Row>)| (source(name), Table { columns: columns(name), rows });
        [("r", r), ("s", s), ("u", keyed)].map(table).into_iter().collect()
    })
}

fn columns(name: &str) -> Vec<Ident> {
    let spec = TABLES.iter().filter(|(table, ..)| *table == name);
    spec.flat_map(|(_, columns, _)| columns.iter().map(|(column, ..)| Ident::new(*column))).collect()
}

/// Few values, so that rows repeat and joins match.
fn value() -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(NULL), 4 => (0..4i32).prop_map(Value::from)].boxed()
}

fn number(text: &str) -> Value {
    Numeric::parse(text).map_or(NULL, Value::from)
}
