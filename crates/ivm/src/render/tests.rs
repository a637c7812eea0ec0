//! What plans look like as SQL, and that the SQL means the plan.

use proptest::prelude::*;

use super::*;
use crate::plan::{AggregateCall, Column, Distinct, Expr, Ids, Scan};
use crate::sql::print;
use crate::testing::eval::eval;
use crate::testing::random::{self, arb_plan, arb_tables, catalog, source};
use crate::{bind, canon};

fn name(relation: &Relation) -> QName {
    match relation {
        Relation::Source(name) => name.clone(),
        Relation::Step(name) => QName { schema: None, name: name.clone() },
        _ => QName::bare("none"),
    }
}

fn text(plan: &Plan) -> String {
    print::query(&query(plan, &name).unwrap())
}

proptest! {
    #![proptest_config(random::cases(500))]

    #[test]
    fn law_the_query_means_the_plan(plan in arb_plan(4), tables in arb_tables()) {
        let sql = text(&plan);
        let read = bind::bind(&canon::parse(&sql).unwrap(), &catalog(), &mut Ids::default()).unwrap();
        prop_assert_eq!(eval(&read, &tables).unwrap(), eval(&plan, &tables).unwrap(), "{}", sql);
    }
}

fn scan(ids: &mut Ids, table: &str, columns: &[&str]) -> Plan {
    let columns = columns.iter().map(|name| (ids.column(*name), Ident::new(*name))).collect();
    Plan::Scan(Scan { relation: source(table), columns })
}

fn at(plan: &Plan, place: usize) -> Column {
    plan.columns().remove(place)
}

#[test]
fn a_self_join_numbers_its_aliases_and_columns() {
    let ids = &mut Ids::default();
    let (l, r) = (scan(ids, "s", &["a", "d"]), scan(ids, "s", &["a"]));
    let equal = Expr::equals(at(&l, 0).expr(), at(&r, 0).expr());
    assert_eq!(
        text(&Plan::join(vec![l, r], vec![equal])),
        "SELECT s.a, s.d, s_2.a AS a_2\nFROM public.s AS s, public.s AS s_2\nWHERE (s.a = s_2.a)"
    );
}

#[test]
fn a_left_join_keeps_conditions_on_its_side() {
    let ids = &mut Ids::default();
    let (l, r) = (scan(ids, "s", &["a", "d"]), scan(ids, "u", &["id"]));
    let (a, id) = (at(&l, 0).expr(), at(&r, 0).expr());
    let l = l.filter(Expr::binary(">", a.clone(), Expr::number(1)));
    let r = r.filter(Expr::binary("<", id.clone(), Expr::number(9)));
    assert_eq!(
        text(&l.left_join(r, Expr::equals(a, id))),
        "SELECT s.a, s.d, u.id\n\
         FROM public.s AS s\n  LEFT JOIN public.u AS u ON ((u.id < 9) AND (s.a = u.id))\n\
         WHERE (s.a > 1)"
    );
}

#[test]
fn a_computed_column_of_the_null_side_is_computed_below() {
    let ids = &mut Ids::default();
    let (l, r) = (scan(ids, "s", &["a"]), scan(ids, "u", &["id"]));
    let (a, id) = (at(&l, 0).expr(), at(&r, 0));
    let r = r.project(vec![id.pass(), (ids.column("one"), Expr::number(1))]);
    assert_eq!(
        text(&l.left_join(r, Expr::equals(a, id.expr()))),
        "SELECT s.a, t1.id, t1.one\n\
         FROM public.s AS s\n  LEFT JOIN (\n    SELECT u.id, 1 AS one\n    FROM public.u AS u\n  ) AS t1 ON (s.a = t1.id)"
    );
}

#[test]
fn a_distinct_below_a_join_is_a_subquery() {
    let ids = &mut Ids::default();
    let (l, r) = (scan(ids, "s", &["a"]), scan(ids, "u", &["id"]));
    let equal = Expr::equals(at(&l, 0).expr(), at(&r, 0).expr());
    let l = Plan::Distinct(Box::new(Distinct { input: l }));
    assert_eq!(
        text(&Plan::join(vec![l, r], vec![equal])),
        "SELECT t1.a, u.id\n\
         FROM\n  (\n    SELECT DISTINCT s.a\n    FROM public.s AS s\n  ) AS t1,\n  public.u AS u\n\
         WHERE (t1.a = u.id)"
    );
}

#[test]
fn values_are_a_list_in_from() {
    let ids = &mut Ids::default();
    let columns = vec![ids.column("a"), ids.column("a")];
    let row = |n| vec![Expr::number(n), Expr::null().cast("integer")];
    let rows = vec![row(1), row(2)];
    assert_eq!(
        text(&Plan::Values(Values { columns: columns.clone(), rows })),
        "SELECT t1.a, t1.a_2\nFROM (\n    VALUES (1, NULL::integer), (2, NULL::integer)\n  ) AS t1(a, a_2)"
    );
    assert_eq!(text(&Plan::Values(Values { columns, rows: vec![row(1)] })), "SELECT 1 AS a, NULL::integer AS a_2");
}

#[test]
fn a_direct_argument_stays_a_constant() {
    let ids = &mut Ids::default();
    let arm = |ids: &mut Ids| {
        let s = scan(ids, "s", &["a"]);
        let (a, half) = (at(&s, 0), ids.column("half"));
        let fed = vec![a.id, half.id];
        (s.project(vec![a.pass(), (half, Expr::string("0.5").cast("double precision"))]), fed)
    };
    let inputs = vec![arm(ids), arm(ids)];
    let columns = vec![ids.column("a"), ids.column("half")];
    let union = Plan::UnionAll(UnionAll { columns: columns.clone(), inputs });
    let mut call = AggregateCall::new(ids.column("median"), "percentile_cont", vec![columns[1].id]);
    call.within_group = vec![crate::plan::Order::ascending(columns[0].expr())];
    assert_eq!(
        text(&union.aggregate(vec![], vec![call])).lines().next(),
        Some("SELECT percentile_cont('0.5'::double precision) WITHIN GROUP (ORDER BY t1.a) AS median")
    );
}

#[test]
fn a_semi_join_sees_the_row_around_it() {
    let ids = &mut Ids::default();
    let (s, u) = (scan(ids, "s", &["a"]), scan(ids, "u", &["id"]));
    let same = Expr::not_distinct(at(&s, 0).expr(), at(&u, 0).expr());
    let s = s.filter(Expr::Exists(Box::new(u.filter(same))));
    assert_eq!(
        text(&s),
        "SELECT s.a\nFROM public.s AS s\n\
         WHERE (EXISTS (\n    SELECT u.id\n    FROM public.u AS u\n    WHERE (NOT (s.a IS DISTINCT FROM u.id))\n  ))"
    );
}

#[test]
fn repeated_projections_do_not_multiply() {
    let ids = &mut Ids::default();
    let mut plan = scan(ids, "s", &["a"]);
    for _ in 0..30 {
        let x = at(&plan, 0).expr();
        plan = plan.project(vec![(ids.column("x"), Expr::binary("+", x.clone(), x))]);
    }
    assert!(text(&plan).len() < 100_000);
    assert!(text(&crate::rewrite::simplify(plan)).len() < 100_000);
}
