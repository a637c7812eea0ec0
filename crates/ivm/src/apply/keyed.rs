//! Keyed nodes: a key is in the delta at most once with each sign.
//!
//! Both signs change the row in place, so that no index entry moves unless an indexed value does. A lone
//! minus deletes, a lone plus inserts. The row is found by the key alone: the table is the old state, so
//! a plus meets a row exactly if a minus takes that row away.

use crate::catalog::Equality;
use crate::identity;
use crate::sql::ast::{Action, Arm, Body, Expr, From, Item, Merge, Query, Select, SetOp, Statement, bare, col};
use crate::sql::ident::Ident;
use crate::view::{Identity, Node, NodeColumn};

use super::{columns, delta, weight};

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
    let source = Select {
        items: star(node, "p"),
        from: vec![delta("p")],
        filter: Some(weight(node, "p", ">")),
        ..Select::default()
    };
    Some(Statement::Merge(Box::new(Merge {
        with: None,
        table: node.table.clone(),
        alias: Ident::new("t"),
        source: From::derived(Query::select(source), "d"),
        on: same(node, "t", "d"),
        arms: vec![Arm { matched: true, condition: None, action: Action::Update(changes) }],
    })))
}

/// The rows whose key leaves and does not come. The keys are subtracted as sets, which costs the same however few
/// rows the planner expects to meet: a nested loop over two large halves of a delta does not end.
pub fn delete(node: &Node) -> Statement {
    let keys = |sign| {
        let items = key(node).iter().map(|name| Item { expr: col("p", name.as_str()), alias: None });
        let filter = Some(weight(node, "p", sign));
        Query::select(Select { items: items.collect(), from: vec![delta("p")], filter, ..Select::default() })
    };
    let gone = Body::SetOp { op: SetOp::Except, all: false, left: Box::new(keys("<")), right: Box::new(keys(">")) };
    let gone = From::derived(Query::of(gone), "d");
    Statement::Delete {
        table: node.table.clone(),
        alias: Ident::new("t"),
        using: vec![gone],
        filter: same(node, "t", "d"),
        with: None,
    }
}

/// The rows whose key comes and does not leave.
pub fn insert(node: &Node) -> Statement {
    let filter = Expr::And(vec![weight(node, "d", ">"), without(node, "d", "m", "<")]);
    let items = columns(node, "d").into_iter().map(|expr| Item { expr, alias: None }).collect();
    let select = Select { items, from: vec![delta("d")], filter: Some(filter), ..Select::default() };
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

fn star(node: &Node, alias: &str) -> Vec<Item> {
    columns(node, alias).into_iter().map(|expr| Item { expr, alias: None }).collect()
}

/// Rows `left` and `right` have the same key.
fn same(node: &Node, left: &str, right: &str) -> Expr {
    identity::same_row(&node.identity, &node.columns, &|c| col(left, c.name.as_str()), &|c| col(right, c.name.as_str()))
}

/// The delta has no row of the same key whose weight has this sign.
fn without(node: &Node, row: &str, other: &str, sign: &str) -> Expr {
    let filter = Expr::And(vec![weight(node, other, sign), same(node, other, row)]);
    let items = vec![Item { expr: bare(node.weight().as_str()), alias: None }];
    let select = Select { items, from: vec![delta(other)], filter: Some(filter), ..Select::default() };
    Expr::Not(Box::new(Expr::Exists(Box::new(Query::select(select)))))
}
