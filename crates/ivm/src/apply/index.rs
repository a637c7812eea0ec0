//! The indexes by which a table's rows are found again.

use crate::expr::Direction;
use crate::identity::{hash, named};
use crate::nodes::width;
use crate::sql::ast::{self, From, Item, Order, Query, Select, bare};
use crate::sql::index::{self, Method};
use crate::view::{Identity, Node, NodeColumn};

/// The index that serves [`crate::identity::same_row`]; `None` for a table of one row, or one that nothing can index.
pub fn identity(node: &Node) -> Option<String> {
    let keys = keys(node);
    let method = if matches!(node.identity, Identity::Key(_)) { Method::Unique } else { Method::Ordered };
    (!keys.is_empty()).then(|| index::create(&node.table, index::IDENTITY, method, &keys))
}

/// What [`identity`] indexes.
fn keys(node: &Node) -> Vec<ast::Expr> {
    match &node.identity {
        Identity::Key(names) => named(&node.columns, names).into_iter().map(side).collect(),
        Identity::HashedKey(names) => hash(&named(&node.columns, names), &side).into_iter().collect(),
        Identity::Bag => hash(&node.columns.iter().collect::<Vec<_>>(), &side).into_iter().collect(),
    }
}

/// A delta in the order of that index: neighbours are found on the same pages, and the two signs of a key are
/// neighbours.
pub fn in_order(node: &Node, delta: Query) -> Query {
    let ascending = |expr| Order { expr, direction: Direction::Ascending, nulls_first: None };
    let order_by: Vec<Order> = keys(node).into_iter().map(ascending).collect();
    if order_by.is_empty() {
        return delta;
    }
    // The server orders a query by its columns, but not by what is computed from them.
    if matches!(node.identity, Identity::Key(_)) && delta.order_by.is_empty() && delta.limit.is_none() {
        return Query { order_by, ..delta };
    }
    let (columns, weight) = (node.columns.iter().map(|column| &column.name), node.weight());
    let items = columns.chain([&weight]).map(|name| Item { expr: bare(name.as_str()), alias: None }).collect();
    let select = Select { items, from: vec![From::derived(delta, "d")], ..Select::default() };
    Query { order_by, ..Query::select(select) }
}

/// The index by which programs look rows up, where the first columns of a key do not serve.
/// A value that may be too long for a b-tree is found by its hash.
pub fn lookup(node: &Node) -> Option<String> {
    let columns = named(&node.columns, &node.lookup);
    let leads = |key: &[crate::sql::ident::Ident]| {
        key.len() >= columns.len() && key[..columns.len()].iter().all(|name| node.lookup.contains(name))
    };
    if matches!(&node.identity, Identity::Key(key) if leads(key)) {
        return None;
    }
    let (short, long): (Vec<&NodeColumn>, Vec<&NodeColumn>) =
        columns.into_iter().partition(|column| width(&column.ty.name).is_some());
    let long = long.into_iter().find(|column| column.ty.hashable);
    let (method, keys) = match (short.is_empty(), long) {
        (false, _) => (Method::Ordered, short.into_iter().map(side).collect()),
        (true, Some(long)) => (Method::Hash, vec![side(long)]),
        (true, None) => return None,
    };
    Some(index::create(&node.table, index::LOOKUP, method, &keys))
}

fn side(column: &NodeColumn) -> ast::Expr {
    bare(column.name.as_str())
}
