//! `law_*`: simplified plans mean the same.

use proptest::prelude::*;

use super::simplify;
use crate::eval::eval;
use crate::testing::{self, arb_plan, arb_tables};

proptest! {
    #![proptest_config(testing::cases(400))]

    #[test]
    fn law_simplify_keeps_rows_and_columns(sample in arb_plan(4), tables in arb_tables()) {
        let simple = simplify(sample.plan.clone());
        prop_assert_eq!(simple.columns(), sample.plan.columns());
        prop_assert_eq!(eval(&simple, &tables).unwrap(), eval(&sample.plan, &tables).unwrap(), "{:#?}", simple);
    }

    #[test]
    fn law_simplify_is_idempotent(sample in arb_plan(4)) {
        let simple = simplify(sample.plan);
        prop_assert_eq!(simplify(simple.clone()), simple);
    }
}
