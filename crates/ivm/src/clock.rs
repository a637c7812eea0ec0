//! The clock: a relation of one row with the value of `now()` at this refresh and at the previous one.
//!
//! A query that compares a column with the clock becomes a join with it (`bind::temporal`). So the state of such a
//! query is that of any join, and the clock is one more input that changes: `Δclock = {now} − {before}`.

use crate::catalog::{ColumnType, Equality};
use crate::plan::{Column, Ids, Plan, Relation, Scan};
use crate::sql::ident::Ident;

/// The name of the relation in SQL.
pub const CLOCK: &str = "pgtrickle_clock";
/// Its columns, both of type [`TYPE`] and never null.
pub const NOW: &str = "now";
pub const BEFORE: &str = "before";
pub const TYPE: &str = "timestamp with time zone";

/// A scan of the current time, and its column.
pub fn scan(ids: &mut Ids) -> (Plan, Column) {
    let column = ids.column(NOW);
    (reading(std::slice::from_ref(&column), NOW), column)
}

/// A scan that gives these columns the current or the previous time.
pub fn reading(columns: &[Column], time: &str) -> Plan {
    Plan::Scan(Scan { relation: Relation::Clock, columns: named(columns, time) })
}

/// A scan that gives some columns the current time and others the previous one.
pub fn both(now: &[Column], before: &[Column]) -> Plan {
    Plan::Scan(Scan { relation: Relation::Clock, columns: [named(now, NOW), named(before, BEFORE)].concat() })
}

fn named(columns: &[Column], time: &str) -> Vec<(Column, Ident)> {
    columns.iter().map(|column| (column.clone(), Ident::new(time))).collect()
}

/// Whether a plan is a scan of the clock.
pub fn is_scan(plan: &Plan) -> bool {
    matches!(plan, Plan::Scan(scan) if scan.relation == Relation::Clock)
}

/// Whether the plan, or a subquery in it, reads the clock.
pub fn is_read(plan: &Plan) -> bool {
    plan.reads(&Relation::Clock)
}

/// The type of both columns.
pub fn column_type() -> ColumnType {
    let (name, base) = (TYPE.to_owned(), TYPE.to_owned());
    ColumnType { name, base, collation: None, equality: Equality::Image, hashable: true, sortable: true }
}
