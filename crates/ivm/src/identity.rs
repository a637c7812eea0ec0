//! Identity conditions: how a row of a delta finds its row in a table.
//!
//! Columns that may be NULL, and whole rows, are looked up by `hash_record_extended(row(…), 0)` first and
//! compared by value after it, so a collision costs a comparison and never a wrong row.

use crate::catalog::{ColumnType, Equality};
use crate::expr::Expr;
use crate::sql::ast::{Expr as SqlExpr, From, Item, Order, Query, Select, bare};
use crate::sql::ident::{Ident, QName};
use crate::view::{Identity, Node, NodeColumn};

/// A column with its values in two rows.
pub type Pair<'a, C, Q> = (&'a NodeColumn, Expr<C, Q>, Expr<C, Q>);

/// The condition that two rows have the same identity, from all their columns.
pub fn same_row<C: Clone, Q: Clone>(identity: &Identity, row: Vec<Pair<C, Q>>) -> Expr<C, Q> {
    match identity {
        Identity::Key(names) | Identity::HashedKey(names) => {
            same_key(identity, row.into_iter().filter(|(column, ..)| names.contains(&column.name)).collect())
        }
        Identity::Bag => Expr::all(same_hash(&row).into_iter().chain(row.into_iter().flat_map(same_image)).collect()),
    }
}

/// The condition that two rows agree in columns that contain an identity, the index of which serves it.
pub fn same_key<C: Clone, Q: Clone>(identity: &Identity, columns: Vec<Pair<C, Q>>) -> Expr<C, Q> {
    let is_hashed =
        |(column, ..): &Pair<C, Q>| matches!(identity, Identity::HashedKey(names) if names.contains(&column.name));
    let hashed: Vec<Pair<C, Q>> = columns.iter().filter(|pair| is_hashed(pair)).cloned().collect();
    let values = columns.into_iter().map(|(column, left, right)| equal_values(column, left, right));
    Expr::all(same_hash(&hashed).into_iter().chain(values).collect())
}

/// `hash(left) = hash(right)`, over the columns that have a hash.
pub fn same_hash<C: Clone, Q: Clone>(columns: &[Pair<C, Q>]) -> Option<Expr<C, Q>> {
    let hashable = || columns.iter().filter(|(column, ..)| column.ty.hashable);
    let left = hash(hashable().map(|(_, left, _)| left.clone()).collect())?;
    Some(Expr::equals(left, hash(hashable().map(|(_, _, right)| right.clone()).collect())?))
}

/// Equality that is true for two NULLs; plain where there can be none.
pub fn equal_values<C, Q>(column: &NodeColumn, left: Expr<C, Q>, right: Expr<C, Q>) -> Expr<C, Q> {
    if column.not_null { Expr::equals(left, right) } else { Expr::not_distinct(left, right) }
}

/// The conditions that two values look the same.
fn same_image<C: Clone, Q: Clone>((column, left, right): Pair<C, Q>) -> Vec<Expr<C, Q>> {
    let text = Expr::not_distinct(image(&column.ty, left.clone()), image(&column.ty, right.clone()));
    match column.ty.equality {
        Equality::Image => vec![equal_values(column, left, right)],
        Equality::Loose => vec![equal_values(column, left, right), text],
        Equality::Missing => vec![text],
    }
}

/// The text of a value, by which users distinguish it. Different texts may be equal in a collation, but not in byte order.
pub fn image<C, Q>(ty: &ColumnType, value: Expr<C, Q>) -> Expr<C, Q> {
    let text = value.cast("text");
    match ty.collation {
        Some(_) => Expr::Collate(Box::new(text), QName::qualified("pg_catalog", "C")),
        None => text,
    }
}

/// The hash of some values; `None` for none.
pub fn hash<C, Q>(values: Vec<Expr<C, Q>>) -> Option<Expr<C, Q>> {
    let hash = |row| Expr::call("hash_record_extended", vec![Expr::Row(row), Expr::number(0)]);
    (!values.is_empty()).then(|| hash(values))
}

/// The columns with these names.
pub fn named<'a>(columns: &'a [NodeColumn], names: &[Ident]) -> Vec<&'a NodeColumn> {
    columns.iter().filter(|column| names.contains(&column.name)).collect()
}

/// The keys of the index by which a row of a table is looked up.
pub fn keys(node: &Node) -> Vec<SqlExpr> {
    let hashed = |columns: Vec<&NodeColumn>| {
        let hashable = columns.into_iter().filter(|column| column.ty.hashable);
        hash(hashable.map(plain).collect()).into_iter().collect()
    };
    match &node.identity {
        Identity::Key(names) => named(&node.columns, names).into_iter().map(plain).collect(),
        Identity::HashedKey(names) => hashed(named(&node.columns, names)),
        Identity::Bag => hashed(node.columns.iter().collect()),
    }
}

/// A column of a table by its name alone, as in an index.
pub fn plain(column: &NodeColumn) -> SqlExpr {
    bare(column.name.as_str())
}

/// A delta in the order of that index: neighbours are on the same pages of it, and the two signs of a key are
/// neighbours; where the delta `repeats` rows, equal ones are, too.
pub fn in_order(node: &Node, delta: Query, repeats: bool) -> Query {
    let mut order = keys(node);
    if repeats {
        let others = node.columns.iter().map(plain).filter(|column| !order.contains(column));
        order.extend(others.collect::<Vec<_>>());
    }
    let order_by: Vec<Order> = order.into_iter().map(Order::ascending).collect();
    if order_by.is_empty() {
        return delta;
    }
    // A query can be ordered by its output columns, but not by expressions over them.
    if matches!(node.identity, Identity::Key(_)) && delta.order_by.is_empty() && delta.limit.is_none() {
        return Query { order_by, ..delta };
    }
    let (columns, weight) = (node.columns.iter().map(|column| &column.name), node.weight());
    let items = columns.chain([&weight]).map(|name| Item { expr: bare(name.as_str()), alias: None }).collect();
    let select = Select { items, from: vec![From::derived(delta, "d")], ..Select::default() };
    Query { order_by, ..Query::select(select) }
}
