//! Rows that may repeat: a row is all its columns, and its copies are interchangeable.
//!
//! A weight of `−n` deletes exactly `n` copies, whichever, chosen by their physical place: they were found by hash and
//! compared by image.

use crate::expr::{Call, Op, Over, Window};
use crate::identity;
use crate::sql::ast::{Expr, From, Item, JoinKind, JoinOn, Limit, Query, Select, Statement, col};
use crate::sql::ident::{Ident, QName};
use crate::view::{DELETES, INSERTS, Identity, Node, NodeColumn, free_name};

use super::{items, pairs, part, side};

/// Looks up the copies of each row of the delta by the index of the table's identity.
pub fn delete(node: &Node) -> Statement {
    at_places(node, copies(node), None)
}

/// The places of the rows that [`delete`] deletes.
pub fn places(node: &Node) -> Query {
    chosen(copies(node), None)
}

/// The copies of each row of the delta that leave.
fn copies(node: &Node) -> Vec<From> {
    let copies = Select {
        items: vec![place()],
        from: vec![From::table(node.table.clone(), "s")],
        filter: Some(identity::same_row(&node.identity, pairs(&node.columns, "s"))),
        ..Select::default()
    };
    let limit = Some(Limit { count: Some(minus(col("d", node.weight().as_str()))), with_ties: false });
    let mut copies = From::derived(Query { limit, ..Query::select(copies) }, "c");
    if let From::Derived { lateral, .. } = &mut copies {
        *lateral = true;
    }
    vec![part(DELETES), copies]
}

/// The same for a table that has no index of this node's identity, because its rows are those of another definition.
/// The table and the rows to delete are joined once, by their hash, and the copies of each are numbered. A row that
/// stays is not deleted and inserted, so that no foreign key that refers to it acts.
pub fn delete_all(node: &Node) -> Statement {
    let weight = node.weight();
    let number = free_name("number", node.columns.iter().map(|column| &column.name).chain([&weight]));
    let mut deleted = items(node.columns.iter().map(side("d")).chain([col("d", weight.as_str())]));
    deleted.push(Item::named(row_number(vec![]), number.as_str()));
    let deleted = Select { items: deleted, from: vec![part(DELETES)], ..Select::default() };
    // A column that the new definition proves not to be NULL may have NULLs by the other one.
    let nullable: Vec<NodeColumn> =
        node.columns.iter().map(|column| NodeColumn { not_null: false, ..column.clone() }).collect();
    let joined = From::Join {
        kind: JoinKind::Inner,
        left: Box::new(From::derived(Query::select(deleted), "d")),
        right: Box::new(From::table(node.table.clone(), "s")),
        on: JoinOn::On(identity::same_row(&Identity::Bag, pairs(&nullable, "s"))),
        alias: None,
    };
    let copy = Item::named(row_number(vec![col("d", number.as_str())]), "copy");
    let found = vec![place(), copy, Item::named(col("d", weight.as_str()), "weight")];
    let copies = Query::select(Select { items: found, from: vec![joined], ..Select::default() });
    let few = Expr::binary("<=", col("c", "copy"), minus(col("c", "weight")));
    at_places(node, vec![From::derived(copies, "c")], Some(few))
}

pub fn insert(node: &Node) -> Statement {
    let series = Expr::call("generate_series", vec![Expr::number(1).cast("bigint"), col("d", node.weight().as_str())]);
    let copies = From::Function { call: Box::new(series), alias: None, lateral: false, ordinality: false };
    super::insert(node, vec![part(INSERTS), copies])
}

/// Deletes the rows of which `c` has the place.
fn at_places(node: &Node, from: Vec<From>, filter: Option<Expr>) -> Statement {
    Statement::Delete {
        table: node.table.clone(),
        alias: Ident::new("t"),
        using: From::derived(chosen(from, filter), "v"),
        filter: Expr::equals(col("t", "ctid"), col("v", "place")),
    }
}

fn chosen(from: Vec<From>, filter: Option<Expr>) -> Query {
    Query::select(Select { items: items([col("c", "place")]), from, filter, ..Select::default() })
}

fn place() -> Item {
    Item::named(col("s", "ctid"), "place")
}

fn minus(e: Expr) -> Expr {
    Expr::Unary(Op::plain("-"), Box::new(e))
}

/// `row_number() OVER (PARTITION BY …)`.
fn row_number(partition_by: Vec<Expr>) -> Expr {
    let window = Window { base: None, partition_by, order_by: vec![], frame: None };
    Expr::Call(Box::new(Call { over: Some(Over::Window(window)), ..Call::new(QName::bare("row_number"), vec![]) }))
}
