//! The interface to PostgreSQL's catalog. `src/frontend` implements it with the server, `testing::memory` in memory.

use crate::error::Result;
use crate::sql::ast::Query;
use crate::sql::ident::{Ident, QName};

/// The facts about relations, functions and types that the compiler needs. Every method fails with `Error::Catalog` where
/// the object does not exist.
pub trait Catalog {
    /// The columns of a relation, in order, without dropped ones.
    fn columns(&self, relation: &QName) -> Result<Vec<SourceColumn>>;

    /// Column sets that are unique and not null at every commit: primary keys and plain unique
    /// indexes (no predicate, no expression, not deferrable, NULLs excluded by NOT NULL).
    fn keys(&self, relation: &QName) -> Result<Vec<Vec<Ident>>>;

    /// Whether an index of the relation finds rows by this column alone: it begins with the column and has all rows.
    fn leads(&self, relation: &QName, column: &Ident) -> Result<bool>;

    /// The columns in whose order indexes have all rows of the relation, ascending or descending: those of btree indexes, each up
    /// to the first that is an expression or is not ordered as in ORDER BY.
    fn orders(&self, relation: &QName) -> Result<Vec<Vec<Ordered>>>;

    /// The kind of the function of this name.
    fn function(&self, name: &QName) -> Result<FunctionKind>;

    /// The column types of a query that PostgreSQL can prepare.
    fn describe(&self, query: &Query) -> Result<Vec<ColumnType>>;

    /// The query as PostgreSQL prints it, with every implicit cast spelled out.
    fn printed(&self, query: &Query) -> Result<Query>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceColumn {
    pub name: Ident,
    pub ty: ColumnType,
    pub not_null: bool,
}

/// A column of an index that has rows in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    pub name: Ident,
    /// NULLs are before other values in ascending order, and after them in descending order.
    pub nulls_least: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    Scalar,
    /// Returns a set.
    Set,
    Aggregate,
    Window,
}

/// The properties of a type that maintenance depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnType {
    /// `format_type(oid, typmod)`, qualified where needed: fit for DDL and casts.
    pub name: String,
    /// The type without its modifier, domains resolved: `numeric`, `bigint`, `text`, …
    pub base: String,
    /// A collation other than the type's own, fit for a COLLATE clause.
    pub collation: Option<QName>,
    pub equality: Equality,
    /// Has an extended hash function, so it may be part of a hashed identity.
    pub hashable: bool,
    /// Has an order. PostgreSQL groups by several columns only where all can be sorted, or all be hashed.
    pub sortable: bool,
}

/// How the type's `=` relates to the text of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Equality {
    /// Equal values look alike (`integer`, `text` under a deterministic collation).
    Image,
    /// Equal values may look different (`1.0` and `1.00`, `-0` and `0`, case-insensitive text).
    Loose,
    /// The type has no `=` (`json`, `xml`, `point`): compare by text.
    Missing,
}
