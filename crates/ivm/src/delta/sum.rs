//! Sums of relations with weights: `A + B` is UNION ALL, and the weights of equal rows add up at consolidation.

use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Ids, Plan, UnionAll};

use super::Delta;

/// The columns of a plan, each row with this weight, which comes last.
pub fn weighted(plan: Plan, columns: &[Column], weight: i64, ids: &mut Ids) -> Plan {
    Delta::weighted(plan, columns, E::number(weight).cast("bigint"), ids).plan
}

impl Delta {
    /// The columns of a plan with a weight.
    pub fn weighted(plan: Plan, columns: &[Column], weight: Expr, ids: &mut Ids) -> Delta {
        let w = ids.column("w");
        let columns = columns.iter().map(Column::pass).chain([(w.clone(), weight)]).collect();
        Delta::new(plan.project(columns), w)
    }

    /// The sum of plans of which each has these columns, then its weight, in this order.
    pub fn sum(columns: Vec<Column>, summands: Vec<Plan>, ids: &mut Ids) -> Delta {
        Delta::of_arms(columns, summands.into_iter().map(Plan::arm).collect(), ids)
    }

    /// The sum of deltas that all have these columns: terms of which some rows cancel.
    pub fn total(columns: Vec<Column>, deltas: Vec<Delta>, ids: &mut Ids) -> Delta {
        let own: Vec<ColId> = columns.iter().map(|column| column.id).collect();
        let arms = deltas.into_iter().map(|delta| (delta.plan, own.iter().copied().chain([delta.w.id]).collect()));
        Delta { cancels: true, ..Delta::of_arms(columns, arms.collect(), ids) }
    }

    /// The sum of arms, under these columns and a weight.
    pub fn of_arms(mut columns: Vec<Column>, inputs: Vec<(Plan, Vec<ColId>)>, ids: &mut Ids) -> Delta {
        let w = ids.column("w");
        columns.push(w.clone());
        Delta::new(Plan::UnionAll(UnionAll { columns, inputs }), w)
    }
}
