//! Keyed nodes: a key is in the delta at most once with each sign.
//!
//! Both signs change the row in place, so that no index entry moves unless an indexed value does. A lone
//! minus deletes, a lone plus inserts. The row is found by the key alone: the table is the old state, so
//! a plus meets a row exactly if a minus takes that row away.

use crate::catalog::Equality;
use crate::identity;
use crate::sql::ast::{Action, Arm, Expr, Item, Merge, Query, Select, Statement, col};
use crate::sql::ident::Ident;
use crate::view::{CHANGED, COME, GONE, Identity, Node, NodeColumn};

use super::{columns, part};

/// In place, the rows whose key both leaves and comes. `None` when nothing but the key could change.
pub fn update(node: &Node) -> Option<Statement> {
    let key = key(node);
    // A key whose equals may look different is written too.
    let fixed = |column: &&NodeColumn| !(key.contains(&column.name) && column.ty.equality == Equality::Image);
    let changes: Vec<(Ident, Expr)> =
        node.columns.iter().filter(fixed).map(|c| (c.name.clone(), col("d", c.name.as_str()))).collect();
    if changes.is_empty() {
        return None;
    }
    Some(Statement::Merge(Box::new(Merge {
        with: None,
        table: node.table.clone(),
        alias: Ident::new("t"),
        source: part(CHANGED),
        on: same(node),
        arms: vec![Arm { matched: true, condition: None, action: Action::Update(changes) }],
    })))
}

/// The rows whose key leaves and does not come.
pub fn delete(node: &Node) -> Statement {
    Statement::Delete {
        table: node.table.clone(),
        alias: Ident::new("t"),
        using: vec![part(GONE)],
        filter: same(node),
        with: None,
    }
}

/// The rows whose key comes and does not leave.
pub fn insert(node: &Node) -> Statement {
    let items = columns(node, "d").into_iter().map(|expr| Item { expr, alias: None }).collect();
    let select = Select { items, from: vec![part(COME)], ..Select::default() };
    let columns = node.columns.iter().map(|column| column.name.clone()).collect();
    Statement::Insert { table: node.table.clone(), columns, query: Query::select(select) }
}

/// The columns by which a row is found.
fn key(node: &Node) -> &[Ident] {
    match &node.identity {
        Identity::Key(names) | Identity::HashedKey(names) => names,
        Identity::Bag => &[],
    }
}

/// A row of the table and one of the delta have the same key.
fn same(node: &Node) -> Expr {
    identity::same_row(&node.identity, &node.columns, &|c| col("t", c.name.as_str()), &|c| col("d", c.name.as_str()))
}
