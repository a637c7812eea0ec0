//! Facts of a fixpoint: a column is never null when it is not null in the base, nor in the step over rows
//! in which it is not; a set has its whole rows as a key.

use std::collections::BTreeSet;

use super::Facts;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::plan::{ColId, Expr, Fixpoint, Plan, Scan};
use crate::recursion;

pub fn found(fixpoint: &Fixpoint, catalog: &dyn Catalog) -> Result<Facts> {
    let places = |plan: &Plan, ids: &[ColId]| -> Result<BTreeSet<usize>> {
        let known = super::facts(plan, catalog)?;
        Ok((0..ids.len()).filter(|at| known.not_null.contains(&ids[*at])).collect())
    };
    let mut not_null = places(&fixpoint.base.0, &fixpoint.base.1)?;
    loop {
        let step = assuming(fixpoint, &not_null);
        let still: BTreeSet<usize> = places(&step, &fixpoint.step.1)?.intersection(&not_null).copied().collect();
        if still == not_null {
            break;
        }
        not_null = still;
    }
    let all: BTreeSet<ColId> = fixpoint.columns.iter().map(|column| column.id).collect();
    Ok(Facts {
        not_null: not_null.into_iter().map(|at| fixpoint.columns[at].id).collect(),
        keys: if fixpoint.all { vec![] } else { vec![all] },
        ..Facts::default()
    })
}

/// The step over rows whose columns at these places are not null.
fn assuming(fixpoint: &Fixpoint, not_null: &BTreeSet<usize>) -> Plan {
    let restricted = |scan: &Scan| {
        let known =
            scan.columns.iter().filter(|(_, name)| fixpoint.place(name).is_some_and(|at| not_null.contains(&at)));
        let conditions: Vec<Expr> = known.map(|(column, _)| column.expr().is_present()).collect();
        Plan::Scan(scan.clone()).filter_all(conditions)
    };
    recursion::replaced(&fixpoint.step.0, fixpoint.number, &restricted)
}
