//! Bags: rows may repeat, and a row is all its columns.
//!
//! A weight of `−n` deletes exactly `n` copies, chosen by their physical place after they were found by
//! hash and compared by image; copies cannot be told apart, so any will do.

use crate::identity;
use crate::sql::ast::{Expr, From, Item, Limit, Query, Select, Statement, col};
use crate::sql::ident::Ident;
use crate::view::{COME, GONE, Node};

use super::{columns, part};

pub fn delete(node: &Node) -> Statement {
    let same = identity::same_row(&node.identity, &node.columns, &|c| col("s", c.name.as_str()), &|c| {
        col("d", c.name.as_str())
    });
    let place = |alias: &str| Item::named(col(alias, "ctid"), "place");
    let copies = Select {
        items: vec![place("s")],
        from: vec![From::table(node.table.clone(), "s")],
        filter: Some(same),
        ..Select::default()
    };
    let count = Expr::Unary(crate::expr::Op::plain("-"), Box::new(col("d", node.weight().as_str())));
    let copies = Query { limit: Some(Limit { count: Some(count), with_ties: false }), ..Query::select(copies) };
    let mut copies = From::derived(copies, "c");
    if let From::Derived { lateral, .. } = &mut copies {
        *lateral = true;
    }
    let chosen = Select {
        items: vec![Item { expr: col("c", "place"), alias: None }],
        from: vec![part(GONE), copies],
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

pub fn insert(node: &Node) -> Statement {
    let series = Expr::call("generate_series", vec![Expr::number(1).cast("bigint"), col("d", node.weight().as_str())]);
    let copies = From::Function { call: Box::new(series), alias: None, lateral: false, ordinality: false };
    let select = Select {
        items: columns(node, "d").into_iter().map(|expr| Item { expr, alias: None }).collect(),
        from: vec![part(COME), copies],
        ..Select::default()
    };
    let columns = node.columns.iter().map(|column| column.name.clone()).collect();
    Statement::Insert { table: node.table.clone(), columns, query: Query::select(select) }
}
