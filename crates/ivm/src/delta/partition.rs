//! Operators that look at one partition of their input at a time: `Δop = op(R↾K) − old output↾K`
//!
//! K are the partitions of ΔR's rows. The old output is the node's own table, which holds the columns that
//! tell partitions apart, whatever else it shows. Without a partition K is everything, if anything changed.

use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Plan, Project, TopK, Window};
use crate::sql::ident::Ident;

use super::restrict::{self, Key};
use super::sum::{Rows, weighted};
use super::{Cx, Delta};

const LAW: &str = "key-local: touched partitions, recomputed";

/// A window or a top-k, and what its node's table shows of it.
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

    fn partition(&self) -> &'a [ColId] {
        match self.operator {
            Plan::Window(window) => &window.partition,
            Plan::TopK(top) => &top.partition,
            _ => &[],
        }
    }

    /// The columns of the node's table.
    pub fn columns(&self) -> Vec<Column> {
        self.shown
            .map_or_else(|| self.operator.columns(), |shown| shown.iter().map(|(column, _)| column.clone()).collect())
    }

    /// Rows like those of the input, as the table shows them, and more columns of theirs.
    pub fn shown(&self, rows: Plan, more: &[Column]) -> Plan {
        let all = self.operator.columns();
        let shown = self.shown.map_or_else(|| all.iter().map(Column::pass).collect(), <[_]>::to_vec);
        rows.project(shown.into_iter().chain(more.iter().map(Column::pass)).collect())
    }

    /// The operator over another input, as the table shows it.
    pub fn over(&self, input: Plan) -> Plan {
        let operator = match self.operator {
            Plan::Window(window) => Plan::Window(Box::new(Window { input, ..(**window).clone() })),
            Plan::TopK(top) => Plan::TopK(Box::new(TopK { input, ..(**top).clone() })),
            other => other.clone(),
        };
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

/// The touched partitions: their old rows leaving, and those of the operator over their input coming.
pub fn replaced(operator: &Partitioned, input: Delta, cx: &mut Cx) -> Result<Delta> {
    let keys = keys(operator, cx)?;
    let touched = touched(&keys, input.plan, cx);
    let name = cx.last_step()?;
    let mut rows = exchanged(operator, &keys, (touched.clone(), restrict::equal), name.clone(), cx)?;
    if let Some(null) = restrict::null(&keys) {
        let law = "key-local: partitions touched that have a NULL in their key";
        let touched = cx.step_if("touched_null", law, touched.filter(null), Some(name));
        cx.seldom();
        let needs = cx.last_step()?;
        rows.extend(exchanged(operator, &keys, (touched, restrict::with_nulls), needs, cx)?);
    }
    Ok(Delta::sum(operator.columns(), rows, &mut cx.ids))
}

fn keys(operator: &Partitioned, cx: &mut Cx) -> Result<Vec<Key>> {
    let columns = operator.input()?.columns();
    let key = |id: &ColId| {
        let missing = Error::Bug("a partition key that the input has not");
        let input = columns.iter().find(|column| column.id == *id).cloned().ok_or(missing)?;
        let known = cx.known(*id)?.clone();
        Ok(Key { touched: cx.ids.column(input.name.as_str()), input, known })
    };
    operator.partition().iter().map(key).collect()
}

/// The keys of a delta's rows, each once; without keys, one row if there is any.
fn touched(keys: &[Key], rows: Plan, cx: &mut Cx) -> Plan {
    if keys.is_empty() {
        let any = rows.project(vec![(cx.ids.column("touched"), E::bool(true))]);
        let limit = Some(E::number(1));
        let top = TopK { input: any, partition: vec![], order: vec![], limit, offset: None, ties: false };
        return cx.step("touched", "key-local: whether anything changed", Plan::TopK(Box::new(top)));
    }
    let columns = keys.iter().map(|key| (key.touched.clone(), key.input.expr())).collect();
    let rows = rows.project(columns).aggregate(keys.iter().map(|key| key.touched.clone()).collect(), vec![]);
    cx.step("touched", "key-local: touched partitions", rows)
}

/// How rows meet touched keys, and a step of those.
type Meets = (Plan, fn(&[Key]) -> Vec<Expr>);

fn exchanged(
    operator: &Partitioned,
    keys: &[Key],
    (touched, meet): Meets,
    needs: Ident,
    cx: &mut Cx,
) -> Result<Vec<Rows>> {
    let (state, old) = cx.old_state();
    let old_of = |id: ColId| old.get(&id).cloned().ok_or(Error::Bug("a column that the table has not"));
    let mut held = vec![];
    for key in keys {
        let (touched, known) = (key.touched.clone(), key.known.clone());
        held.push(Key { input: old_of(key.input.id)?, touched, known });
    }
    let shown = operator.columns();
    let columns = shown.iter().map(|column| old_of(column.id)).collect::<Result<Vec<_>>>()?;
    let leaving = weighted(Plan::join(vec![touched.clone(), state], meet(&held)), &columns, -1, &mut cx.ids);
    let input = operator.input()?;
    let rows = match keys.is_empty() {
        true => input.clone(),
        false => {
            let own = input.columns().iter().map(Column::pass).collect();
            restrict::restricted(input, keys, &touched, meet(keys)).project(own)
        }
    };
    let coming = cx.step_if("recomputed", LAW, operator.over(rows), Some(needs));
    Ok(vec![leaving, weighted(coming, &shown, 1, &mut cx.ids)])
}
