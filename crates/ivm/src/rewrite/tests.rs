//! `law_*`: simplified plans mean the same.

use proptest::prelude::*;

use super::simplify;
use crate::eval::eval;
use crate::plan::{Expr, Ids, Plan, Scan};
use crate::sql::ident::Ident;
use crate::testing::{self, arb_plan, arb_tables};

proptest! {
    #![proptest_config(testing::cases(400))]

    #[test]
    fn law_simplify_keeps_rows_and_columns(plan in arb_plan(4), tables in arb_tables()) {
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

/// Each projection alone may be put into the condition, all together are large.
#[test]
fn a_condition_over_many_projections_keeps_no_column_of_them() {
    let ids = &mut Ids::default();
    let input = |ids: &mut Ids| {
        let a = ids.column("a");
        let scan = Plan::Scan(Scan { relation: testing::source("s"), columns: vec![(a.clone(), Ident::new("a"))] });
        let many = Expr::call("coalesce", vec![a.expr(); 400]);
        scan.project(vec![(ids.column("x"), many)])
    };
    let inputs = vec![input(ids), input(ids), input(ids)];
    let total = inputs.iter().map(|input| input.columns()[0].expr()).reduce(|l, r| Expr::binary("+", l, r)).unwrap();
    let plan = Plan::join(inputs, vec![Expr::binary(">", total, Expr::number(0))]);
    let row = |a: i32| vec![a.into()];
    let table = crate::eval::Table { columns: vec![Ident::new("a")], rows: vec![row(1), row(-900)] };
    let tables = [(testing::source("s"), table)].into();
    assert_eq!(eval(&simplify(plan.clone()), &tables).unwrap(), eval(&plan, &tables).unwrap());
}
