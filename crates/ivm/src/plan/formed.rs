//! One id is one value: each id is made by one operator of a plan, and passed on unchanged from there.
//!
//! Were it made twice, two values would meet under one id, and what reads it would read either.

use std::collections::BTreeSet;

use super::{ColId, Column, Expr, Plan};
use crate::error::{Error, Result};

impl Plan {
    /// Checks that no id is made by two operators, or by one twice.
    ///
    /// # Errors
    /// `Bug` where one is.
    pub fn check(&self) -> Result<()> {
        let (mut made, mut twice) = (BTreeSet::new(), false);
        self.visit(&mut |plan| twice |= !plan.made().into_iter().all(|id| made.insert(id)));
        if twice { Err(Error::Bug("a column of the plan is made twice")) } else { Ok(()) }
    }

    /// The operator that makes a column.
    pub fn maker(&self, id: ColId) -> Option<&Plan> {
        if self.made().contains(&id) {
            return Some(self);
        }
        self.inputs().into_iter().find(|input| input.ids().contains(&id))?.maker(id)
    }

    /// The ids of the output columns that the operator does not pass on from an input.
    fn made(&self) -> Vec<ColId> {
        match self {
            Plan::Project(project) | Plan::Expand(project) => {
                let mut own = project.input.ids();
                let mut is_made = |column: &Column, e: &Expr| *e != column.expr() || !own.remove(&column.id);
                let made = project.columns.iter().filter(|(column, e)| is_made(column, e));
                made.map(|(column, _)| column.id).collect()
            }
            Plan::Aggregate(aggregate) => aggregate.calls.iter().map(|call| call.column.id).collect(),
            other => other.listed().into_iter().map(|column| column.id).collect(),
        }
    }
}
