//! Reference semantics: what the rows of a plan are. Slow, obvious, and the oracle of every law.
//!
//! A relation is a list of rows; a weight is one of its columns. Where SQL leaves an order open
//! (`string_agg` without ORDER BY) the smallest one is taken, so that two plans can be compared.

mod aggregate;
mod expr;
mod fixpoint;
mod function;
mod set;
mod top_k;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::plan::{Aggregate, ColId, Expr, Join, Lateral, Outer, Plan, Relation, Scan, UnionAll};
use crate::sql::ident::Ident;
use crate::testing::value::{NULL, Row, Value};
use crate::testing::zset::Zset;

/// A relation's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<Ident>,
    pub rows: Vec<Row>,
}

/// The relations that a plan can read.
pub type Tables = BTreeMap<Relation, Table>;

/// The rows of a plan over these tables.
pub fn eval(plan: &Plan, tables: &Tables) -> Result<Zset> {
    Ok(rows(plan, &Scope { tables, columns: &[], row: &[], outer: None })?.rows.into_iter().collect())
}

/// The columns that an expression can see: those of its own row, then those of the rows around it.
#[derive(Clone, Copy)]
struct Scope<'a> {
    tables: &'a Tables,
    columns: &'a [ColId],
    row: &'a [Value],
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    fn inner(&'a self, columns: &'a [ColId], row: &'a [Value]) -> Scope<'a> {
        Scope { tables: self.tables, columns, row, outer: Some(self) }
    }

    fn column(&self, id: ColId) -> Result<&'a Value> {
        match self.columns.iter().position(|column| *column == id) {
            Some(at) => Ok(&self.row[at]),
            None => self.outer.ok_or(Error::Bug("an expression reads a column that its input has not"))?.column(id),
        }
    }
}

/// Rows and the ids of their columns.
struct Rows {
    columns: Vec<ColId>,
    rows: Vec<Row>,
}

fn rows(plan: &Plan, scope: &Scope) -> Result<Rows> {
    let columns: Vec<ColId> = plan.columns().iter().map(|column| column.id).collect();
    let rows = match plan {
        Plan::Scan(scan) => scanned(scan, scope.tables)?,
        Plan::Values(values) => {
            values.rows.iter().map(|row| row.iter().map(|e| expr::eval(e, scope)).collect()).collect::<Result<_>>()?
        }
        Plan::Filter(filter) => {
            let input = rows(&filter.input, scope)?;
            input.keep(&[&filter.predicate], scope)?.rows
        }
        Plan::Project(project) => {
            let input = rows(&project.input, scope)?;
            let compute = |row: &Row| {
                let inner = scope.inner(&input.columns, row);
                project.columns.iter().map(|(_, e)| expr::eval(e, &inner)).collect::<Result<Row>>()
            };
            input.rows.iter().map(compute).collect::<Result<_>>()?
        }
        Plan::Join(join) => joined(join, scope)?,
        Plan::Outer(outer) => left_joined(outer, scope)?,
        Plan::Semi(semi) => rows(&semi.left, scope)?.keep(&[&semi.condition()], scope)?.rows,
        Plan::UnionAll(union) => united(union, scope)?,
        Plan::Aggregate(aggregate) => grouped(aggregate, scope)?,
        Plan::Distinct(distinct) => {
            let input = rows(&distinct.input, scope)?.rows;
            let mut seen = BTreeSet::new();
            input.into_iter().filter(|row| seen.insert(canonical(row))).collect()
        }
        Plan::TopK(top) => top_k::eval(top, scope)?,
        Plan::Expand(expand) => set::expand(expand, scope)?,
        Plan::Unnest(unnest) => set::unnest(unnest, scope)?,
        Plan::Lateral(lateral) => each(lateral, scope)?,
        Plan::Fixpoint(fixpoint) => fixpoint::rows(fixpoint, scope)?,
        Plan::Window(window) => window::eval(window, scope)?,
    };
    Ok(Rows { columns, rows })
}

impl Rows {
    /// The rows for which all predicates are true.
    fn keep(self, predicates: &[&Expr], scope: &Scope) -> Result<Rows> {
        let mut kept = vec![];
        for row in self.rows {
            let inner = scope.inner(&self.columns, &row);
            if expr::all_true(predicates, &inner)? {
                kept.push(row);
            }
        }
        Ok(Rows { columns: self.columns, rows: kept })
    }

    fn times(&self, other: &Rows) -> Rows {
        let pair = |left: &Row| other.rows.iter().map(|right| [left.as_slice(), right].concat()).collect::<Vec<_>>();
        let columns = [self.columns.as_slice(), &other.columns].concat();
        Rows { columns, rows: self.rows.iter().flat_map(pair).collect() }
    }
}

/// The row with equal values made the same.
fn canonical(row: &[Value]) -> Row {
    row.iter().map(Value::canonical).collect()
}

fn scanned(scan: &Scan, tables: &Tables) -> Result<Vec<Row>> {
    let missing = || Error::Evaluation(format!("there is no {:?}", scan.relation));
    let table = tables.get(&scan.relation).ok_or_else(missing)?;
    let place = |(_, name): &(_, Ident)| {
        let missing = || Error::Evaluation(format!("{:?} has no column {name}", scan.relation));
        table.columns.iter().position(|column| column == name).ok_or_else(missing)
    };
    let places = scan.columns.iter().map(place).collect::<Result<Vec<usize>>>()?;
    Ok(table.rows.iter().map(|row| places.iter().map(|at| row[*at].clone()).collect()).collect())
}

/// Input by input; a predicate is applied as soon as the columns of the join that it reads are there.
fn joined(join: &Join, scope: &Scope) -> Result<Vec<Row>> {
    let own: BTreeSet<ColId> = join.inputs.iter().flat_map(Plan::columns).map(|column| column.id).collect();
    let mut pending: Vec<&Expr> = join.predicates.iter().collect();
    let mut product = Rows { columns: vec![], rows: vec![vec![]] };
    for input in &join.inputs {
        product = product.times(&rows(input, scope)?);
        let there: BTreeSet<ColId> = product.columns.iter().copied().collect();
        let (ready, rest) = pending.into_iter().partition(|predicate: &&Expr| {
            predicate.subqueries().is_empty()
                && predicate.columns().into_iter().all(|id| there.contains(id) || !own.contains(id))
        });
        pending = rest;
        product = product.keep(&ready, scope)?;
    }
    Ok(product.keep(&pending, scope)?.rows)
}

fn each(lateral: &Lateral, scope: &Scope) -> Result<Vec<Row>> {
    let left = rows(&lateral.left, scope)?;
    let mut result = vec![];
    for row in left.rows {
        let right = rows(&lateral.right, &scope.inner(&left.columns, &row))?;
        result.extend(right.rows.iter().map(|right| [row.as_slice(), right].concat()));
    }
    Ok(result)
}

fn left_joined(outer: &Outer, scope: &Scope) -> Result<Vec<Row>> {
    let (left, right) = (rows(&outer.left, scope)?, rows(&outer.right, scope)?);
    let mut result = vec![];
    for row in left.rows {
        let one = Rows { columns: left.columns.clone(), rows: vec![row.clone()] };
        let matches = one.times(&right).keep(&[&outer.on], scope)?.rows;
        match matches.is_empty() {
            true => result.push(row.into_iter().chain(right.columns.iter().map(|_| NULL)).collect()),
            false => result.extend(matches),
        }
    }
    Ok(result)
}

fn united(union: &UnionAll, scope: &Scope) -> Result<Vec<Row>> {
    let mut result = vec![];
    for (input, ids) in &union.inputs {
        let input = rows(input, scope)?;
        for row in &input.rows {
            let inner = scope.inner(&input.columns, row);
            result.push(ids.iter().map(|id| inner.column(*id).cloned()).collect::<Result<Row>>()?);
        }
    }
    Ok(result)
}

fn grouped(aggregate: &Aggregate, scope: &Scope) -> Result<Vec<Row>> {
    let input = rows(&aggregate.input, scope)?;
    let mut groups: BTreeMap<Row, (Row, Vec<Row>)> = BTreeMap::new();
    if aggregate.keys.is_empty() {
        groups.insert(vec![], (vec![], vec![]));
    }
    for row in input.rows {
        let inner = scope.inner(&input.columns, &row);
        let key = aggregate.keys.iter().map(|key| inner.column(key.id).cloned()).collect::<Result<Row>>()?;
        groups.entry(canonical(&key)).or_insert((key, vec![])).1.push(row);
    }
    let mut result = vec![];
    for (mut row, members) in groups.into_values() {
        for call in &aggregate.calls {
            row.push(aggregate::eval(call, &input.columns, &members, scope)?);
        }
        result.push(row);
    }
    Ok(result)
}
