//! Keyed nodes: a key is in the delta at most once with each sign.
//!
//! Both signs change the row in place, so that no index entry changes unless an indexed value does. A lone
//! minus deletes, a lone plus inserts. The row is found by the key alone: the table has the old state, so
//! a plus finds a row exactly if a minus deletes it.

use crate::catalog::Equality;
use crate::identity;
use crate::sql::ast::{Expr, From, Query, Select, Statement, col};
use crate::sql::ident::Ident;
use crate::view::{DELETES, Identity, Node, NodeColumn, UPDATES};

use super::{pairs, part, side};

/// The update in place of rows whose key has both signs; `None` when nothing but the key could change.
pub fn update(node: &Node) -> Option<Statement> {
    let key = key(node);
    // A key whose equals may look different is written too.
    let fixed = |column: &&NodeColumn| !(key.contains(&column.name) && column.ty.equality == Equality::Image);
    let changes: Vec<(Ident, Expr)> =
        node.columns.iter().filter(fixed).map(|column| (column.name.clone(), side("d")(column))).collect();
    if changes.is_empty() {
        return None;
    }
    let (table, alias) = (node.table.clone(), Ident::new("t"));
    Some(Statement::Update { table, alias, source: part(UPDATES), on: same(node), changes })
}

pub fn delete(node: &Node) -> Statement {
    let (table, using) = (node.table.clone(), part(DELETES));
    Statement::Delete { table, alias: Ident::new("t"), using, filter: same(node) }
}

/// The places of the rows that [`delete`] deletes.
pub fn places(node: &Node) -> Query {
    let from = vec![From::table(node.table.clone(), "t"), part(DELETES)];
    let items = super::items([col("t", "ctid")]);
    Query::select(Select { items, from, filter: Some(same(node)), ..Select::default() })
}

fn key(node: &Node) -> &[Ident] {
    match &node.identity {
        Identity::Key(names) | Identity::HashedKey(names) => names,
        Identity::Bag => &[],
    }
}

/// A row of the table and one of the delta have the same key.
fn same(node: &Node) -> Expr {
    identity::same_key(&node.identity, pairs(identity::named(&node.columns, key(node)), "t"))
}
