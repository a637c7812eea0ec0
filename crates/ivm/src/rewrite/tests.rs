//! `law_*`: rewritten plans have the same rows.

use proptest::prelude::*;

use super::restrict::restrict;
use super::simplify;
use crate::plan::{AggregateCall, Column, Expr, Ids, Plan, Scan};
use crate::sql::ident::Ident;
use crate::testing::eval::eval;
use crate::testing::random::{self, arb_plan, arb_tables};

proptest! {
    #![proptest_config(random::cases(400))]

    #[test]
    fn law_simplify_retains_rows_and_columns(plan in arb_plan(4), tables in arb_tables()) {
        let simple = simplify(plan.clone());
        prop_assert_eq!(simple.columns(), plan.columns());
        prop_assert_eq!(eval(&simple, &tables).unwrap(), eval(&plan, &tables).unwrap(), "{:#?}", simple);
    }

    #[test]
    fn law_simplify_is_idempotent(plan in arb_plan(4)) {
        let simple = simplify(plan);
        prop_assert_eq!(simplify(simple.clone()), simple);
    }
}

/// A table, joined with `s` or not, grouped by `a`, and joined with a key of `u`, which is filtered.
fn restrictable(table: &str, key: &str, (wide, few): (bool, bool), ids: &mut Ids) -> Plan {
    let mut scan = |table: &str, names: &[&str]| -> (Vec<Column>, Plan) {
        let columns: Vec<(Column, Ident)> = names.iter().map(|name| (ids.column(*name), Ident::new(*name))).collect();
        let own = columns.iter().map(|(column, _)| column.clone()).collect();
        (own, Plan::Scan(Scan { relation: random::source(table), columns }))
    };
    let ((grouped, rows), (again, more)) = (scan(table, &["a"]), scan("s", &["a", "d"]));
    let (keys, u) = scan("u", &["id", "e"]);
    let rows = match wide {
        true => Plan::join(vec![rows, more], vec![Expr::equals(grouped[0].expr(), again[0].expr())]),
        false => rows,
    };
    let count = AggregateCall::new(ids.column("n"), "count", vec![]);
    let n = count.column.expr();
    let groups = rows.aggregate(vec![grouped[0].clone()], vec![count]);
    let compared =
        Expr::equals(keys.iter().find(|column| column.name == Ident::new(key)).unwrap().expr(), grouped[0].expr());
    let filter = Expr::binary(if few { "=" } else { "<" }, keys[1].expr(), Expr::number(1));
    Plan::join(vec![groups, u], vec![compared, filter, Expr::binary("<", n, Expr::number(3))])
}

proptest! {
    #![proptest_config(random::cases(200))]

    #[test]
    fn law_restricted_aggregate_has_equal_rows(
        tables in arb_tables(), shape in any::<(bool, bool)>(), third in any::<bool>(), read in 0..3usize
    ) {
        let ids = &mut Ids::default();
        let mut plan = restrictable("r", "id", shape, ids);
        let columns = plan.columns();
        if third {
            let other = ids.column("a");
            let s = Plan::Scan(Scan { relation: random::source("s"), columns: vec![(other.clone(), Ident::new("a"))] });
            plan = Plan::join(vec![plan, s], vec![Expr::equals(columns[2].expr(), other.expr())]);
        }
        // All columns, or those that the groups have too, or a number.
        plan = match read {
            0 => plan,
            1 => plan.project(columns[1..3].iter().map(Column::pass).collect()),
            _ => plan.project(vec![columns[1].pass()]),
        };
        let simple = simplify(plan.clone());
        let restricted = restrict(simple.clone(), &random::catalog(), ids).unwrap();
        prop_assert_ne!(&restricted, &simple);
        let mut u = 0;
        restricted.scans(&mut |scan| u += usize::from(scan.relation == random::source("u")));
        prop_assert_eq!(u, if read == 0 { 2 } else { 1 });
        for rewritten in [simplify(restricted.clone()), restricted] {
            prop_assert_eq!(rewritten.columns(), plan.columns());
            prop_assert_eq!(eval(&rewritten, &tables).unwrap(), eval(&plan, &tables).unwrap(), "{:#?}", rewritten);
        }
    }
}

#[test]
fn no_restriction_without_index_or_key() {
    let ids = &mut Ids::default();
    for (table, key) in [("s", "id"), ("r", "e")] {
        let plan = restrictable(table, key, (false, true), ids);
        assert_eq!(restrict(plan.clone(), &random::catalog(), ids).unwrap(), plan, "{table} by {key}");
    }
}

/// Each projection alone could be substituted into the condition, all together are too large.
#[test]
fn condition_over_large_projections_is_correct() {
    let ids = &mut Ids::default();
    let input = |ids: &mut Ids| {
        let a = ids.column("a");
        let scan = Plan::Scan(Scan { relation: random::source("s"), columns: vec![(a.clone(), Ident::new("a"))] });
        let many = Expr::call("coalesce", vec![a.expr(); 400]);
        scan.project(vec![(ids.column("x"), many)])
    };
    let inputs = vec![input(ids), input(ids), input(ids)];
    let total = inputs.iter().map(|input| input.columns()[0].expr()).reduce(|l, r| Expr::binary("+", l, r)).unwrap();
    let plan = Plan::join(inputs, vec![Expr::binary(">", total, Expr::number(0))]);
    let row = |a: i32| vec![a.into()];
    let table = crate::testing::eval::Table { columns: vec![Ident::new("a")], rows: vec![row(1), row(-900)] };
    let tables = [(random::source("s"), table)].into();
    assert_eq!(eval(&simplify(plan.clone()), &tables).unwrap(), eval(&plan, &tables).unwrap());
}
