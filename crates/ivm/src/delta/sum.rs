//! Sums of relations with weights: `A + B` is UNION ALL, and the weights of equal rows add up at consolidation.

use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Ids, Plan, UnionAll};

use super::Delta;

/// A summand: a plan, and its columns in the order of the sum's, then the weight.
pub type Rows = (Plan, Vec<ColId>);

/// The columns of a plan, each row with this weight.
pub fn weighted(plan: Plan, columns: &[Column], weight: i64, ids: &mut Ids) -> Rows {
    let Delta { plan, w, .. } = Delta::weighted(plan, columns, E::number(weight).cast("bigint"), ids);
    (plan, columns.iter().chain([&w]).map(|column| column.id).collect())
}

impl Delta {
    /// The columns of a plan with a weight.
    pub fn weighted(plan: Plan, columns: &[Column], weight: Expr, ids: &mut Ids) -> Delta {
        let w = ids.column("w");
        let columns = columns.iter().map(Column::pass).chain([(w.clone(), weight)]).collect();
        Delta::new(plan.project(columns), w)
    }

    /// The sum of these rows, under these columns.
    pub fn sum(mut columns: Vec<Column>, inputs: Vec<Rows>, ids: &mut Ids) -> Delta {
        let w = ids.column("w");
        columns.push(w.clone());
        Delta::new(Plan::UnionAll(UnionAll { columns, inputs }), w)
    }

    /// The sum of deltas that all have these columns: terms of which some rows cancel.
    pub fn total(columns: Vec<Column>, deltas: Vec<Delta>, ids: &mut Ids) -> Delta {
        let own: Vec<ColId> = columns.iter().map(|column| column.id).collect();
        let rows = deltas.into_iter().map(|delta| (delta.plan, own.iter().copied().chain([delta.w.id]).collect()));
        Delta { cancels: true, ..Delta::sum(columns, rows.collect(), ids) }
    }
}
