//! A database before and after some changes, and the changes as deltas.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{TABLES, table};
use crate::eval::{NULL, Numeric, Table, Tables, Value};
use crate::plan::Relation;
use crate::sql::ident::Ident;
use crate::zset::Row;

/// The same tables at two times, and the way from one to the other: `after = before ⊎ deltas`.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub before: Tables,
    pub after: Tables,
    /// `SourceDelta` relations of the tables that changed: their columns and `w`, not consolidated.
    pub deltas: Tables,
}

/// What happens to one row.
#[derive(Clone, Debug)]
enum Fate {
    Stays,
    Goes,
    Comes,
    Becomes(Row),
    /// Inserted and deleted between the two times.
    Flashes,
}

/// A random database.
pub fn arb_tables() -> impl Strategy<Value = Tables> {
    arb_changes().prop_map(|history| history.before)
}

/// A random database with random changes to some of its tables.
pub fn arb_changes() -> impl Strategy<Value = History> {
    let bag = |row: BoxedStrategy<Row>| (any::<bool>(), vec((row.clone(), fate(row)), 0..7));
    let keyed = (any::<bool>(), vec((value(), fate(vec(value(), 1).boxed())), 0..6));
    (bag(r_row()), bag(s_row()), keyed).prop_map(|(r, s, (changes, u))| {
        // The position of a row is its key.
        let with_key = |id: usize, rest: Row| std::iter::once(Value::Int(id as i128)).chain(rest).collect::<Row>();
        let rows = u.into_iter().enumerate().map(|(id, (value, fate))| {
            let fate = match fate {
                Fate::Becomes(rest) => Fate::Becomes(with_key(id, rest)),
                other => other,
            };
            (with_key(id, vec![value]), fate)
        });
        let mut history = History::default();
        history.add("r", r.0, r.1);
        history.add("s", s.0, s.1);
        history.add("u", changes, rows.collect());
        history
    })
}

impl History {
    fn add(&mut self, name: &str, changes: bool, rows: Vec<(Row, Fate)>) {
        let (mut before, mut after, mut delta) = (vec![], vec![], vec![]);
        for (row, fate) in rows {
            let fate = if changes { fate } else { Fate::Stays };
            let mut weighs = |row: &Row, w: i64| delta.push(row.iter().cloned().chain([w.into()]).collect::<Row>());
            match &fate {
                Fate::Stays => {}
                Fate::Goes => weighs(&row, -1),
                Fate::Comes => weighs(&row, 1),
                Fate::Becomes(new) => {
                    weighs(&row, -1);
                    weighs(new, 1);
                }
                Fate::Flashes => {
                    weighs(&row, 1);
                    weighs(&row, -1);
                }
            }
            match fate {
                Fate::Stays => {
                    before.push(row.clone());
                    after.push(row);
                }
                Fate::Goes => before.push(row),
                Fate::Comes => after.push(row),
                Fate::Becomes(new) => {
                    before.push(row);
                    after.push(new);
                }
                Fate::Flashes => {}
            }
        }
        let columns: Vec<Ident> = columns(name);
        let weighted: Vec<Ident> = columns.iter().cloned().chain([Ident::new("w")]).collect();
        let source = Relation::Source(table(name));
        self.before.insert(source.clone(), Table { columns: columns.clone(), rows: before });
        self.after.insert(source, Table { columns, rows: after });
        if changes {
            let delta = Table { columns: weighted, rows: delta };
            self.deltas.insert(Relation::SourceDelta(table(name)), delta);
        }
    }

    /// What a delta program may read: the tables after the changes, and the deltas.
    pub fn readable(&self) -> Tables {
        let all = self.after.iter().chain(&self.deltas);
        all.map(|(relation, table)| (relation.clone(), table.clone())).collect::<BTreeMap<_, _>>()
    }
}

fn columns(name: &str) -> Vec<Ident> {
    let spec = TABLES.iter().filter(|(table, ..)| *table == name);
    spec.flat_map(|(_, columns, _)| columns.iter().map(|(column, ..)| Ident::new(*column))).collect()
}

fn fate(row: BoxedStrategy<Row>) -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Stays),
        2 => Just(Fate::Goes),
        2 => Just(Fate::Comes),
        2 => row.prop_map(Fate::Becomes),
        1 => Just(Fate::Flashes),
    ]
}

/// Few values, so that rows repeat and joins match.
fn value() -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(NULL), 4 => (0..4i32).prop_map(Value::from)].boxed()
}

fn r_row() -> BoxedStrategy<Row> {
    let text = prop_oneof![Just(NULL), Just("x".into()), Just("y".into())];
    let number = |text| Numeric::parse(text).map_or(NULL, Value::from);
    let number = prop_oneof![Just(NULL), Just(number("2")), Just(number("2.0")), Just(number("-1.5")), Just(number("3"))];
    (value(), value(), text, number).prop_map(|(a, b, t, x)| vec![a, b, t, x]).boxed()
}

fn s_row() -> BoxedStrategy<Row> {
    (value(), (0..3i32).prop_map(Value::from)).prop_map(|(a, d)| vec![a, d]).boxed()
}
