//! DDL for the indexes that maintenance looks rows up by.

use crate::sql::ast::Expr;
use crate::sql::ident::{Ident, QName};
use crate::sql::print;

/// `CREATE INDEX` over expressions.
pub fn create(table: &QName, unique: bool, keys: &[Expr]) -> String {
    let unique = if unique { "UNIQUE " } else { "" };
    let keys: Vec<String> = keys.iter().map(print::expr).collect();
    format!("create {unique}index {} on {table} ({})", name(table).name, keys.join(", "))
}

/// The identity index of a table: named after it, within PostgreSQL's 63 bytes.
pub fn name(table: &QName) -> QName {
    let mut stem = table.name.as_str().to_owned();
    while stem.len() > 48 {
        stem.pop();
    }
    QName { schema: table.schema.clone(), name: Ident::new(format!("{stem}_identity")) }
}
