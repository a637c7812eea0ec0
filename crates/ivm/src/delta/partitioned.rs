//! Operators over partitions as the tables of their nodes show them.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::plan::{ColId, Column, Expr, Plan, Project, TopK};
use crate::rewrite::substitute;

use super::Cx;
use super::restrict::{self, Key};

/// A window or a top-k, and the columns that its node's table shows of it.
pub struct Partitioned<'a> {
    pub operator: &'a Plan,
    shown: Option<&'a [(Column, Expr)]>,
}

impl<'a> Partitioned<'a> {
    /// The operator on top of a node's plan.
    pub fn of(plan: &'a Plan) -> Option<Partitioned<'a>> {
        match plan {
            Plan::Window(_) | Plan::TopK(_) => Some(Partitioned { operator: plan, shown: None }),
            Plan::Project(project) => match &**project {
                Project { input: operator @ (Plan::Window(_) | Plan::TopK(_)), columns } => {
                    Some(Partitioned { operator, shown: Some(columns) })
                }
                _ => None,
            },
            _ => None,
        }
    }

    pub fn top(&self) -> Option<&'a TopK> {
        if let Plan::TopK(top) = self.operator { Some(top) } else { None }
    }

    pub fn input(&self) -> Result<&'a Plan> {
        self.operator.inputs().first().copied().ok_or(Error::Bug("an operator without an input"))
    }

    /// The columns of the node's table.
    pub fn columns(&self) -> Vec<Column> {
        self.shown
            .map_or_else(|| self.operator.columns(), |shown| shown.iter().map(|(column, _)| column.clone()).collect())
    }

    /// Rows like those of the input, as the table shows them, with more of their columns.
    pub fn shown(&self, rows: Plan, more: &[Column]) -> Plan {
        let shown = self.shown.map_or_else(|| self.operator.pass(), <[_]>::to_vec);
        rows.project(shown.into_iter().chain(more.iter().map(Column::pass)).collect())
    }

    /// The operator over another input, as the table shows it.
    pub fn over(&self, input: Plan) -> Plan {
        let mut operator = self.operator.clone();
        operator.inputs_mut().into_iter().zip([input]).for_each(|(own, input)| *own = input);
        self.shown_of(operator)
    }

    /// As the table shows such rows, with other expressions for some columns of the operator.
    pub fn shown_with(&self, rows: Plan, values: &[(Column, Expr)]) -> Plan {
        let shown = self.shown.map_or_else(|| self.operator.pass(), <[_]>::to_vec);
        rows.project(shown.into_iter().map(|(column, e)| (column, substitute(&e, values))).collect())
    }

    /// Such an operator, as the table shows it.
    pub fn shown_of(&self, operator: Plan) -> Plan {
        match self.shown {
            Some(shown) => operator.project(shown.to_vec()),
            None => operator,
        }
    }

    /// The columns of the partition.
    pub fn keys(&self, cx: &mut Cx) -> Result<Vec<Key>> {
        let columns = self.input()?.columns();
        let key = |id: &ColId| {
            let missing = Error::Bug("a partition key that the input lacks");
            let input = columns.iter().find(|column| column.id == *id).cloned().ok_or(missing)?;
            let known = cx.known(*id)?.clone();
            Ok(Key { touched: cx.ids.column(input.name.as_str()), input, known })
        };
        self.operator.named_columns().iter().map(key).collect()
    }
}

/// The touched partitions that have a NULL in their key, as a step of their own; `None` where no key can have one.
pub fn touched_null(keys: &[Key], touched: &Plan, cx: &mut Cx) -> Option<Plan> {
    let null = restrict::null(keys)?;
    let law = "key-local: partitions touched that have a NULL in their key";
    let touched = cx.step_if("touched_null", law, touched.clone().filter(null), touched);
    cx.seldom();
    Some(touched)
}

/// The keys as columns of the table.
pub fn held(keys: &[Key], old: &BTreeMap<ColId, Column>) -> Result<Vec<Key>> {
    let held = |key: &Key| {
        let (touched, known) = (key.touched.clone(), key.known.clone());
        Ok(Key { input: of_table(old, key.input.id)?, touched, known })
    };
    keys.iter().map(held).collect()
}

/// The column of the table that shows a column of the operator.
pub fn of_table(old: &BTreeMap<ColId, Column>, id: ColId) -> Result<Column> {
    old.get(&id).cloned().ok_or(Error::Bug("a column that the table lacks"))
}
