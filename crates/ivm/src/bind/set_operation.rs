//! INTERSECT and EXCEPT: whether, and how often, a row is shown depends on how often each side has it.
//!
//! Both sides are counted in one aggregate over all columns, `γ(columns; l, r)` with `l` and `r` the counts of
//! the row on the left and on the right, so that a change touches the counts of its own row and nothing else:
//!
//! | operation | shows a row | ALL shows it |
//! |---|---|---|
//! | INTERSECT | where `l > 0` and `r > 0` | `least(l, r)` times |
//! | EXCEPT | where `l > 0` and `r = 0` | `l - r` times |

use super::Binder;
use crate::error::{Error, Result};
use crate::expr::Expr as Generic;
use crate::plan::{AggregateCall, ColId, Column, Expr, Plan, UnionAll, Unnest};
use crate::refuse;
use crate::sql::ast::SetOp;

impl Binder<'_> {
    /// `left op right`; of UNION only the kind with ALL is meant here.
    pub fn set_operation(&mut self, op: SetOp, all: bool, left: Plan, right: Plan) -> Result<Plan> {
        let Plan::UnionAll(union) = self.union_all(left, right)? else {
            return Err(Error::Bug("a union that is none"));
        };
        if union.columns.is_empty() {
            return Err(refuse::rows_without_columns());
        }
        let shown: Vec<(Column, Expr)> = union.columns.iter().map(Column::pass).collect();
        let (counted, [l, r]) = self.counted(union);
        let (l, r, zero) = (l.expr(), r.expr(), Expr::number(0));
        let positive = |count: &Expr| Expr::binary(">", count.clone(), zero.clone());
        let plan = match (op, all) {
            (SetOp::Intersect, false) => counted.filter(Expr::all(vec![positive(&l), positive(&r)])),
            (SetOp::Intersect, true) => self.repeated(counted, Expr::call("least", vec![l, r])),
            (_, false) => counted.filter(Expr::all(vec![positive(&l), Expr::equals(r, zero)])),
            (_, true) => self.repeated(counted, Expr::binary("-", l, r)),
        };
        Ok(plan.project(shown))
    }

    /// One row for each different row of either side, with how often each side has it.
    fn counted(&mut self, union: UnionAll) -> (Plan, [Column; 2]) {
        let sides = ["is_left", "is_right"].map(|name| self.ids.column(name));
        let inputs = union.inputs.into_iter().enumerate().map(|(arm, (input, ids))| {
            let own = ["is_left", "is_right"].map(|name| self.ids.column(name));
            let fed: Vec<ColId> = ids.iter().copied().chain(own.iter().map(|column| column.id)).collect();
            let names = ids.iter().zip(&union.columns);
            let passed = names.map(|(id, column)| (Column { id: *id, name: column.name.clone() }, Expr::Column(*id)));
            let flags = own.into_iter().enumerate().map(|(side, column)| (column, Generic::bool(side == arm)));
            (input.project(passed.chain(flags).collect()), fed)
        });
        let inputs = inputs.collect();
        let columns = union.columns.iter().cloned().chain(sides.clone()).collect();
        let both = Plan::UnionAll(UnionAll { columns, inputs });
        let counts = ["lefts", "rights"].map(|name| self.ids.column(name));
        let calls = counts.iter().zip(&sides).map(|(count, side)| AggregateCall {
            filter: Some(side.id),
            ..AggregateCall::new(count.clone(), "count", vec![])
        });
        (both.aggregate(union.columns, calls.collect()), counts)
    }

    /// Each row as often as `times` says; not at all where that is not positive.
    fn repeated(&mut self, input: Plan, times: Expr) -> Plan {
        let call = Expr::call("generate_series", vec![Expr::number(1).cast("bigint"), times]);
        let columns = vec![(self.ids.column("copy"), None)];
        Plan::Unnest(Box::new(Unnest { input, call, columns, ordinality: false, outer: false }))
    }
}
