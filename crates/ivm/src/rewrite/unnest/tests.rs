//! `law_*`: a query without its subqueries means the same.

use proptest::prelude::*;

use super::unnest;
use crate::eval::{Tables, eval};
use crate::plan::Ids;
use crate::rewrite::simplify;
use crate::testing::{self, arb_tables, catalog};
use crate::{bind, canon};

/// Over `r(a, b, t, x)`, `s(a, d not null)` and `u(id key, e)`, as PostgreSQL prints them.
const QUERIES: [&str; 40] = [
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
];

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

proptest! {
    #![proptest_config(testing::cases(200))]

    #[test]
    fn law_subqueries_are_joins(tables in arb_tables()) {
        check(&tables)?;
    }
}
