//! The SQL that we read and write: PostgreSQL's canonical queries and the statements of a refresh.
//!
//! It holds only what PostgreSQL's deparser prints for a query we can maintain and what our own
//! generator emits; `print` is its only way to become text.

use crate::expr;
use crate::sql::ident::{Ident, QName};
use crate::words::words;

/// A column name with an optional relation alias.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    pub relation: Option<Ident>,
    pub column: Ident,
}

pub type Expr = expr::Expr<Name, Query>;
pub type Order = expr::Order<Name, Query>;
pub type Window = expr::Window<Name, Query>;
pub type Call = expr::Call<Name, Query>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    pub with: Option<With>,
    pub body: Body,
    pub order_by: Vec<Order>,
    pub limit: Option<Limit>,
    pub offset: Option<Expr>,
}

impl Query {
    /// Whether it is `WITH RECURSIVE`.
    pub fn is_recursive(&self) -> bool {
        self.with.as_ref().is_some_and(|with| with.recursive)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct With {
    pub recursive: bool,
    pub ctes: Vec<Cte>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cte {
    pub name: Ident,
    pub columns: Vec<Ident>,
    pub materialized: Option<bool>,
    pub query: Query,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    SetOp { op: SetOp, all: bool, left: Box<Query>, right: Box<Query> },
}

words! {
    SetOp {
        Union "UNION",
        Intersect "INTERSECT",
        Except "EXCEPT",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// `None` is LIMIT ALL.
    pub count: Option<Expr>,
    pub with_ties: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Select {
    pub distinct: Distinct,
    pub items: Vec<Item>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    /// GROUP BY DISTINCT: no grouping set twice.
    pub group_once: bool,
    pub group_by: Vec<Group>,
    pub having: Option<Expr>,
    pub windows: Vec<(Ident, Window)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Distinct {
    #[default]
    No,
    Rows,
    On(Vec<Expr>),
}

/// One entry of a select list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    pub expr: Expr,
    pub alias: Option<Ident>,
}

/// One entry of GROUP BY.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    Expr(Expr),
    Empty,
    Rollup(Vec<Vec<Expr>>),
    Cube(Vec<Vec<Expr>>),
    Sets(Vec<Vec<Expr>>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum From {
    Table { name: QName, alias: Option<Alias> },
    Derived { query: Box<Query>, alias: Alias, lateral: bool },
    Function { call: Box<Expr>, alias: Option<Alias>, lateral: bool, ordinality: bool },
    Join { kind: JoinKind, left: Box<From>, right: Box<From>, on: JoinOn, alias: Option<Alias> },
}

words! {
    JoinKind {
        Inner "JOIN",
        Cross "CROSS JOIN",
        Left "LEFT JOIN",
        Right "RIGHT JOIN",
        Full "FULL JOIN",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JoinOn {
    None,
    On(Expr),
    Using(Vec<Ident>),
}

/// A relation's alias, its column aliases, and for functions the types of the columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alias {
    pub name: Ident,
    pub columns: Vec<(Ident, Option<expr::TypeName>)>,
}

/// A statement that changes a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Statement {
    Insert {
        table: QName,
        columns: Vec<Ident>,
        query: Query,
    },
    Delete {
        table: QName,
        alias: Ident,
        using: From,
        filter: Expr,
    },
    /// `MERGE INTO table AS alias USING source ON on WHEN MATCHED THEN UPDATE SET …`.
    Update {
        table: QName,
        alias: Ident,
        source: From,
        on: Expr,
        changes: Vec<(Ident, Expr)>,
    },
}

impl Query {
    /// A query that is one SELECT and nothing else.
    pub fn select(select: Select) -> Query {
        Query::of(Body::Select(Box::new(select)))
    }

    /// A query that is a body and nothing else.
    pub fn of(body: Body) -> Query {
        Query { with: None, body, order_by: vec![], limit: None, offset: None }
    }

    /// `a UNION ALL b UNION ALL …`; of at least one query.
    pub fn union_all(queries: Vec<Query>) -> Option<Query> {
        queries.into_iter().reduce(|left, right| {
            let (left, right) = (Box::new(left), Box::new(right));
            Query::of(Body::SetOp { op: SetOp::Union, all: true, left, right })
        })
    }
}

impl Alias {
    pub fn new(name: impl Into<String>) -> Alias {
        Alias { name: Ident::new(name), columns: vec![] }
    }
}

impl Item {
    pub fn named(expr: Expr, alias: impl Into<String>) -> Item {
        Item { expr, alias: Some(Ident::new(alias)) }
    }
}

impl From {
    pub fn table(name: QName, alias: impl Into<String>) -> From {
        From::Table { name, alias: Some(Alias::new(alias)) }
    }

    pub fn derived(query: Query, alias: impl Into<String>) -> From {
        From::Derived { query: Box::new(query), alias: Alias::new(alias), lateral: false }
    }
}

/// `relation.column`.
pub fn col(relation: impl Into<String>, column: impl Into<String>) -> Expr {
    Expr::Column(Name { relation: Some(Ident::new(relation)), column: Ident::new(column) })
}

/// A bare column name.
pub fn bare(column: impl Into<String>) -> Expr {
    Expr::Column(Name { relation: None, column: Ident::new(column) })
}
