//! What the in-memory catalog infers.

use super::*;
use crate::canon;

fn types(sql: &str) -> Vec<String> {
    let orders = QName::qualified("public", "orders");
    let catalog = MemoryCatalog::default()
        .table(orders.clone(), &[("id", "integer", true), ("amount", "numeric(10,2)", false), ("big", "bigint", false)])
        .key(orders, &["id"]);
    let types = catalog.describe(&canon::parse(sql).unwrap()).unwrap();
    types.into_iter().map(|ty| ty.name).collect()
}

#[test]
fn aggregates_widen() {
    assert_eq!(
        types(
            "SELECT count(*), sum(id), sum(big), sum(amount), avg(id), max(amount), sum(amount * id) FROM public.orders"
        ),
        ["bigint", "bigint", "numeric", "numeric", "numeric", "numeric", "numeric"]
    );
}

#[test]
fn columns_keep_their_modifier() {
    assert_eq!(
        types("SELECT x.m, x.id + x.big FROM (SELECT o.id, o.amount AS m, o.big FROM public.orders o) x"),
        ["numeric(10,2)", "bigint"]
    );
    assert_eq!(types("WITH c(k) AS (SELECT o.id FROM public.orders o) SELECT c.k FROM c"), ["integer"]);
}

#[test]
fn branches_agree_on_a_type() {
    assert_eq!(
        types("SELECT CASE WHEN (o.id > 1) THEN o.id ELSE o.big END, COALESCE(o.amount, 0) FROM public.orders o"),
        ["bigint", "numeric"]
    );
    assert_eq!(types("SELECT o.id FROM public.orders o UNION ALL SELECT o.big FROM public.orders o"), ["bigint"]);
    assert_eq!(types("SELECT 'a'"), ["text"]);
}

#[test]
fn a_column_that_is_not_there_is_an_error() {
    let catalog = MemoryCatalog::default().table(QName::bare("t"), &[("a", "integer", false)]);
    assert!(catalog.describe(&canon::parse("SELECT t.b FROM t").unwrap()).is_err());
}
