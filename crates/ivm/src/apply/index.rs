//! The indexes by which the rows of a table are found.

use crate::identity::{hash, keys, named, plain};
use crate::nodes::width;
use crate::sql::ast::Expr as SqlExpr;
use crate::sql::ident::Ident;
use crate::sql::index::{IDENTITY, Index, LOOKUP, Method};
use crate::view::{Identity, Node, NodeColumn};

/// The index that serves [`crate::identity::same_row`]; `None` for a table of one row, or one that nothing can index.
pub fn identity(node: &Node) -> Option<Index> {
    let keys = keys(node);
    let method = if matches!(node.identity, Identity::Key(_)) { Method::Unique } else { Method::Ordered };
    (!keys.is_empty()).then(|| Index::new(&node.table, IDENTITY, method, &keys))
}

/// The index by which programs look up rows, unless the first columns of the key serve: in any order, or for a running window
/// in its own. A value that may be too long for a b-tree is hashed: for a running window together with others, before the order.
pub fn lookup(node: &Node) -> Option<Index> {
    let lookup = node.lookup_names();
    let columns: Vec<&NodeColumn> =
        lookup.iter().flat_map(|name| named(&node.columns, std::slice::from_ref(name))).collect();
    let same = |key: &[Ident]| node.running.is_empty() && key.iter().all(|name| lookup.contains(name)) || key == lookup;
    let leads = |key: &[Ident]| key.len() >= columns.len() && same(&key[..columns.len()]);
    if matches!(&node.identity, Identity::Key(key) if leads(key)) {
        return None;
    }
    let (short, long): (Vec<&NodeColumn>, Vec<&NodeColumn>) =
        columns.into_iter().partition(|column| width(&column.ty.name).is_some());
    if !node.running.is_empty() && long.iter().all(|column| column.ty.hashable) {
        let hash = hash(long.into_iter().map(plain).collect());
        let keys: Vec<SqlExpr> = hash.into_iter().chain(short.into_iter().map(plain)).collect();
        return (!keys.is_empty()).then(|| Index::new(&node.table, LOOKUP, Method::Ordered, &keys));
    }
    let long = long.into_iter().find(|column| column.ty.hashable);
    let (method, keys) = match (short.is_empty(), long) {
        (false, _) => (Method::Ordered, short.into_iter().map(plain).collect()),
        (true, Some(long)) => (Method::Hash, vec![plain(long)]),
        (true, None) => return None,
    };
    Some(Index::new(&node.table, LOOKUP, method, &keys))
}
