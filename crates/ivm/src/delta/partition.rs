//! ω, window, and τ, top-k.   Key-local:  Δop = op(R↾K) − old output↾K,  with K the partitions that ΔR touches
//!
//! One row can change the values of every other row of its partition, so the whole partition is recomputed; rows
//! whose values stay the same are not written. Window calls over different partitions are windows of windows, each a
//! node: the second one reads the consolidated delta of the first. The old output is the node's own table, which holds
//! the partition columns whatever else it shows. Without a partition K is everything, if anything changed.

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Plan, Project, TopK};

use super::restrict::{self, Key};
use super::sum::weighted;
use super::{Cx, Delta, RECOMPUTED};

/// A window or a top-k, and the columns that its node's table shows of it.
pub struct Partitioned<'a> {
    operator: &'a Plan,
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

    fn input(&self) -> Result<&'a Plan> {
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
        match self.shown {
            Some(shown) => operator.project(shown.to_vec()),
            None => operator,
        }
    }
}

pub fn delta(operator: &Partitioned, cx: &mut Cx) -> Result<Option<Delta>> {
    let Some(input) = cx.delta(operator.input()?)? else { return Ok(None) };
    replaced(operator, input, cx).map(Some)
}

/// The touched partitions: −1 for their old rows, +1 for those of the operator over their input.
pub fn replaced(operator: &Partitioned, input: Delta, cx: &mut Cx) -> Result<Delta> {
    let keys = keys(operator, cx)?;
    let touched = touched(&keys, input.plan, cx);
    let mut rows = exchanged(operator, &keys, (&touched, restrict::equal), cx)?;
    if let Some(null) = restrict::null(&keys) {
        let law = "key-local: partitions touched that have a NULL in their key";
        let touched = cx.step_if("touched_null", law, touched.clone().filter(null), &touched);
        cx.seldom();
        rows.extend(exchanged(operator, &keys, (&touched, restrict::with_nulls), cx)?);
    }
    Ok(Delta::sum(operator.columns(), rows, &mut cx.ids))
}

fn keys(operator: &Partitioned, cx: &mut Cx) -> Result<Vec<Key>> {
    let columns = operator.input()?.columns();
    let key = |id: &ColId| {
        let missing = Error::Bug("a partition key that the input lacks");
        let input = columns.iter().find(|column| column.id == *id).cloned().ok_or(missing)?;
        let known = cx.known(*id)?.clone();
        Ok(Key { touched: cx.ids.column(input.name.as_str()), input, known })
    };
    operator.operator.named_columns().iter().map(key).collect()
}

/// The keys of a delta's rows, each once; without keys, one row if there is any.
fn touched(keys: &[Key], rows: Plan, cx: &mut Cx) -> Plan {
    if keys.is_empty() {
        let any = rows.project(vec![(cx.ids.column("touched"), E::bool(true))]).limited(E::number(1));
        return cx.step("touched", "key-local: whether anything changed", any);
    }
    let columns = keys.iter().map(|key| (key.touched.clone(), key.input.expr())).collect();
    let rows = rows.project(columns).aggregate(keys.iter().map(|key| key.touched.clone()).collect(), vec![]);
    cx.step("touched", "key-local: touched partitions", rows)
}

/// A step of touched keys, and the condition that rows have one of them.
type Meets<'t> = (&'t Plan, fn(&[Key]) -> Vec<Expr>);

fn exchanged(operator: &Partitioned, keys: &[Key], (touched, meet): Meets, cx: &mut Cx) -> Result<Vec<Plan>> {
    let (state, old) = cx.old_state();
    let old_of = |id: ColId| old.get(&id).cloned().ok_or(Error::Bug("a column that the table lacks"));
    let mut held = vec![];
    for key in keys {
        let (touched, known) = (key.touched.clone(), key.known.clone());
        held.push(Key { input: old_of(key.input.id)?, touched, known });
    }
    let shown = operator.columns();
    let columns = shown.iter().map(|column| old_of(column.id)).collect::<Result<Vec<_>>>()?;
    let deleted = weighted(Plan::join(vec![touched.clone(), state], meet(&held)), &columns, -1, &mut cx.ids);
    let input = operator.input()?;
    let rows = match keys.is_empty() {
        true => input.clone(),
        false => restrict::restricted(input, keys, touched, meet(keys)).project(input.pass()),
    };
    let law = "key-local: touched partitions, recomputed";
    let inserted = cx.step_if(RECOMPUTED, law, operator.over(rows), touched);
    Ok(vec![deleted, weighted(inserted, &shown, 1, &mut cx.ids)])
}
