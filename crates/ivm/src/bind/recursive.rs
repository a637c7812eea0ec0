//! WITH RECURSIVE: a CTE of two arms, the second of which reads the CTE itself.

use std::cell::Cell;

use super::Binder;
use super::from::{named, named_columns, renamed};
use super::scope::{Context, Recursion, Scope};
use crate::error::{Error, Result};
use crate::plan::{Column, Fixpoint, Plan, Relation, Scan};
use crate::render::unique;
use crate::sql::ast::{Alias, Body, Cte, Query, SetOp};

impl Binder<'_> {
    /// A CTE of WITH RECURSIVE, which need not be recursive.
    pub fn recursive(&mut self, cte: &Cte, context: Context) -> Result<Plan> {
        let Query { with, body, order_by: _, limit: None, offset: None } = &cte.query else {
            return self.query(&cte.query, context);
        };
        let Body::SetOp { op: SetOp::Union, all, left, right } = body else {
            return self.query(&cte.query, context);
        };
        let context = match with {
            Some(with) => context.within(context.ctes.with(with)),
            None => context,
        };
        let base = self.query(left, context)?;
        let own = self.recursion(cte, &base)?;
        let step = self.query(right, context.within(context.ctes.within(&own)))?;
        match own.used.get() {
            true => self.fixpoint(own, base, step, *all),
            false => self.union(base, step, *all),
        }
    }

    /// The recursion, with the columns and types of its first arm, as in PostgreSQL.
    fn recursion(&mut self, cte: &Cte, base: &Plan) -> Result<Recursion> {
        self.load_types(base)?;
        let number = self.ids.recursion();
        let columns: Vec<Column> = renamed(named_columns(base), cte.columns.iter())?
            .into_iter()
            .map(|(name, id)| Column { id, name })
            .collect();
        let names = unique(&columns);
        let types = columns.iter().map(|column| self.types.get(column.id).cloned()).collect::<Result<Vec<_>>>()?;
        self.types.declare(number, names.iter().cloned().zip(types).collect());
        let columns = columns.into_iter().map(|column| column.name).zip(names).collect();
        Ok(Recursion { name: cte.name.clone(), number, columns, used: Cell::new(false) })
    }

    /// A reference to the recursive CTE in its own second arm.
    pub fn own_rows(&mut self, own: &Recursion, alias: Option<&Alias>) -> Result<(Plan, Scope)> {
        let columns: Vec<_> =
            own.columns.iter().map(|(name, read)| (self.ids.column(name.as_str()), read.clone())).collect();
        let plan = Plan::Scan(Scan { relation: Relation::Recursion(own.number), columns });
        let scope = named(named_columns(&plan), alias, &own.name)?;
        Ok((plan, scope))
    }

    fn fixpoint(&mut self, own: Recursion, base: Plan, step: Plan, all: bool) -> Result<Plan> {
        let (from_base, from_step) = (base.columns(), step.columns());
        if from_base.len() != from_step.len() {
            return Err(Error::Syntax("arms of UNION with different numbers of columns".to_owned()));
        }
        let columns: Vec<Column> = own.columns.iter().map(|(name, _)| self.ids.column(name.as_str())).collect();
        for (column, base) in columns.iter().zip(&from_base) {
            let ty = self.types.get(base.id)?.clone();
            self.types.insert(column.id, ty);
        }
        self.load_types(&step)?;
        let (step, ids) = step.arm();
        let step = self.converted(step, ids, &columns)?;
        let fixpoint = Fixpoint { number: own.number, columns, base: base.arm(), step, all };
        Ok(Plan::Fixpoint(Box::new(fixpoint)))
    }
}
