//! Which steps are linear, and by which columns they look up their own rows.

use crate::error::{Error, Result};
use crate::sql::ident::{Ident, QName};
use crate::testing::memory::MemoryCatalog;
use crate::view::{Identity, View};
use crate::{canon, compile};

fn compiled(sql: &str) -> Result<View> {
    let edges = QName::qualified("public", "edges");
    let catalog = MemoryCatalog::default()
        .table(edges.clone(), &[("id", "integer", true), ("a", "integer", true), ("b", "integer", true)])
        .key(edges, &["id"])
        .table(QName::qualified("public", "prices"), &[("a", "integer", true), ("price", "numeric", true)]);
    let state = |k: usize| QName::qualified("state", format!("n_{k}"));
    compile::compile(&canon::parse(sql)?, &catalog, &QName::qualified("public", "view"), &state)
}

/// A walk along edges with this second arm.
fn walk(union: &str, step: &str) -> String {
    format!("WITH RECURSIVE w(a) AS (SELECT edges.a FROM public.edges {union} {step}) SELECT w.a FROM w")
}

#[test]
fn nonlinear_steps_are_refused() {
    let joined = "FROM (w w_1 JOIN public.edges e ON ((e.a = w_1.a)))";
    for (union, step, construct) in [
        (
            "UNION",
            "SELECT e.b FROM (w w_1 LEFT JOIN public.edges e ON ((e.a = w_1.a)))".to_owned(),
            "an outer, semi or anti join in the recursive part of a query",
        ),
        (
            "UNION",
            format!("SELECT e.b {joined} WHERE (NOT (EXISTS ( SELECT 1 FROM public.prices p WHERE (p.a = w_1.a))))"),
            "an outer, semi or anti join in the recursive part of a query",
        ),
        ("UNION ALL", format!("SELECT DISTINCT e.b {joined}"), "recursion under DISTINCT"),
        (
            "UNION",
            "SELECT x.b FROM ( SELECT e.b FROM public.edges e UNION ALL SELECT w_1.a FROM w w_1) x".to_owned(),
            "a union in the recursive part of a query",
        ),
        (
            "UNION",
            "( WITH x AS (SELECT w_1.a FROM w w_1) SELECT l.a FROM (x l JOIN x r ON ((l.a < r.a))))".to_owned(),
            "a recursive query that joins its rows with each other",
        ),
    ] {
        match compiled(&walk(union, &step)) {
            Err(Error::Unsupported { construct: found, .. }) => assert_eq!(found, construct, "{step}"),
            other => panic!("{step}: {other:?}"),
        }
    }
}

/// Of 1.0 and 1.00 a set would retain the one that it finds first.
#[test]
fn set_of_values_with_several_looks_is_refused() {
    let sql = |union| {
        format!(
            "WITH RECURSIVE w(p) AS (SELECT prices.price FROM public.prices {union} \
             SELECT (w_1.p * 0.5) FROM w w_1 WHERE (w_1.p > 1.0)) SELECT w.p FROM w"
        )
    };
    assert!(matches!(compiled(&sql("UNION")), Err(Error::Unsupported { .. })));
    assert_eq!(compiled(&sql("UNION ALL")).unwrap().nodes[0].identity, Identity::Bag);
}

/// For a set, DISTINCT is redundant and a semi join is a join. One that only compares a part with keys belongs to that part.
#[test]
fn step_looks_up_rows_by_join_columns() {
    for (not, of, parts) in [("", "w_1.a", 2), ("", "e.b", 1), ("NOT ", "e.b", 1)] {
        let exists = format!("EXISTS ( SELECT 1 FROM public.prices p WHERE (p.a = {of}))");
        let step =
            format!("SELECT DISTINCT e.b FROM (w w_1 JOIN public.edges e ON ((e.a = w_1.a))) WHERE ({not}({exists}))");
        let view = compiled(&walk("UNION", &step)).unwrap();
        let node = &view.nodes[0];
        assert_eq!((node.lookup_names(), node.parts.len()), (vec![Ident::new("a")], parts), "{step}");
        assert_eq!(node.identity, Identity::Key(vec![Ident::new("a")]));
    }
}
