//! `law_*`: a query without its subqueries means the same.

use proptest::prelude::*;

use super::unnest;
use crate::plan::Ids;
use crate::rewrite::simplify;
use crate::testing::eval::{Tables, eval};
use crate::testing::random::{self, arb_tables, catalog};
use crate::{bind, canon};

/// Over `r(a, b, t, x)`, `s(a, d not null)` and `u(id key, e)`, as PostgreSQL prints them.
const QUERIES: [&str; 73] = [
    "SELECT r.a FROM public.r WHERE (EXISTS ( SELECT 1 FROM public.s WHERE (s.a = r.a)))",
    "SELECT r.a FROM public.r WHERE (NOT (EXISTS ( SELECT 1 FROM public.s WHERE ((s.a = r.a) AND (s.d > 1)))))",
    "SELECT r.a FROM public.r WHERE (EXISTS ( SELECT 1 FROM public.s WHERE ((s.a = r.a) AND (s.d <> r.b))))",
    "SELECT r.a FROM public.r WHERE (EXISTS ( SELECT 1 FROM public.s WHERE (s.a < r.a)))",
    "SELECT r.a FROM public.r WHERE (EXISTS ( SELECT 1 FROM public.s WHERE (s.d = 2)))",
    "SELECT r.a FROM public.r WHERE (r.a IN ( SELECT s.a FROM public.s))",
    "SELECT r.a FROM public.r WHERE (r.a IN ( SELECT s.a FROM public.s WHERE (s.d = r.b)))",
    "SELECT r.a FROM public.r WHERE (NOT (r.a IN ( SELECT s.a FROM public.s)))",
    "SELECT r.a FROM public.r WHERE (NOT (r.a IN ( SELECT s.d FROM public.s)))",
    "SELECT u.id FROM public.u WHERE (NOT (u.id IN ( SELECT s.a FROM public.s)))",
    "SELECT u.id FROM public.u WHERE (NOT (u.id IN ( SELECT s.d FROM public.s)))",
    "SELECT r.a FROM public.r WHERE (NOT (r.a IN ( SELECT s.a FROM public.s WHERE (s.d = r.b))))",
    "SELECT r.a FROM public.r WHERE ((r.a, r.b) IN ( SELECT s.a, s.d FROM public.s))",
    "SELECT r.a FROM public.r WHERE (NOT ((r.a, r.b) IN ( SELECT s.a, s.d FROM public.s)))",
    "SELECT r.a FROM public.r WHERE (r.a > ANY ( SELECT s.a FROM public.s))",
    "SELECT r.a FROM public.r WHERE (r.a >= ALL ( SELECT s.a FROM public.s WHERE (s.d = r.b)))",
    "SELECT r.a FROM public.r WHERE (r.a <> ALL ( SELECT s.a FROM public.s))",
    "SELECT r.a FROM public.r WHERE ((r.b = 1) OR (EXISTS ( SELECT 1 FROM public.s WHERE (s.a = r.a))))",
    "SELECT r.a FROM public.r WHERE ((r.b = 1) OR (NOT (EXISTS ( SELECT 1 FROM public.s WHERE (s.d = 3)))))",
    "SELECT r.a FROM public.r WHERE ((r.b = 1) OR (r.a IN ( SELECT s.a FROM public.s)))",
    "SELECT r.a, (r.a IN ( SELECT s.a FROM public.s)) AS i FROM public.r",
    "SELECT r.a, (r.a IN ( SELECT s.a FROM public.s WHERE (s.d = r.b))) AS i FROM public.r",
    "SELECT r.a, (r.a <> ALL ( SELECT s.d FROM public.s)) AS i FROM public.r",
    "SELECT r.a, CASE WHEN (EXISTS ( SELECT 1 FROM public.s WHERE (s.a = r.a))) THEN 1 ELSE 2 END AS c FROM public.r",
    "SELECT r.a, ( SELECT max(s.d) AS max FROM public.s) AS m FROM public.r",
    "SELECT r.a, ( SELECT max(s.d) AS max FROM public.s WHERE (s.a = r.a)) AS m FROM public.r",
    "SELECT r.a, ( SELECT count(*) AS count FROM public.s WHERE (s.a = r.a)) AS m FROM public.r",
    "SELECT r.a, ( SELECT (count(*) + count(s.a)) AS n FROM public.s WHERE ((s.a = r.a) AND (s.d = r.b))) AS m FROM public.r",
    "SELECT r.a, ( SELECT u.e FROM public.u WHERE (u.id = r.a)) AS m FROM public.r",
    "SELECT r.a, ( SELECT (u.e + r.b) AS e FROM public.u WHERE (u.id = r.a)) AS m FROM public.r",
    "SELECT r.a, ( SELECT r.b FROM public.u WHERE (u.id = r.a)) AS m FROM public.r",
    "SELECT r.a FROM public.r WHERE (r.a > ( SELECT min(s.a) AS min FROM public.s WHERE (s.d = r.b)))",
    "SELECT r.a, sum(r.b) AS n FROM public.r GROUP BY r.a HAVING (sum(r.b) > ( SELECT min(s.d) AS min FROM public.s))",
    "SELECT r.a, count(*) AS n FROM public.r GROUP BY r.a HAVING (EXISTS ( SELECT 1 FROM public.s WHERE (s.a = r.a)))",
    "SELECT u.id FROM public.u WHERE (u.id IN ( SELECT s.a FROM public.s WHERE (s.d > ( SELECT max(r.b) AS max FROM public.r WHERE (r.a = s.a)))))",
    "SELECT r.a, x.d FROM (public.r CROSS JOIN LATERAL ( SELECT s.d FROM public.s WHERE (s.a = r.a)) x)",
    "SELECT r.a, x.n FROM (public.r CROSS JOIN LATERAL ( SELECT count(*) AS n FROM public.s WHERE (s.a = r.a)) x)",
    "SELECT r.a, x.d FROM (public.r LEFT JOIN LATERAL ( SELECT (s.d + r.b) AS d FROM public.s WHERE (s.a = r.a)) x ON ((x.d > 1)))",
    "SELECT r.a, u.e FROM (public.r LEFT JOIN public.u ON (((u.id = r.a) AND (u.e IN ( SELECT s.d FROM public.s)))))",
    "SELECT r.a, s.d FROM (public.r FULL JOIN public.s ON ((r.a = s.a)))",
    "SELECT r.a, ( SELECT count(*) AS count FROM public.s WHERE (s.d > r.a)) AS m FROM public.r",
    "SELECT r.a, ( SELECT sum(s.a) AS max FROM public.s WHERE ((s.d >= r.a) AND (s.a <> r.b))) AS m FROM public.r",
    "SELECT r.a, ( SELECT (count(*) + count(s.a)) AS n FROM public.s WHERE ((s.a = r.a) AND (s.d < r.b))) AS m FROM public.r",
    "SELECT r.a, ( SELECT sum((s.d * u.id)) AS sum FROM public.s WHERE (s.a = u.e)) AS m FROM public.r JOIN public.u ON ((u.id = r.b))",
    "SELECT u.id, ( SELECT sum((s.d + u.id)) AS sum FROM public.s) AS m FROM public.u",
    "SELECT u.id, ( SELECT s.d FROM public.s WHERE (s.a = u.id) ORDER BY s.d, s.a LIMIT 1) AS m FROM public.u",
    "SELECT u.id FROM public.u WHERE (u.id > ( SELECT count(DISTINCT s.d) AS count FROM public.s WHERE (s.a > u.e)))",
    "SELECT r.a FROM public.r WHERE ((r.b = 1) OR (EXISTS ( SELECT 1 FROM public.s WHERE (s.a > r.a))))",
    "SELECT r.a FROM public.r WHERE ((r.b = 1) OR (NOT (EXISTS ( SELECT 1 FROM public.s WHERE ((s.a > r.a) AND (s.d = r.b))))))",
    "SELECT r.a, (r.a IN ( SELECT s.d FROM public.s WHERE (s.a < r.b))) AS i FROM public.r",
    "SELECT r.a, x.n, x.m FROM (public.r CROSS JOIN LATERAL ( SELECT count(*) AS n, min(s.d) AS m FROM public.s WHERE (s.a < r.a)) x)",
    "SELECT u.id, x.d FROM (public.u LEFT JOIN LATERAL ( SELECT (s.d + u.id) AS d FROM public.s WHERE (s.a = u.e) ORDER BY (s.d + u.id) LIMIT 2) x ON (true))",
    "SELECT u.id, x.d FROM (public.u CROSS JOIN LATERAL ( SELECT DISTINCT (s.d + u.id) AS d FROM public.s WHERE (s.a < u.e)) x)",
    "SELECT r.a, sum(r.b) AS n FROM public.r GROUP BY r.a HAVING (sum(r.b) > ( SELECT count(*) AS count FROM public.s WHERE (s.d < r.a)))",
    "SELECT r.a, ( SELECT count(*) AS count FROM public.s WHERE ((s.d > r.a) OR (s.a < r.a))) AS m, ( SELECT count(*) AS count FROM public.u WHERE (u.e > r.b)) AS k FROM public.r",
    "SELECT r.a FROM public.r WHERE (EXISTS ( SELECT s.d FROM public.s WHERE (s.a > r.a) GROUP BY s.d HAVING (count(*) > 1)))",
    "SELECT r.a FROM public.r WHERE ((r.b = 1) OR (r.a > ALL ( SELECT s.a FROM public.s)))",
    "SELECT r.a, (r.a <= ALL ( SELECT s.d FROM public.s WHERE (s.a = r.b))) AS i FROM public.r",
    "SELECT r.a, (r.a > ANY ( SELECT s.a FROM public.s)) AS i, (r.a <> ANY ( SELECT s.d FROM public.s)) AS j FROM public.r",
    "SELECT r.a, (r.a = ALL ( SELECT s.a FROM public.s WHERE (s.d > r.b))) AS i FROM public.r",
    "SELECT u.id, (NOT ((u.id + 1) < ALL ( SELECT s.d FROM public.s WHERE (s.a <> u.e)))) AS i FROM public.u",
    "SELECT u.id, ((u.id, u.id) IN ( SELECT s.d, (s.d + 1) FROM public.s)) AS i FROM public.u",
    "SELECT u.id, ((u.id, u.id) IN ( SELECT s.d, w.id FROM public.s, public.u w WHERE (w.id = s.a))) AS i FROM public.u",
    "SELECT r.a, ( SELECT count(*) AS count FROM public.s WHERE (((s.a = r.a) AND (s.d > 1)) OR ((s.a = r.a) AND (s.d < r.b)))) AS n FROM public.r",
    "SELECT r.a FROM public.r WHERE (( SELECT count(*) AS count FROM public.s WHERE (((s.a = r.a) AND (s.d > 1)) OR (s.a = r.a))) > 1)",
    "SELECT r.a, ARRAY( SELECT s.d FROM public.s WHERE (s.a = r.a) ORDER BY s.d, s.a) AS ds FROM public.r",
    "SELECT u.id, ARRAY( SELECT s.d FROM public.s WHERE (s.d > u.e) ORDER BY s.d DESC) AS ds FROM public.u",
    "SELECT r.a, ARRAY( SELECT u.id FROM public.u ORDER BY u.id) AS ids FROM public.r",
    "SELECT r.a, x.t, x.d FROM (public.r CROSS JOIN LATERAL ( SELECT r.x AS t, s.d FROM public.s WHERE (s.a = r.a) ORDER BY s.d, s.a LIMIT 1) x)",
    "SELECT r.a, x.t, x.n FROM (public.r LEFT JOIN LATERAL ( SELECT r.x AS t, count(*) AS n FROM public.s WHERE (s.a < r.a) GROUP BY r.x) x ON (true))",
    "SELECT r.a, x.t, x.d FROM (public.r LEFT JOIN LATERAL ( SELECT DISTINCT r.x AS t, s.d FROM public.s WHERE (s.a = r.b)) x ON ((x.d > 1)))",
    "SELECT r.a, x.t, x.n FROM (public.r CROSS JOIN LATERAL ( SELECT r.b AS t, count(*) AS n FROM public.s GROUP BY r.b) x)",
    "SELECT r.a, x.t, x.n FROM (public.r CROSS JOIN LATERAL ( SELECT (r.x + s.d) AS t, rank() OVER (ORDER BY s.d) AS n FROM public.s WHERE (s.a >= r.a)) x)",
];

/// Subqueries that may have several rows, which is an error where one is read.
const GUARDED: [&str; 5] = [
    "SELECT r.a, ( SELECT s.d FROM public.s WHERE (s.a = r.a)) AS one FROM public.r",
    "SELECT r.a, ( SELECT s.a FROM public.s WHERE (s.a = r.a)) AS one FROM public.r",
    "SELECT r.a, ( SELECT (s.d + r.b) AS d FROM public.s WHERE ((s.a = r.a) AND (s.d > 1))) AS one FROM public.r",
    "SELECT r.a FROM public.r WHERE ((r.b = 1) OR (r.a > ( SELECT s.d FROM public.s WHERE (s.a > r.b))))",
    "SELECT r.a, ( SELECT s.d FROM public.s) AS one FROM public.r",
];

/// LATERAL queries that pass on columns of their neighbours, each with a query of the same rows that does not.
const PASSED: [[&str; 2]; 4] = [
    [
        "SELECT r.a, r.b, x.b AS xb, x.d FROM (public.r LEFT JOIN LATERAL ( SELECT r.b, s.d FROM public.s WHERE (s.a = r.a)) x ON (true))",
        "SELECT r.a, r.b, CASE WHEN (s.d IS NOT NULL) THEN r.b ELSE NULL::integer END AS xb, s.d FROM (public.r LEFT JOIN public.s ON ((s.a = r.a)))",
    ],
    [
        "SELECT r.b, x.b AS xb, x.n FROM (public.r LEFT JOIN LATERAL ( SELECT r.b, count(*) AS n FROM public.s WHERE (s.a = r.a)) x ON (true))",
        "SELECT r.b, r.b AS xb, ( SELECT count(*) AS count FROM public.s WHERE (s.a = r.a)) AS n FROM public.r",
    ],
    [
        "SELECT r.b, x.b AS xb, x.d FROM (public.r CROSS JOIN LATERAL ( SELECT r.b, s.d FROM public.s WHERE (s.a = r.a)) x)",
        "SELECT r.b, r.b AS xb, s.d FROM public.r, public.s WHERE (s.a = r.a)",
    ],
    [
        "SELECT r.b, x.b AS xb, x.c, x.e FROM (public.r LEFT JOIN LATERAL ( SELECT r.b, y.b AS c, y.e FROM (public.s LEFT JOIN LATERAL ( SELECT s.d AS b, u.e FROM public.u WHERE (u.id = s.d)) y ON (true)) WHERE (s.a = r.a)) x ON (true))",
        "SELECT r.b, CASE WHEN (x.d IS NOT NULL) THEN r.b ELSE NULL::integer END AS xb, x.b AS c, x.e FROM (public.r LEFT JOIN ( SELECT s.a, s.d, u.id AS b, u.e FROM (public.s LEFT JOIN public.u ON ((u.id = s.d)))) x ON ((x.a = r.a)))",
    ],
];

#[test]
fn lateral_queries_give_outer_columns_ids_of_their_own() {
    let mut runner = proptest::test_runner::TestRunner::new(random::cases(100));
    let bound = |sql: &str| {
        let mut ids = Ids::default();
        let plan = bind::bind(&canon::parse(sql).unwrap(), &catalog(), &mut ids).unwrap();
        simplify(unnest(plan, &catalog(), &mut ids).unwrap())
    };
    for [lateral, plain] in PASSED.map(|pair| pair.map(bound)) {
        let same = |tables: Tables| {
            prop_assert_eq!(eval(&lateral, &tables).unwrap(), eval(&plain, &tables).unwrap(), "{:#?}", lateral);
            Ok(())
        };
        runner.run(&arb_tables(), same).unwrap();
    }
}

fn check(tables: &Tables) -> Result<(), TestCaseError> {
    for sql in QUERIES {
        let mut ids = Ids::default();
        let bound = bind::bind(&canon::parse(sql).unwrap(), &catalog(), &mut ids).unwrap();
        let joined = unnest(bound.clone(), &catalog(), &mut ids).unwrap();
        prop_assert_eq!(joined.columns(), bound.columns());
        let expected = eval(&bound, tables).unwrap();
        prop_assert_eq!(&eval(&joined, tables).unwrap(), &expected, "{}\n{:#?}", sql, joined);
        prop_assert_eq!(&eval(&simplify(joined), tables).unwrap(), &expected, "{}", sql);
    }
    Ok(())
}

fn check_guards(tables: &Tables) -> Result<(), TestCaseError> {
    for sql in GUARDED {
        let mut ids = Ids::default();
        let bound = bind::bind(&canon::parse(sql).unwrap(), &catalog(), &mut ids).unwrap();
        let joined = unnest(bound.clone(), &catalog(), &mut ids).unwrap();
        match (eval(&bound, tables), eval(&joined, tables)) {
            (Ok(expected), Ok(found)) => prop_assert_eq!(&found, &expected, "{}\n{:#?}", sql, joined),
            (Err(_), Err(_)) => {}
            (expected, found) => prop_assert!(false, "{}: {:?} is not {:?}", sql, found, expected),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(random::cases(200))]

    #[test]
    fn law_guarded_values_are_values(tables in arb_tables()) {
        check_guards(&tables)?;
    }

    #[test]
    fn law_subqueries_are_joins(tables in arb_tables()) {
        check(&tables)?;
    }
}
