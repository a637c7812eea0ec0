//! Bringing a consolidated delta into a node's table.
//!
//! Identity exists only here. A keyed row changes in place; a bag loses exactly `−w` copies and gains
//! `w`. Every statement reads a part of the delta, and touches as many rows as the weights say.

mod bag;
mod index;
mod keyed;
mod replace;

use crate::sql::ast::{Expr, From, col};
use crate::sql::ident::QName;
use crate::view::{Apply, Identity, Node};

/// The statements that bring a delta into a node's table.
pub fn plan(node: &Node) -> Apply {
    let indexes = index::identity(node).into_iter().chain(index::lookup(node)).collect();
    match node.identity {
        Identity::Key(_) | Identity::HashedKey(_) => {
            Apply { update: keyed::update(node), delete: keyed::delete(node), insert: keyed::insert(node), indexes }
        }
        Identity::Bag => Apply { update: None, delete: bag::delete(node), insert: bag::insert(node), indexes },
    }
}

/// The same where the rows of the table are those of another definition: rows leave and come, none changes.
pub fn replacing(node: &Node) -> Apply {
    Apply { update: None, delete: replace::delete(node), insert: bag::insert(node), indexes: vec![] }
}

/// A part of the delta, `d`.
fn part(name: &str) -> From {
    From::table(QName::bare(name), "d")
}

/// The node's columns as `alias.column`.
fn columns(node: &Node, alias: &str) -> Vec<Expr> {
    node.columns.iter().map(|column| col(alias, column.name.as_str())).collect()
}
