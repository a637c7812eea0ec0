//! What queries become, shown as the SQL of their simplified plans; and what is refused.

use super::*;
use crate::sql::print;
use crate::testing::memory::MemoryCatalog;
use crate::{canon, render, rewrite};

fn catalog() -> MemoryCatalog {
    let table = |name| QName::qualified("public", name);
    MemoryCatalog::default()
        .table(table("orders"), &[("id", "integer", true), ("cid", "integer", false), ("amount", "numeric", false)])
        .key(table("orders"), &["id"])
        .table(table("customers"), &[("id", "integer", true), ("name", "text", false), ("doc", "json", false)])
        .key(table("customers"), &["id"])
        .table(table("big"), &[("id", "bigint", false)])
        .function(QName::qualified("public", "spread"), FunctionKind::Set, "integer")
}

fn bound(sql: &str) -> Result<Plan> {
    bind(&canon::parse(sql)?, &catalog(), &mut Ids::default())
}

/// The query, simplified.
fn simple(sql: &str) -> String {
    let plan = rewrite::simplify(bound(sql).unwrap());
    print::query(&render::query(&plan, &render::uncut).unwrap())
}

fn names(sql: &str) -> Vec<String> {
    bound(sql).unwrap().columns().into_iter().map(|column| column.name.0).collect()
}

fn refused(sql: &str) -> String {
    match bound(sql) {
        Err(Error::Unsupported { construct, .. }) => construct,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_are_those_of_the_query() {
    assert_eq!(
        names("SELECT id, amount AS a, (amount + 1::numeric) AS \"?column?\", id FROM public.orders"),
        ["id", "a", "?column?", "id"]
    );
    assert_eq!(names("SELECT x.k FROM (SELECT orders.id FROM public.orders) x(k)"), ["k"]);
    assert_eq!(names("VALUES (1, 2)"), ["column1", "column2"]);
}

#[test]
fn subqueries_and_ctes_dissolve_into_one_join() {
    let sql = "WITH paid(order_id, who) AS (SELECT o.id, o.cid FROM public.orders o WHERE (o.amount > 0))
        SELECT c.name, p.order_id
          FROM (public.customers c JOIN paid p ON ((p.who = c.id)))
         WHERE (c.id < 10)";
    assert_eq!(
        simple(sql),
        "SELECT customers.name, orders.id AS order_id\n\
         FROM public.customers AS customers, public.orders AS orders\n\
         WHERE (orders.amount > 0) AND (orders.cid = customers.id) AND (customers.id < 10)"
    );
}

#[test]
fn each_reference_to_a_cte_is_its_own() {
    let sql = "WITH o AS (SELECT id FROM public.orders) SELECT a.id, b.id AS other FROM o a, o b WHERE (a.id < b.id)";
    assert_eq!(
        simple(sql),
        "SELECT orders.id, orders_2.id AS other\n\
         FROM public.orders AS orders, public.orders AS orders_2\n\
         WHERE (orders.id < orders_2.id)"
    );
}

#[test]
fn a_recursion_reads_itself_in_its_second_arm() {
    let sql = "WITH RECURSIVE up(k, n) AS (
        SELECT big.id, 0 FROM public.big UNION SELECT o.cid, (u.n + 1) FROM (up u JOIN public.orders o ON ((o.id = u.k)))
      ), once(k) AS (SELECT up.k FROM up) SELECT o.k FROM once o";
    assert_eq!(
        simple(sql),
        "SELECT t1.k\nFROM (\n    WITH RECURSIVE\n    recursion(k, n) AS (\n      SELECT big.id AS k, 0 AS n\n      \
         FROM public.big AS big\n      UNION\n      SELECT (orders.cid)::bigint AS k, (recursion_2.n + 1) AS n\n      \
         FROM recursion AS recursion_2, public.orders AS orders\n      WHERE (orders.id = recursion_2.k)\n    )\n    \
         SELECT recursion.k, recursion.n\n    FROM recursion\n  ) AS t1"
    );
}

#[test]
fn using_merges_columns() {
    let sql = "SELECT id, o.amount, j.name FROM (public.orders o JOIN public.customers j USING (id))";
    assert_eq!(
        simple(sql),
        "SELECT orders.id, orders.amount, customers.name\n\
         FROM public.orders AS orders, public.customers AS customers\n\
         WHERE (orders.id = customers.id)"
    );
    let sql = "SELECT j.k, j.name FROM (public.orders o JOIN public.customers c USING (id)) j(k)";
    assert_eq!(names(sql), ["k", "name"]);
}

#[test]
fn aggregates_become_one_select() {
    let sql = "SELECT (cid % 2) AS parity, count(*) AS n, sum((amount * 2::numeric)) FILTER (WHERE (id > 1)) AS s
        FROM public.orders WHERE (id < 9) GROUP BY (cid % 2) HAVING (count(*) > 1)";
    assert_eq!(
        simple(sql),
        "SELECT\n  (orders.cid % 2) AS parity,\n  count(*) AS n,\n  \
         sum(CASE WHEN (orders.id > 1) THEN (orders.amount * 2::numeric) END) FILTER (WHERE (orders.id > 1)) AS s\n\
         FROM public.orders AS orders\n\
         WHERE (orders.id < 9)\n\
         GROUP BY (orders.cid % 2)\n\
         HAVING (count(*) > 1)"
    );
}

#[test]
fn columns_determined_by_a_grouped_key_are_a_key() {
    let sql = "SELECT c.id, c.name, count(*) AS n
        FROM (public.customers c JOIN public.orders o ON ((o.cid = c.id))) GROUP BY c.id";
    assert_eq!(
        simple(sql),
        "SELECT customers.id, customers.name, count(*) AS n\n\
         FROM public.customers AS customers, public.orders AS orders\n\
         WHERE (orders.cid = customers.id)\n\
         GROUP BY customers.id, customers.name"
    );
    assert_eq!(refused("SELECT doc FROM public.customers GROUP BY id"), "the column doc outside GROUP BY");
    assert_eq!(refused("SELECT cid FROM public.orders GROUP BY amount"), "the column cid outside GROUP BY");
}

#[test]
fn constants_are_not_grouped_by_position() {
    assert_eq!(
        simple("SELECT 2 AS two, count(*) AS n FROM public.big GROUP BY 1::integer, 2"),
        "SELECT t1.key_2 AS two, count(*) AS n\n\
         FROM (\n    SELECT 1::integer AS key, 2 AS key_2\n    FROM public.big AS big\n  ) AS t1\n\
         GROUP BY t1.key, t1.key_2"
    );
}

#[test]
fn one_row_stays_one_row() {
    assert_eq!(
        simple("SELECT 1 AS one FROM (SELECT count(*) AS n FROM public.big) x"),
        "SELECT 1 AS one\nFROM public.big AS big\nHAVING true"
    );
}

#[test]
fn arms_of_a_union_get_its_types() {
    assert_eq!(
        simple("SELECT id FROM public.orders UNION ALL SELECT id FROM public.big"),
        "SELECT (orders.id)::bigint AS id\nFROM public.orders AS orders\n\
         UNION ALL\n\
         SELECT big.id\nFROM public.big AS big"
    );
}

#[test]
fn unions_of_unions_are_flat() {
    let arm = "SELECT cid FROM public.orders";
    let Plan::Distinct(distinct) =
        rewrite::simplify(bound(&format!("({arm} UNION {arm}) UNION ({arm} UNION ALL {arm})")).unwrap())
    else {
        panic!()
    };
    assert!(matches!(&distinct.input, Plan::UnionAll(union) if union.inputs.len() == 4));
}

#[test]
fn order_without_limit_is_dropped() {
    assert_eq!(simple("SELECT id FROM public.big ORDER BY id LIMIT ALL"), "SELECT big.id\nFROM public.big AS big");
}

#[test]
fn windows_are_one_operator_for_each_partition() {
    let sql = "SELECT id, sum((amount * 2::numeric)) OVER w AS s, rank() OVER (w ORDER BY id DESC) AS r,
            (count(*) OVER () + 1) AS n, row_number() OVER (PARTITION BY (cid % 2) ORDER BY id) AS p
        FROM public.orders WINDOW w AS (PARTITION BY cid)";
    assert_eq!(
        simple(sql),
        "SELECT\n  t2.id,\n  t2.sum AS s,\n  t2.rank AS r,\n  (t2.count + 1) AS n,\n  \
         row_number() OVER (PARTITION BY t2.key ORDER BY t2.id) AS p\n\
         FROM (\n    SELECT t1.id, t1.key, t1.sum, t1.rank, count(*) OVER () AS count\n    \
         FROM (\n        SELECT\n          orders.id,\n          (orders.cid % 2) AS key,\n          \
         sum((orders.amount * 2::numeric)) OVER (PARTITION BY orders.cid) AS sum,\n          \
         rank() OVER (PARTITION BY orders.cid ORDER BY orders.id DESC) AS rank\n        \
         FROM public.orders AS orders\n      ) AS t1\n  ) AS t2"
    );
}

#[test]
fn windows_look_at_groups() {
    assert_eq!(
        simple("SELECT cid, rank() OVER (ORDER BY (sum(amount)) DESC) AS r FROM public.orders GROUP BY cid"),
        "SELECT t1.cid, rank() OVER (ORDER BY t1.sum DESC) AS r\n\
         FROM (\n    SELECT orders.cid, sum(orders.amount) AS sum\n    \
         FROM public.orders AS orders\n    GROUP BY orders.cid\n  ) AS t1"
    );
}

#[test]
fn limits_order_by_what_is_not_shown() {
    assert_eq!(
        simple("SELECT cid FROM public.orders ORDER BY amount DESC, cid FETCH FIRST 3 ROWS WITH TIES"),
        "SELECT t1.cid\n\
         FROM (\n    SELECT orders.cid, orders.amount AS sort\n    FROM public.orders AS orders\n    \
         ORDER BY orders.amount DESC, orders.cid\n    FETCH FIRST (3) ROWS WITH TIES\n  ) AS t1"
    );
    assert_eq!(
        simple("(SELECT id FROM public.big UNION ALL SELECT id FROM public.big) ORDER BY 1 OFFSET 1 LIMIT 2"),
        "SELECT t1.id\n\
         FROM (\n    SELECT big.id\n    FROM public.big AS big\n    UNION ALL\n    \
         SELECT big_2.id\n    FROM public.big AS big_2\n  ) AS t1\nORDER BY t1.id\nOFFSET 1\nLIMIT 2"
    );
    assert_eq!(
        refused("SELECT id FROM public.big LIMIT (SELECT count(*) AS n FROM public.orders)"),
        "a LIMIT or OFFSET that is not a constant"
    );
}

#[test]
fn distinct_on_shows_the_first_of_each() {
    assert_eq!(
        simple("SELECT DISTINCT ON (cid) cid, id FROM public.orders ORDER BY cid, amount DESC"),
        "SELECT t2.cid, t2.id\n\
         FROM (\n    SELECT t1.cid, t1.id, t1.sort\n    \
         FROM (\n        SELECT\n          orders.cid,\n          orders.id,\n          \
         orders.amount AS sort,\n          \
         row_number() OVER (PARTITION BY orders.cid ORDER BY orders.cid, orders.amount DESC) AS place\n        \
         FROM public.orders AS orders\n      ) AS t1\n    WHERE (t1.place <= 1)\n  ) AS t2"
    );
}

#[test]
fn grouping_sets_are_arms() {
    let sql = "SELECT cid, GROUPING(cid, (id % 2)) AS g, sum(cid) AS s FROM public.orders
        GROUP BY ROLLUP(cid, (id % 2)) HAVING (count(*) > 1)";
    assert_eq!(
        simple(sql),
        "SELECT orders.cid, 0::integer AS g, sum(orders.cid) AS s\n\
         FROM public.orders AS orders\n\
         GROUP BY orders.cid, (orders.id % 2)\n\
         HAVING (count(*) > 1)\n\
         UNION ALL\n\
         SELECT orders_2.cid, 1::integer AS g, sum(orders_2.cid) AS s\n\
         FROM public.orders AS orders_2\n\
         GROUP BY orders_2.cid\n\
         HAVING (count(*) > 1)\n\
         UNION ALL\n\
         SELECT NULL::integer AS cid, 3::integer AS g, sum(orders_3.cid) AS s\n\
         FROM public.orders AS orders_3\n\
         HAVING (count(*) > 1)"
    );
}

/// The keys of each grouping set.
fn sets(group_by: &str) -> Vec<String> {
    let sql = format!("SELECT count(*) AS n FROM public.orders GROUP BY {group_by}");
    let ast::Body::Select(select) = canon::parse(&sql).unwrap().body else { panic!() };
    let keys = |set: grouping_sets::Set| {
        let names = set.present.into_iter().map(|key| print::expr(&key));
        names.collect::<Vec<_>>().join(" ")
    };
    grouping_sets::sets(&select.group_by, select.group_once).unwrap().into_iter().map(keys).collect()
}

#[test]
fn lists_of_grouping_sets_multiply() {
    assert_eq!(sets("id, ROLLUP(cid, amount)"), ["id cid amount", "id cid", "id"]);
    assert_eq!(sets("CUBE((id, cid), amount)"), ["id cid amount", "amount", "id cid", ""]);
    assert_eq!(sets("GROUPING SETS (id, (cid, amount), (), id)"), ["id", "cid amount", "", "id"]);
    assert_eq!(sets("ROLLUP(id), CUBE(cid)"), ["id cid", "id", "cid", ""]);
    assert_eq!(sets("DISTINCT ROLLUP(id, cid), ROLLUP(cid, id)"), ["id cid cid id", "id", "cid", ""]);
    assert_eq!(sets("()"), [""]);
    let many = "SELECT count(*) AS n FROM public.orders GROUP BY CUBE(id, cid, amount, (id + 1), (id + 2), (id + 3), (id + 4))";
    assert_eq!(refused(many), "more than 64 grouping sets");
}

#[test]
fn sides_of_a_set_operation_are_counted() {
    assert_eq!(
        simple("SELECT id FROM public.orders EXCEPT ALL SELECT cid FROM public.orders"),
        "SELECT t2.id\nFROM\n  (\n    SELECT\n      t1.id,\n      \
         count(*) FILTER (WHERE t1.is_left) AS lefts,\n      count(*) FILTER (WHERE t1.is_right) AS rights\n    \
         FROM (\n        SELECT orders.id, true AS is_left, false AS is_right\n        FROM public.orders AS orders\n        \
         UNION ALL\n        \
         SELECT orders_2.cid AS id, false AS is_left, true AS is_right\n        FROM public.orders AS orders_2\n      ) AS t1\n    \
         GROUP BY t1.id\n  ) AS t2,\n  \
         LATERAL generate_series(1::bigint, (t2.lefts - t2.rights)) AS generate_series(copy)"
    );
    assert_eq!(
        simple("SELECT id FROM public.orders INTERSECT SELECT id FROM public.big"),
        "SELECT t1.id\nFROM (\n    \
         SELECT (orders.id)::bigint AS id, true AS is_left, false AS is_right\n    FROM public.orders AS orders\n    \
         UNION ALL\n    \
         SELECT big.id, false AS is_left, true AS is_right\n    FROM public.big AS big\n  ) AS t1\n\
         GROUP BY t1.id\n\
         HAVING (count(*) FILTER (WHERE t1.is_left) > 0) AND (count(*) FILTER (WHERE t1.is_right) > 0)"
    );
}

#[test]
fn functions_of_a_row_are_part_of_it() {
    assert_eq!(
        simple("SELECT o.id, g.n FROM public.orders o, LATERAL generate_series(1, o.cid) g(n) WHERE (o.id < 9)"),
        "SELECT orders.id, generate_series.n\n\
         FROM public.orders AS orders, LATERAL generate_series(1, orders.cid) AS generate_series(n)\n\
         WHERE (orders.id < 9)"
    );
    assert_eq!(
        simple(
            "SELECT o.id, g.n, g.place FROM (public.orders o
              LEFT JOIN LATERAL generate_series(1, o.cid) WITH ORDINALITY g(n, place) ON (true))"
        ),
        "SELECT orders.id, generate_series.n, generate_series.place\n\
         FROM public.orders AS orders\n  \
         LEFT JOIN LATERAL generate_series(1, orders.cid) WITH ORDINALITY AS generate_series(n, place) ON true"
    );
    assert_eq!(
        simple(
            "SELECT o.id, x.twice FROM public.orders o, LATERAL ( SELECT (g.n * 2) AS twice
               FROM generate_series(1, o.cid) g(n) WHERE (g.n > o.id)) x"
        ),
        "SELECT orders.id, (generate_series.n * 2) AS twice\n\
         FROM public.orders AS orders, LATERAL generate_series(1, orders.cid) AS generate_series(n)\n\
         WHERE (generate_series.n > orders.id)"
    );
    assert_eq!(
        simple("SELECT o.id, g.n FROM (public.orders o JOIN generate_series(1, 3) g(n) ON ((g.n = o.cid)))"),
        "SELECT orders.id, generate_series.n\n\
         FROM public.orders AS orders, generate_series(1, 3) AS generate_series(n)\n\
         WHERE (generate_series.n = orders.cid)"
    );
}

#[test]
fn calls_that_return_sets_stay_in_a_list_of_their_own() {
    assert_eq!(
        simple("SELECT x.n FROM ( SELECT public.spread(o.id) AS n FROM public.orders o) x WHERE (x.n > 1)"),
        "SELECT t1.n\nFROM (\n    SELECT public.spread(orders.id) AS n\n    FROM public.orders AS orders\n  ) AS t1\n\
         WHERE (t1.n > 1)"
    );
    assert_eq!(
        simple("SELECT public.spread(id) AS n, count(*) AS c FROM public.orders GROUP BY (public.spread(id))"),
        "SELECT t1.key AS n, count(*) AS c\nFROM (\n    SELECT public.spread(orders.id) AS key\n    \
         FROM public.orders AS orders\n  ) AS t1\nGROUP BY t1.key"
    );
}

#[test]
fn what_is_refused() {
    let from = "FROM public.orders";
    for (sql, construct) in [
        ("SELECT o.id FROM ONLY public.orders o", "ONLY"),
        (
            &format!("SELECT cid, rank() OVER (ORDER BY cid) AS r {from} GROUP BY ROLLUP(cid)"),
            "a window function in a query with several grouping sets",
        ),
        (&format!("SELECT o.*::public.orders AS o {from} o"), "a whole row used as a value"),
        (&format!("SELECT ctid {from}"), "the system column ctid"),
        (&format!("SELECT CURRENT_DATE AS d {from}"), "CURRENT_DATE"),
        (
            "WITH RECURSIVE t(n) AS (SELECT u.n FROM u), u(n) AS (SELECT 1 AS n) SELECT t.n FROM t",
            "the recursive query u",
        ),
    ] {
        assert_eq!(refused(sql), construct, "{sql}");
    }
}
