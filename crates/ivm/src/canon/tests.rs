//! Every construct that PostgreSQL's deparser prints: read, printed and read again it is the same tree.

use super::parse;
use crate::error::Error;
use crate::expr::{Expr as Generic, Index, Literal};
use crate::sql::ast::{Body, Expr, From, Query};
use crate::sql::ident::QName;
use crate::sql::print;

/// Reads, prints, reads, prints: both trees and both texts must agree.
fn round_trip(sql: &str) -> Query {
    let first = parse(sql).unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    let text = print::query(&first);
    let second = parse(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    assert_eq!(first, second, "{text}");
    assert_eq!(text, print::query(&second));
    first
}

/// The expression `e`, read as a select list's only item.
fn expr(e: &str) -> Expr {
    let Body::Select(mut select) = round_trip(&format!("SELECT {e}")).body else { panic!("{e}") };
    select.items.remove(0).expr
}

fn assert_prints(e: &str, expected: &str) {
    assert_eq!(print::expr(&expr(e)), expected);
}

fn refused(sql: &str) -> String {
    match parse(sql) {
        Err(Error::Unsupported { construct, .. }) => construct,
        other => panic!("{other:?}\n{sql}"),
    }
}

#[test]
fn queries_round_trip() {
    for sql in [
        " SELECT t.a,\n    t.b AS \"B b\"\n   FROM app.t\n  WHERE ((t.a = 1) AND (t.b > 2) AND (NOT (t.a IS NULL)));",
        "SELECT DISTINCT t.a FROM t ORDER BY t.a DESC NULLS LAST, (t.b COLLATE \"C\") USING OPERATOR(public.>) OFFSET 2 LIMIT 3",
        "SELECT DISTINCT ON (t.a, (lower(t.b))) t.a FROM t FETCH FIRST (1 + 2) ROWS WITH TIES",
        "SELECT 1 LIMIT ALL",
        "VALUES (1,'a'::text), (2,NULL::text)",
        "SELECT a FROM x UNION ALL SELECT a FROM y UNION ALL SELECT a FROM z ORDER BY 1",
        "(SELECT a FROM x UNION SELECT a FROM y) EXCEPT ALL (SELECT a FROM z ORDER BY z.a LIMIT 1)",
        "SELECT a FROM x INTERSECT (WITH z AS (SELECT 1 AS a) SELECT z.a FROM z)",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT (r.n + 1) FROM r), m AS MATERIALIZED (SELECT 1), \
         n AS NOT MATERIALIZED (SELECT 2) SELECT r.n FROM r",
        "SELECT 1 FROM ((a JOIN b ON ((a.x = b.x))) LEFT JOIN (c CROSS JOIN d) USING (x, y)) FULL JOIN e ON (TRUE)",
        "SELECT 1 FROM (a JOIN b USING (x)) j(p, q), LATERAL ( SELECT j.p) s(z) RIGHT JOIN t u(a, b) ON (true)",
        "SELECT 1 FROM f(1, VARIADIC ARRAY[1]) WITH ORDINALITY z(a, b), LATERAL s.g(a => z.a) y",
        "SELECT 1 FROM UNNEST(ARRAY[1], ARRAY['a'::text]) WITH ORDINALITY u(a, b, n), LATERAL UNNEST(u.a, u.b) v",
        "SELECT 1 FROM json_to_record('{}'::json) x(a integer, \"B\" numeric(5,2)[], c double precision, d s.ty)",
        "SELECT count(*) FROM t GROUP BY t.a, ROLLUP(t.b, (t.c, t.d)), CUBE((t.e)::text, (f(t.a))), \
         GROUPING SETS ((t.a, t.b), (t.a), ( SELECT 1), ()), () HAVING (count(*) > 1)",
        "SELECT count(*) FROM t GROUP BY DISTINCT CUBE(t.a, t.b), t.a",
        "SELECT rank() OVER w, sum(x) OVER (w ROWS 2 PRECEDING), sum(x) OVER (PARTITION BY a, b ORDER BY c DESC \
         RANGE BETWEEN '7 days'::interval PRECEDING AND (1)::bigint FOLLOWING), count(*) OVER (ORDER BY a GROUPS \
         BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (PARTITION BY t.a), v AS (w ORDER BY t.b)",
    ] {
        round_trip(sql);
    }
}

/// An expression of each kind.
const EXPRESSIONS: &[&str] = &[
    "(- x)",
    "(a OPERATOR(public.+++) b)",
    "(OPERATOR(s.@#@) a)",
    "(a @@@ b)",
    "(a *<> b)",
    "((a || b) ~~* 'x%'::text)",
    "(x IS NOT UNKNOWN)",
    "(a IS DISTINCT FROM b)",
    "(NOT (EXISTS ( SELECT 1)))",
    "(EXISTS ( SELECT FROM t WHERE (t.a = b)))",
    "(x = ANY (ARRAY[1, 2]))",
    "(x OPERATOR(public.=) ALL (y))",
    "(x = ANY (( SELECT y)::integer[]))",
    "(x < ANY ( SELECT 1))",
    "(x <> ALL ( VALUES (1), (2)))",
    "(x < ALL ((SELECT 1 LIMIT 1) UNION SELECT 2))",
    "((a, b) IN ( SELECT 1, 2))",
    "((a, b) = ( SELECT 1, 2))",
    "((( SELECT 1) UNION ( SELECT 2)))",
    "(( SELECT 1) + 2)",
    "ARRAY( SELECT 1)",
    "ARRAY[]::integer[]",
    "ARRAY[ARRAY[1], ARRAY[2]]",
    "t.a[1][2:3]",
    "(t.a[:2])[1:]",
    "((t.c).d).e[1]",
    "(f(x)).y",
    "ROW(1, ROW())",
    "ROW((t.*)::app.t)",
    "count(t.*)",
    "(t.*)::app.t",
    "(t.* IS NOT NULL)",
    "GROUPING(a, b)",
    "COALESCE(a, GREATEST(b, LEAST(c, NULLIF(d, 1))))",
    "CASE x WHEN 1 THEN 'a'::text ELSE NULL::text END",
    "CASE WHEN (x = 1) THEN 1 END",
    "count(DISTINCT a)",
    "string_agg(DISTINCT a, ','::text ORDER BY a DESC NULLS LAST, b USING ~>~)",
    "percentile_cont((0.5)::double precision) WITHIN GROUP (ORDER BY a DESC) FILTER (WHERE (b > 1))",
    "s.f(a, b => 2, VARIADIC c)",
    "sum(a) FILTER (WHERE b) OVER w",
    "EXTRACT(epoch FROM (a - b))",
    "POSITION(('a'::text) IN (b))",
    "SUBSTRING(a FROM 1 FOR 2)",
    "SUBSTRING(a FROM 'x.y'::text)",
    "OVERLAY(a PLACING b FROM 1 FOR 2)",
    "TRIM(BOTH FROM a)",
    "TRIM(LEADING 'x'::text FROM a)",
    "NORMALIZE(a, NFC)",
    "(a IS NOT NFKC NORMALIZED)",
    "((a, b) OVERLAPS (c, d))",
    "((a AT TIME ZONE 'UTC'::text) AT TIME ZONE b)",
    "(((a)::text || b) COLLATE pg_catalog.\"C\")",
    "'a'::text COLLATE \"C\"",
    "CURRENT_TIMESTAMP(3)",
    "CURRENT_SCHEMA",
    "\"overlay\"(a, \"left\"(b, 1), 2)",
    "year.month",
    "app.floor(\"select\".\"from\")",
];

#[test]
fn expressions_round_trip() {
    EXPRESSIONS.iter().for_each(|e| drop(expr(e)));
}

#[test]
fn types_keep_their_names() {
    for ty in [
        "integer",
        "double precision",
        "character varying(10)",
        "\"char\"",
        "bit varying(3)[]",
        "numeric(10,-2)",
        "timestamp(3) without time zone",
        "time with time zone[]",
        "interval day to second(3)",
        "interval(2)",
        "interval year to month",
        "public.geometry(Point,4326)",
        "\"Odd Schema\".\"Odd Type\"[]",
        "json.d",
        "double.d",
    ] {
        assert_prints(&format!("(x)::{ty}"), &format!("(x)::{ty}"));
    }
}

#[test]
fn constants_keep_their_values() {
    let string = |e: &str| match expr(e) {
        Generic::Literal(Literal::String(value)) => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(string("'it''s'"), "it's");
    assert_eq!(string("''''''"), "''");
    assert_eq!(string(r"'\d+'"), r"\d+");
    assert_eq!(string(r"E'a\\b''c'"), r"a\b'c");
    assert_eq!(string("'/* -- */'"), "/* -- */");
    assert_eq!(string("'é\n'"), "é\n");
    assert_prints("B'101'", "B'101'");
    assert_prints("X'1F'", "X'1F'");
    assert_prints("(-1.5)", "(- 1.5)");
    assert_prints("12345678901234567890", "12345678901234567890");
    assert_prints("true", "true");
}

#[test]
fn names_are_never_keywords() {
    // Each of these words means something in some dialect of SQL.
    for word in
        ["global", "anti", "pivot", "qualify", "sample", "set", "partition", "rows", "recursive", "unnest", "first"]
    {
        let text = format!(
            "WITH {word} AS (SELECT 1 AS {word}) SELECT {word}.{word} AS {word}, f({word}.{word}) OVER {word} \
             FROM {word} JOIN s.{word} x ON ((x.{word} = {word}.{word})) GROUP BY {word}.{word} WINDOW {word} AS ()"
        );
        let query = round_trip(&text);
        let Body::Select(select) = query.body else { panic!("{word}") };
        let [From::Join { right, .. }] = &select.from[..] else { panic!("{word}") };
        assert!(matches!(&**right, From::Table { name, .. } if *name == QName::qualified("s", word)), "{word}");
    }
}

#[test]
fn parentheses_decide_what_a_subscript_means() {
    let Generic::Subscript(_, both) = expr("a[1:2][3]") else { panic!() };
    assert_eq!(both.len(), 2);
    let Generic::Subscript(inner, outer) = expr("(a[1:2])[3]") else { panic!() };
    assert!(matches!(*inner, Generic::Subscript(..)));
    assert!(matches!(outer[..], [Index::At(_)]));
}

#[test]
fn conjunctions_are_flat_only_where_the_text_is() {
    let Generic::And(parts) = expr("(a AND b AND (c AND d))") else { panic!() };
    assert_eq!(parts.len(), 3);
    assert!(matches!(parts[2], Generic::And(_)));
}

#[test]
fn refused_constructs_have_a_name() {
    assert_eq!(refused("SELECT 1 FROM t FOR UPDATE OF t"), "a row locking clause");
    assert_eq!(refused("SELECT 1 FROM ONLY s.t"), "ONLY");
    assert_eq!(refused("SELECT 1 FROM t TABLESAMPLE bernoulli (1)"), "TABLESAMPLE");
    assert_eq!(refused("SELECT 1 FROM ROWS FROM(f(1), g(2)) x"), "ROWS FROM");
    assert_eq!(refused("SELECT XMLELEMENT(NAME a)"), "XML functions of the SQL standard");
    assert_eq!(refused("SELECT JSON_OBJECT('a' : 1)"), "JSON functions of the SQL standard");
    assert_eq!(refused("SELECT FROM t"), "a select list without columns");
    assert_eq!(refused("SELECT WHERE true"), "a select list without columns");
    assert_eq!(refused("SELECT FROM a UNION ALL SELECT FROM b"), "a select list without columns");
    assert_eq!(refused("SELECT 1 FROM (a JOIN b USING (x) AS j)"), "JOIN USING with an alias");
    assert_eq!(
        refused("SELECT sum(a) OVER (ORDER BY b ROWS UNBOUNDED PRECEDING EXCLUDE TIES) FROM t"),
        "a window frame with EXCLUDE"
    );
    assert_eq!(refused("SELECT 1 GROUP BY GROUPING SETS (ROLLUP(a))"), "ROLLUP");
    assert_eq!(refused("SELECT \"coalesce\"(1, 2)"), "a function named \"coalesce\"");
}

#[test]
fn text_that_is_not_canonical_is_an_error() {
    for sql in [
        "",
        "SELECT",
        "SELECT 1; SELECT 2",
        "select 1",
        "SELECT a BETWEEN 1 AND 2",
        "SELECT a IN (1, 2)",
        "SELECT a LIKE 'x'",
        "SELECT * FROM t",
        "SELECT t.* FROM t",
        "SELECT ROW(t.*) FROM t",
        "SELECT a.b FROM a.b.c",
        "SELECT date '2020-01-01'",
        "SELECT CAST(a AS integer)",
        "SELECT 1 -- comment",
        "SELECT 'unfinished",
        "SELECT 1 FROM a NATURAL JOIN b",
        "SELECT 1 FROM ( SELECT 1)",
        "SELECT a FROM t ORDER BY a ASC",
        "SELECT TOP 1 a FROM t",
        "SELECT a FROM t QUALIFY b",
        "INSERT INTO t VALUES (1)",
    ] {
        assert!(parse(sql).is_err(), "{sql}");
    }
}

#[test]
fn depth_is_limited_and_length_is_not() {
    let deep = |n: usize| format!("SELECT {}a{}", "(- ".repeat(n), ")".repeat(n));
    let unions = |n: usize| vec!["SELECT 1"; n].join(" UNION ALL ");
    let on_large_stack = |sql: String| {
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(move || parse(&sql).map(drop));
        thread.unwrap().join().unwrap()
    };
    assert!(on_large_stack(deep(20)).is_ok());
    assert!(on_large_stack(unions(40)).is_ok());
    for sql in [deep(3000), unions(3000)] {
        assert!(matches!(on_large_stack(sql), Err(Error::Unsupported { .. })));
    }
    let wide = vec!["(a = 1)"; 3000].join(" OR ");
    assert!(on_large_stack(format!("SELECT ({wide})")).is_ok());
}
