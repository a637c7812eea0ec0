//! What the compiler asks PostgreSQL's catalog. The server answers in `src/`, tables of constants in tests.

use crate::error::Result;
use crate::sql::ast::Query;
use crate::sql::ident::{Ident, QName};

/// The facts about relations, functions and types that compiling needs.
pub trait Catalog {
    /// The columns of a relation, in order, without dropped ones.
    fn columns(&self, relation: &QName) -> Result<Vec<SourceColumn>>;

    /// Column sets that are unique and not null at every commit: primary keys and plain unique
    /// indexes (no predicate, no expression, not deferrable, NULLs excluded by NOT NULL).
    fn keys(&self, relation: &QName) -> Result<Vec<Vec<Ident>>>;

    /// Whether rows of a relation are found by this column alone: an index begins with it and has all rows.
    fn leads(&self, relation: &QName, column: &Ident) -> Result<bool>;

    /// What a call of this name is.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    Scalar,
    /// Returns a set.
    Set,
    Aggregate,
    Window,
}

/// A type as far as maintenance cares.
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

/// How the type's `=` relates to what a user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Equality {
    /// Equal values look alike (`integer`, `text` under a deterministic collation).
    Image,
    /// Equal values may look different (`1.0` and `1.00`, `-0` and `0`, case-insensitive text).
    Loose,
    /// The type has no `=` (`json`, `xml`, `point`): compare by text.
    Missing,
}
