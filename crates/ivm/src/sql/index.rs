//! DDL for the indexes that maintenance looks rows up by.

use crate::sql::ast::Expr;
use crate::sql::ident::{Ident, QName};
use crate::sql::print;

/// The purpose of an index, which ends its name.
pub const IDENTITY: &str = "identity";
pub const LOOKUP: &str = "lookup";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Unique,
    Ordered,
    Hash,
}

/// An index over expressions of a table. The server chooses its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub table: QName,
    pub what: &'static str,
    pub method: Method,
    pub keys: Vec<String>,
}

impl Index {
    pub fn new(table: &QName, what: &'static str, method: Method, keys: &[Expr]) -> Index {
        Index { table: table.clone(), what, method, keys: keys.iter().map(print::expr).collect() }
    }

    /// `CREATE INDEX`, in the schema of its table.
    pub fn create(&self, name: &Ident) -> String {
        let (unique, using) = match self.method {
            Method::Unique => ("UNIQUE ", ""),
            Method::Ordered => ("", ""),
            Method::Hash => ("", "using hash "),
        };
        format!("create {unique}index {name} on {} {using}({})", self.table, self.keys.join(", "))
    }
}
