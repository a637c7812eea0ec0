//! The nodes of queries and the columns of their tables.

use crate::canon;
use crate::compile::compile;
use crate::sql::ident::{Ident, QName};
use crate::testing::memory::MemoryCatalog;
use crate::view::{Identity, View};

fn view(sql: &str) -> View {
    let t = QName::qualified("public", "t");
    let columns = [("id", "integer", true), ("k", "integer", false), ("x", "numeric", false), ("y", "text", true)];
    let catalog = MemoryCatalog::default().table(t.clone(), &columns).key(t, &["id"]);
    let state = |k: usize| QName::qualified("state", format!("n{k}"));
    compile(&canon::parse(sql).unwrap(), &catalog, &QName::qualified("public", "v"), &state).unwrap()
}

/// The columns of each node.
fn columns(view: &View) -> Vec<Vec<&str>> {
    view.nodes.iter().map(|node| node.columns.iter().map(|column| column.name.as_str()).collect()).collect()
}

#[test]
fn calls_share_counters() {
    let view = view(
        "SELECT t.k, sum(t.id) AS s, avg(t.id) AS a, count(t.id) AS c, count(t.k) AS d, sum(t.k) AS e FROM public.t GROUP BY t.k",
    );
    assert_eq!(columns(&view), [vec!["k", "n", "sum", "count", "sum_2"], vec!["k", "s", "a", "c", "d", "e"]]);
}

#[test]
fn numeric_without_scale_counts_scales() {
    let view = view("SELECT avg(t.x) AS a FROM public.t");
    assert_eq!(columns(&view), [vec!["n", "avg_count", "avg_scales", "avg_sum"], vec!["a"]]);
}

#[test]
fn bool_aggregates_count_true_values() {
    let view = view(
        "SELECT t.k, bool_and((t.k > 1)) AS a, bool_or((t.k > 1)) AS o, every((t.id > 1)) AS e FROM public.t GROUP BY t.k",
    );
    assert_eq!(
        columns(&view),
        [vec!["k", "n", "bool_and_count", "bool_and_trues", "every_trues"], vec!["k", "a", "o", "e"]]
    );
}

#[test]
fn complete_output_is_its_own_state() {
    let shown = view("SELECT count(*) AS n, t.k, max(t.y) AS m FROM public.t GROUP BY t.k");
    assert_eq!(columns(&shown), [vec!["n", "k", "m"]]);
    assert_eq!(shown.nodes[0].identity, Identity::HashedKey(vec![Ident::new("k")]));
    assert_eq!(view("SELECT t.k, max(t.y) AS m FROM public.t GROUP BY t.k").nodes.len(), 2);
}

#[test]
fn equal_aggregates_share_a_node() {
    let view = view(
        "WITH q AS (SELECT t.k, count(*) AS n FROM public.t GROUP BY t.k) SELECT a.k, b.n FROM (q a JOIN q b ON ((a.k = b.n)))",
    );
    assert_eq!(columns(&view), [vec!["k", "n"], vec!["k", "n"]]);
}

#[test]
fn key_with_several_looks_shows_an_existing_one() {
    let view = view("SELECT DISTINCT t.x FROM public.t");
    assert_eq!(columns(&view), [vec!["x", "n", "x_look"], vec!["x"]]);
}

#[test]
fn long_texts_are_hashed() {
    let hashed = view("SELECT DISTINCT t.y FROM public.t");
    assert_eq!(hashed.nodes[0].identity, Identity::HashedKey(vec![Ident::new("y")]));
    assert_eq!(view("SELECT t.y, t.id FROM public.t").nodes[0].identity, Identity::Key(vec![Ident::new("id")]));
    assert_eq!(view("SELECT t.y FROM public.t").nodes[0].identity, Identity::Bag);
}
