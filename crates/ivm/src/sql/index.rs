//! DDL for the indexes that maintenance looks rows up by.

use crate::sql::ast::Expr;
use crate::sql::ident::{Ident, QName};
use crate::sql::print;

/// What an index is for, as its name tells.
pub const IDENTITY: &str = "identity";
pub const LOOKUP: &str = "lookup";

#[derive(Clone, Copy)]
pub enum Method {
    Unique,
    Ordered,
    Hash,
}

/// `CREATE INDEX` over expressions.
pub fn create(table: &QName, what: &str, method: Method, keys: &[Expr]) -> String {
    let (unique, using) = match method {
        Method::Unique => ("UNIQUE ", ""),
        Method::Ordered => ("", ""),
        Method::Hash => ("", "using hash "),
    };
    let keys: Vec<String> = keys.iter().map(print::expr).collect();
    format!("create {unique}index {} on {table} {using}({})", name(table, what).name, keys.join(", "))
}

/// An index of a table: named after it, within PostgreSQL's 63 bytes.
pub fn name(table: &QName, what: &str) -> QName {
    let mut stem = table.name.as_str().to_owned();
    while stem.len() > 48 {
        stem.pop();
    }
    QName { schema: table.schema.clone(), name: Ident::new(format!("{stem}_{what}")) }
}
