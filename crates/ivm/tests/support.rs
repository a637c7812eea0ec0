//! `docs/SQL_SUPPORT.md` says what we compile and what we refuse: its tables are made from the compiler's own answers.
//!
//! Each example is compiled. An example that should be maintained incrementally and is refused, or the other way
//! round, fails; so does a page that shows anything else. `UPDATE_EXPECT=1` rewrites it.

use std::fmt::Write;
use std::path::Path;

use ivm::error::Error;
use ivm::sql::ident::QName;
use ivm::testing::memory::MemoryCatalog;
use ivm::{canon, compile};

/// What is maintained incrementally: the construct, and a query as PostgreSQL prints it.
const INCREMENTAL: &[(&str, &str)] = &[
    ("WHERE, expressions", "SELECT (o.amount * 2::numeric) AS twice FROM public.orders o WHERE (o.customer > 5)"),
    (
        "INNER and CROSS JOIN",
        "SELECT o.id, c.name FROM (public.orders o JOIN public.customers c ON ((c.id = o.customer)))",
    ),
    (
        "LEFT and RIGHT JOIN",
        "SELECT c.id, o.amount FROM (public.customers c LEFT JOIN public.orders o ON ((o.customer = c.id)))",
    ),
    ("FULL JOIN", "SELECT c.id, o.amount FROM (public.customers c FULL JOIN public.orders o ON ((o.customer = c.id)))"),
    (
        "joins on any condition",
        "SELECT c.id, o.amount FROM (public.customers c LEFT JOIN public.orders o ON ((o.amount > c.credit)))",
    ),
    (
        "EXISTS, NOT EXISTS",
        "SELECT c.id FROM public.customers c WHERE (NOT (EXISTS ( SELECT 1 FROM public.orders o WHERE (o.customer = c.id))))",
    ),
    (
        "IN, NOT IN (subquery)",
        "SELECT c.id FROM public.customers c WHERE (NOT (c.id IN ( SELECT o.customer FROM public.orders o)))",
    ),
    (
        "ANY, ALL (subquery)",
        "SELECT c.id FROM public.customers c WHERE (c.credit >= ALL ( SELECT o.amount FROM public.orders o))",
    ),
    (
        "subqueries under OR, in CASE, in the select list",
        "SELECT c.id, (c.id IN ( SELECT o.customer FROM public.orders o)) AS buys FROM public.customers c",
    ),
    (
        "scalar subqueries",
        "SELECT c.id, ( SELECT max(o.amount) AS max FROM public.orders o WHERE (o.customer = c.id)) AS most FROM public.customers c",
    ),
    (
        "scalar subqueries that may have several rows, with the server's error where one has",
        "SELECT c.id, ( SELECT o.amount FROM public.orders o WHERE (o.customer = c.id)) AS one FROM public.customers c",
    ),
    (
        "subqueries on any condition, with aggregates, under OR",
        "SELECT c.id, ( SELECT count(*) AS count FROM public.orders o WHERE (o.amount > c.credit)) AS n FROM public.customers c",
    ),
    (
        "comparisons with ANY and ALL (subquery) as values",
        "SELECT c.id FROM public.customers c WHERE ((c.id = 1) OR (c.credit > ALL ( SELECT o.amount FROM public.orders o)))",
    ),
    (
        "ARRAY(subquery)",
        "SELECT c.id, ARRAY( SELECT o.id FROM public.orders o WHERE (o.customer = c.id) ORDER BY o.id) AS ids FROM public.customers c",
    ),
    (
        "LATERAL",
        "SELECT c.id, x.n FROM (public.customers c CROSS JOIN LATERAL ( SELECT count(*) AS n FROM public.orders o WHERE (o.customer = c.id)) x)",
    ),
    ("UNION, UNION ALL", "SELECT o.id FROM public.orders o UNION SELECT c.id FROM public.customers c"),
    (
        "INTERSECT, EXCEPT, with and without ALL",
        "SELECT o.id FROM public.orders o EXCEPT ALL SELECT c.id FROM public.customers c",
    ),
    (
        "GROUP BY, HAVING, FILTER",
        "SELECT o.customer, sum(o.amount) FILTER (WHERE (o.id > 1)) AS s FROM public.orders o GROUP BY o.customer HAVING (count(*) > 1)",
    ),
    (
        "aggregates with DISTINCT and ORDER BY",
        "SELECT o.customer, string_agg(DISTINCT o.note, ','::text ORDER BY o.note) AS notes FROM public.orders o GROUP BY o.customer",
    ),
    (
        "ordered-set aggregates",
        "SELECT o.customer, percentile_disc((0.5)::double precision) WITHIN GROUP (ORDER BY o.amount) AS m FROM public.orders o GROUP BY o.customer",
    ),
    (
        "GROUPING SETS, ROLLUP, CUBE",
        "SELECT o.customer, sum(o.amount) AS s FROM public.orders o GROUP BY ROLLUP(o.customer)",
    ),
    ("SELECT DISTINCT", "SELECT DISTINCT o.customer FROM public.orders o"),
    (
        "DISTINCT ON",
        "SELECT DISTINCT ON (o.customer) o.customer, o.id FROM public.orders o ORDER BY o.customer, o.amount DESC",
    ),
    (
        "window functions, frames, WINDOW",
        "SELECT o.id, rank() OVER w AS r, sum(o.amount) OVER (w ROWS 2 PRECEDING) AS s FROM public.orders o WINDOW w AS (PARTITION BY o.customer ORDER BY o.amount)",
    ),
    (
        "ORDER BY with LIMIT, OFFSET, WITH TIES",
        "SELECT o.id, o.amount FROM public.orders o ORDER BY o.amount DESC FETCH FIRST 10 ROWS WITH TIES",
    ),
    ("set-returning functions", "SELECT o.id, generate_series(1, 3) AS n FROM public.orders o"),
    (
        "functions in FROM, WITH ORDINALITY",
        "SELECT o.id, g.n FROM public.orders o, LATERAL generate_series(1, 3) WITH ORDINALITY g(n, at)",
    ),
    (
        "comparisons of a column with now(), CURRENT_DATE, LOCALTIMESTAMP",
        "SELECT o.id FROM public.orders o WHERE ((o.made > (now() - '7 days'::interval)) AND (o.made < date_trunc('day'::text, now())))",
    ),
    (
        "the same within OR, NOT, CASE and COALESCE",
        "SELECT o.id FROM public.orders o WHERE ((o.made IS NULL) OR (NOT (o.made < now())))",
    ),
    (
        "distances of a column from now()",
        "SELECT o.id FROM public.orders o WHERE ((now() - o.made) < '1 day'::interval)",
    ),
    (
        "the same as values, in FILTER and in the condition of any join",
        "SELECT o.customer, count(*) FILTER (WHERE (o.made > now())) AS n FROM public.orders o GROUP BY o.customer",
    ),
    ("VALUES", "SELECT v.column1 FROM ( VALUES (1), (2)) v"),
    (
        "CTEs and subqueries in FROM",
        "WITH big AS (SELECT o.id FROM public.orders o WHERE (o.amount > 100.00)) SELECT count(*) AS n FROM big",
    ),
    (
        "WITH RECURSIVE, UNION and UNION ALL",
        "WITH RECURSIVE w(id) AS (SELECT c.id FROM public.customers c UNION SELECT o.customer FROM (w w_1 JOIN public.orders o ON ((o.id = w_1.id)))) SELECT w.id FROM w",
    ),
];

/// What is recomputed, because it is refused.
const REFUSED: &[&str] = &[
    "SELECT c.id, ( SELECT sum((o.amount * c.credit)) AS sum FROM public.orders o WHERE (o.customer = c.id)) AS n FROM public.customers c",
    "SELECT c.id, ( SELECT max(o.amount) AS max FROM public.orders o WHERE (o.amount < c.credit)) AS last FROM public.customers c",
    "SELECT c.id, ( SELECT max(x.id) AS max FROM (public.orders o LEFT JOIN public.orders x ON ((x.amount > c.credit)))) AS n FROM public.customers c",
    "SELECT o.customer, count(*) AS n FROM public.orders o GROUP BY o.customer HAVING (EXISTS ( SELECT 1 FROM public.customers c GROUP BY c.id HAVING (sum(o.amount) > 1::numeric)))",
    "SELECT o.customer, rank() OVER (ORDER BY (count(*))) AS r FROM public.orders o GROUP BY ROLLUP(o.customer)",
    "SELECT o.id, count(*) OVER (ORDER BY o.id ROWS UNBOUNDED PRECEDING EXCLUDE TIES) AS n FROM public.orders o",
    "SELECT o.id FROM public.orders o ORDER BY o.id LIMIT ( SELECT count(*) AS count FROM public.customers c)",
    "WITH RECURSIVE w(id) AS (SELECT c.id FROM public.customers c UNION SELECT o.customer FROM (w w_1 LEFT JOIN public.orders o ON ((o.id = w_1.id)))) SELECT w.id FROM w",
    "WITH RECURSIVE w(id) AS (SELECT c.id FROM public.customers c UNION SELECT x.id FROM w x, w y WHERE (x.id = y.id)) SELECT w.id FROM w",
    "WITH RECURSIVE w(id) AS (SELECT c.id FROM public.customers c UNION (SELECT o.customer FROM (w w_1 JOIN public.orders o ON ((o.id = w_1.id))) UNION ALL SELECT w_2.id FROM w w_2)) SELECT w.id FROM w",
    "WITH RECURSIVE w(id, n) AS (SELECT c.id, 1::bigint AS n FROM public.customers c UNION SELECT w_1.id, count(*) OVER () AS count FROM w w_1) SELECT w.id FROM w",
    "WITH RECURSIVE w(n) AS (SELECT o.amount FROM public.orders o UNION SELECT (w_1.n + 1.0) FROM w w_1 WHERE (w_1.n < 5.0)) SELECT w.n FROM w",
    "WITH RECURSIVE w(n) AS (SELECT 1 AS n UNION ALL SELECT (w_1.n + 1) FROM w w_1) SELECT w.n FROM w LIMIT 5",
    "SELECT o.*::public.orders AS o FROM public.orders o",
    "SELECT o.ctid FROM public.orders o",
    "SELECT CURRENT_DATE AS today FROM public.orders o",
    "SELECT o.id, (now() - o.made) AS age FROM public.orders o",
    "SELECT o.note FROM public.orders o GROUP BY o.amount",
    "SELECT o.id FROM public.orders o FOR UPDATE",
    "SELECT o.id FROM ONLY public.orders o",
    "SELECT o.id FROM public.orders o TABLESAMPLE system ((10)::real)",
    "SELECT a.a FROM ROWS FROM(generate_series(1, 2), generate_series(1, 3)) a(a, b)",
];

const PAGE: &str = "../../docs/SQL_SUPPORT.md";

fn compiled(sql: &str) -> Result<(), Error> {
    let (orders, customers) = (QName::qualified("public", "orders"), QName::qualified("public", "customers"));
    let catalog = MemoryCatalog::default()
        .table(
            orders.clone(),
            &[
                ("id", "integer", true),
                ("customer", "integer", false),
                ("amount", "numeric", false),
                ("note", "text", false),
                ("made", "timestamp with time zone", false),
            ],
        )
        .key(orders, &["id"])
        .table(customers.clone(), &[("id", "integer", true), ("name", "text", false), ("credit", "numeric", false)])
        .key(customers, &["id"]);
    let state = |k: usize| QName::qualified("state", format!("n{k}"));
    let view = compile::compile(&canon::parse(sql)?, &catalog, &QName::qualified("public", "view"), &state)?;
    for (index, node) in view.nodes.iter().enumerate() {
        ivm::delta::program(&view, index, &node.inputs)?;
    }
    Ok(())
}

fn page() -> String {
    let mut page = "# What is maintained incrementally\n\nThese tables are the compiler's own answers. What is refused runs \
        FULL: it is recomputed, only the differences are\nwritten, and the status and `explain_stream_table()` show the reason and the \
        rewrite.\n\n| construct | for example |\n|---|---|\n"
        .to_owned();
    for (construct, sql) in INCREMENTAL {
        compiled(sql).unwrap_or_else(|error| panic!("{construct}: {error:?}: {sql}"));
        writeln!(page, "| {construct} | `{sql}` |").unwrap();
    }
    page += "\n# What is refused\n\n| construct | why | instead | for example |\n|---|---|---|---|\n";
    for sql in REFUSED {
        match compiled(sql) {
            Err(Error::Unsupported { construct, reason, hint }) => {
                writeln!(page, "| {construct} | {reason} | {hint} | `{sql}` |").unwrap();
            }
            other => panic!("not refused but {other:?}: {sql}"),
        }
    }
    page + "\nForeign tables, tables with foreign children and materialized views tell of no changes: only a stream table of refresh \
        mode FULL may read them, which runs its query as a whole on its schedule and compares. Let it be a plain copy, and \
        what reads the copy is incremental again.\n\
        \nVolatile functions, functions whose result depends on the session or the server, temporary sources and sources \
         with row security for the owner are errors at creation.\n"
}

#[test]
fn the_page_shows_what_the_compiler_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let expected = page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, expected, "UPDATE_EXPECT=1 rewrites {}", path.display());
}
