//! `law_*`: facts hold on random plans over random tables.

use proptest::prelude::*;

use super::*;
use crate::testing::eval::eval;
use crate::testing::random::{self, arb_plan, arb_tables, catalog};

proptest! {
    #![proptest_config(random::cases(1000))]

    #[test]
    fn law_facts_hold(plan in arb_plan(4), tables in arb_tables()) {
        let facts = facts(&plan, &catalog()).unwrap();
        let columns: Vec<ColId> = plan.columns().iter().map(|column| column.id).collect();
        let rows = eval(&plan, &tables).unwrap().rows().unwrap();
        for row in &rows {
            for (id, value) in columns.iter().zip(row) {
                prop_assert!(!facts.not_null.contains(id) || !value.is_null(), "{:?} in {:?}", id, row);
            }
        }
        for key in &facts.keys {
            prop_assert!(key.iter().all(|id| columns.contains(id)));
            let own = |row: &Vec<crate::testing::value::Value>| {
                let values = columns.iter().zip(row).filter(|(id, _)| key.contains(id));
                values.map(|(_, value)| value.canonical()).collect::<Vec<_>>()
            };
            let distinct: BTreeSet<_> = rows.iter().map(own).collect();
            prop_assert_eq!(distinct.len(), rows.len(), "{:?} is no key", key);
        }
    }
}
