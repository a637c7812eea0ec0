//! Replacing what a table holds: its rows are those of another definition, whose keys say nothing of them.
//!
//! As in a bag, a row is all its columns, and a weight of `−n` deletes `n` copies. There is no index to find them by: the
//! table and the rows that leave are joined once, by their hash, and the copies of each are numbered. A row that stays is
//! not touched, so that nothing that refers to it is.

use crate::expr::{Call, Over, Window};
use crate::identity;
use crate::sql::ast::{Expr, From, Item, JoinKind, JoinOn, Query, Select, Statement, col};
use crate::sql::ident::{Ident, QName};
use crate::view::{GONE, Identity, Node, NodeColumn};

use super::{columns, part};

pub fn delete(node: &Node) -> Statement {
    let number = free_name(node, "number");
    let weight = node.weight();
    let plain = |expr| Item { expr, alias: None };
    let mut items: Vec<Item> = columns(node, "d").into_iter().map(plain).collect();
    items.push(plain(col("d", weight.as_str())));
    items.push(Item::named(row_number(vec![]), number.as_str()));
    let gone = Query::select(Select { items, from: vec![part(GONE)], ..Select::default() });
    // What the new definition proves never to be NULL may have been NULL by the other.
    let nullable: Vec<NodeColumn> =
        node.columns.iter().map(|column| NodeColumn { not_null: false, ..column.clone() }).collect();
    let side = |alias: &'static str| move |column: &NodeColumn| col(alias, column.name.as_str());
    let same = identity::same_row(&Identity::Bag, &nullable, &side("s"), &side("d"));
    let joined = From::Join {
        kind: JoinKind::Inner,
        left: Box::new(From::derived(gone, "d")),
        right: Box::new(From::table(node.table.clone(), "s")),
        on: JoinOn::On(same),
        alias: None,
    };
    let items = vec![
        Item::named(col("s", "ctid"), "place"),
        Item::named(row_number(vec![col("d", number.as_str())]), "copy"),
        Item::named(col("d", weight.as_str()), "weight"),
    ];
    let copies = Query::select(Select { items, from: vec![joined], ..Select::default() });
    let leaving = Expr::Unary(crate::expr::Op::plain("-"), Box::new(col("c", "weight")));
    let chosen = Select {
        items: vec![plain(col("c", "place"))],
        from: vec![From::derived(copies, "c")],
        filter: Some(Expr::binary("<=", col("c", "copy"), leaving)),
        ..Select::default()
    };
    Statement::Delete {
        table: node.table.clone(),
        alias: Ident::new("t"),
        using: vec![From::derived(Query::select(chosen), "v")],
        filter: Expr::equals(col("t", "ctid"), col("v", "place")),
        with: None,
    }
}

/// `row_number() OVER (PARTITION BY …)`.
fn row_number(partition_by: Vec<Expr>) -> Expr {
    let window = Window { base: None, partition_by, order_by: vec![], frame: None };
    Expr::Call(Box::new(Call { over: Some(Over::Window(window)), ..Call::new(QName::bare("row_number"), vec![]) }))
}

/// A name that no column of a node's delta has.
fn free_name(node: &Node, name: &str) -> Ident {
    let mut name = name.to_owned();
    while node.columns.iter().any(|column| column.name.as_str() == name) || node.weight().as_str() == name {
        name.push('_');
    }
    Ident::new(name)
}
