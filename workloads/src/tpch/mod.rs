//! TPC-H: eight tables, 22 queries in the specification's own text with its validation parameters, and the
//! changes of its refresh functions. Only date arithmetic is spelled for PostgreSQL.
//!
//! Three of the five LIMITs cut an order with ties: Q3, Q10 and Q18 rank by money, and two orders or customers
//! may bring the same. Q2 ranks by part and supplier last, Q21 by the supplier's name: no two rows are equal.

mod changes;
mod load;
mod orders;

pub use changes::Changes;
pub use load::load;
pub use orders::{NewOrder, OrderStream, key_span};

use crate::query::Query;

macro_rules! query {
    ($name:literal) => {
        Query::exact($name, include_str!(concat!("../../sql/tpch/", $name, ".sql")))
    };
    ($name:literal, $ties:literal) => {
        Query::tied($name, include_str!(concat!("../../sql/tpch/", $name, ".sql")), $ties)
    };
}

pub const QUERIES: [Query; 22] = [
    query!("q01"),
    query!("q02"),
    query!("q03", "revenue, o_orderdate"),
    query!("q04"),
    query!("q05"),
    query!("q06"),
    query!("q07"),
    query!("q08"),
    query!("q09"),
    query!("q10", "revenue"),
    query!("q11"),
    query!("q12"),
    query!("q13"),
    query!("q14"),
    query!("q15"),
    query!("q16"),
    query!("q17"),
    query!("q18", "o_totalprice, o_orderdate"),
    query!("q19"),
    query!("q20"),
    query!("q21"),
    query!("q22"),
];
