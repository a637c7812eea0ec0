//! Applying a consolidated delta to a node's table.
//!
//! Identity exists only here. A keyed row changes in place; a bag loses exactly `−w` copies and gains
//! `w`. Every statement reads a part of the delta, and affects as many rows as the weights say.

mod copies;
mod index;
mod keyed;

use crate::identity::Pair;
use crate::sql::ast::{Expr, From, Item, Name, Query, Select, Statement, col};
use crate::sql::ident::QName;
use crate::view::{Apply, INSERTS, Identity, Node, NodeColumn};

/// The statements that apply a delta to a node's table.
pub fn plan(node: &Node) -> Apply {
    let indexes = index::identity(node).into_iter().chain(index::lookup(node)).collect();
    match node.identity {
        Identity::Key(_) | Identity::HashedKey(_) => Apply {
            update: keyed::update(node),
            delete: keyed::delete(node),
            insert: insert(node, vec![part(INSERTS)]),
            indexes,
        },
        Identity::Bag => Apply { update: None, delete: copies::delete(node), insert: copies::insert(node), indexes },
    }
}

/// The same where the rows of the table are those of another definition: rows are deleted and inserted, none changes.
pub fn replacing(node: &Node) -> Apply {
    Apply { update: None, delete: copies::delete_all(node), insert: copies::insert(node), indexes: vec![] }
}

/// Finds the rows that [`Apply::delete`] would delete: their places.
pub fn places(node: &Node) -> Query {
    match node.identity {
        Identity::Key(_) | Identity::HashedKey(_) => keyed::places(node),
        Identity::Bag => copies::places(node),
    }
}

/// A part of the delta, `d`.
fn part(name: &str) -> From {
    From::table(QName::bare(name), "d")
}

/// A column of `alias`.
fn side(alias: &'static str) -> impl Fn(&NodeColumn) -> Expr {
    move |column| col(alias, column.name.as_str())
}

/// The columns of a row of `alias` and of one of the delta.
fn pairs<'a>(columns: impl IntoIterator<Item = &'a NodeColumn>, alias: &'static str) -> Vec<Pair<'a, Name, Query>> {
    columns.into_iter().map(|column| (column, side(alias)(column), side("d")(column))).collect()
}

/// Items without an alias.
fn items(exprs: impl IntoIterator<Item = Expr>) -> Vec<Item> {
    exprs.into_iter().map(|expr| Item { expr, alias: None }).collect()
}

/// The columns of `d` that are the node's.
fn insert(node: &Node, from: Vec<From>) -> Statement {
    let select = Select { items: items(node.columns.iter().map(side("d"))), from, ..Select::default() };
    let columns = node.columns.iter().map(|column| column.name.clone()).collect();
    Statement::Insert { table: node.table.clone(), columns, query: Query::select(select) }
}
