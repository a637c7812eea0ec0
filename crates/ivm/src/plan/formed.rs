//! One id is one value: each id is made by one operator of a plan, and passed on unchanged from there.
//!
//! Were it made twice, two values would meet under one id, and what reads it would read either.

use std::collections::BTreeSet;

use super::{ColId, Column, Expr, Plan};
use crate::error::{Error, Result};

impl Plan {
    /// An error where an id is made by two operators, or by one twice.
    pub fn check(&self) -> Result<()> {
        let mut made = BTreeSet::new();
        self.check_within(&mut made)
    }

    /// The operator that makes a column.
    pub fn maker(&self, id: ColId) -> Option<&Plan> {
        if self.made().contains(&id) {
            return Some(self);
        }
        self.inputs().into_iter().find(|input| input.ids().contains(&id))?.maker(id)
    }

    fn check_within(&self, made: &mut BTreeSet<ColId>) -> Result<()> {
        for id in self.made() {
            if !made.insert(id) {
                return Err(Error::Bug("a column of the plan has two meanings"));
            }
        }
        self.inputs().into_iter().try_for_each(|input| input.check_within(made))?;
        let subqueries = self.expressions().into_iter().flat_map(|e| e.subqueries());
        subqueries.into_iter().try_for_each(|query| query.check_within(made))
    }

    /// The ids of the output columns that the operator does not pass on from an input.
    fn made(&self) -> Vec<ColId> {
        let ids = |columns: &[Column]| columns.iter().map(|column| column.id).collect();
        let computed = |input: &Plan, columns: &[(Column, Expr)]| {
            let mut own = input.ids();
            let mut is_made = |column: &Column, e: &Expr| *e != column.expr() || !own.remove(&column.id);
            columns.iter().filter(|(column, e)| is_made(column, e)).map(|(column, _)| column.id).collect()
        };
        match self {
            Plan::Scan(scan) => scan.columns.iter().map(|(column, _)| column.id).collect(),
            Plan::Values(values) => ids(&values.columns),
            Plan::Project(project) => computed(&project.input, &project.columns),
            Plan::Expand(expand) => computed(&expand.input, &expand.columns),
            Plan::UnionAll(union) => ids(&union.columns),
            Plan::Aggregate(aggregate) => aggregate.calls.iter().map(|call| call.column.id).collect(),
            Plan::Window(window) => window.calls.iter().map(|(column, _)| column.id).collect(),
            Plan::Unnest(unnest) => unnest.columns.iter().map(|(column, _)| column.id).collect(),
            Plan::Fixpoint(fixpoint) => ids(&fixpoint.columns),
            Plan::Filter(_) | Plan::Join(_) | Plan::Outer(_) | Plan::Semi(_) | Plan::Distinct(_) | Plan::TopK(_) => {
                vec![]
            }
        }
    }
}
