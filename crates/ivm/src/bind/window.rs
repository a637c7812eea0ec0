//! Window calls: `ω(ω(π(input)))`, one ω for each list of partition keys.
//!
//! The projection below computes keys, arguments and sort keys; above, a call is a column. Windows that the query
//! names are spelled out first.

use std::ops::ControlFlow;

use super::Binder;
use super::group::where_filtered;
use crate::error::{Error, Result};
use crate::expr::{self, Expr as Generic, Order, Over, Step};
use crate::plan::{ColId, Column, Expr, Plan, Window, computed};
use crate::refuse;
use crate::sql::ast;
use crate::sql::ident::Ident;

/// The windows that a query names.
type Windows = [(Ident, ast::Window)];

/// An expression whose window calls spell out their windows.
pub fn spelled_out(e: &ast::Expr, windows: &Windows) -> Result<ast::Expr> {
    e.clone().try_replace(&mut |e| {
        let Generic::Call(mut call) = e else { return Ok(ControlFlow::Continue(e)) };
        call.over = match call.over {
            None => None,
            Some(Over::Named(name)) => Some(Over::Window(named(&name, windows)?)),
            Some(Over::Window(window)) => Some(Over::Window(complete(window, windows)?)),
        };
        Ok(ControlFlow::Continue(Generic::Call(call)))
    })
}

fn named(name: &Ident, windows: &Windows) -> Result<ast::Window> {
    let found = windows.iter().find(|(known, _)| known == name);
    let (_, window) = found.ok_or_else(|| Error::Syntax(format!("window {name} does not exist")))?;
    complete(window.clone(), windows)
}

/// A window with the keys of the one that it refines.
fn complete(window: ast::Window, windows: &Windows) -> Result<ast::Window> {
    let Some(base) = &window.base else { return Ok(window) };
    let base = named(base, windows)?;
    let order_by = if window.order_by.is_empty() { base.order_by } else { window.order_by };
    Ok(ast::Window { base: None, partition_by: base.partition_by, order_by, frame: window.frame })
}

/// The window calls of some expressions as columns of a plan.
pub fn lift(binder: &mut Binder, input: Plan, outputs: Vec<Expr>) -> Result<(Plan, Vec<Expr>)> {
    let own = input.columns();
    let mut lifter = Lifter { binder, own, below: vec![], partitions: vec![] };
    let outputs = outputs.into_iter().map(|e| e.try_replace(&mut |e| lifter.node(e))).collect::<Result<_>>()?;
    let Lifter { binder, own, below, partitions } = lifter;
    let passed = own.iter().map(Column::pass);
    let input = if below.is_empty() { input } else { binder.projection(input, passed.chain(below).collect())? };
    let over = |input: Plan, Partition { keys, calls }: Partition| {
        Plan::Window(Box::new(Window { input, partition: keys, calls }))
    };
    Ok((partitions.into_iter().fold(input, over), outputs))
}

/// The calls that share their partition keys.
struct Partition {
    keys: Vec<ColId>,
    calls: Vec<(Column, Expr)>,
}

struct Lifter<'a, 'b> {
    binder: &'a mut Binder<'b>,
    /// The columns of the input.
    own: Vec<Column>,
    /// The columns that the projection adds.
    below: Vec<(Column, Expr)>,
    partitions: Vec<Partition>,
}

type Call = expr::Call<ColId, Plan>;

impl Lifter<'_, '_> {
    /// Whether an expression is the same in every row.
    fn is_constant(&self, e: &Expr) -> bool {
        e.subqueries().is_empty() && e.columns().into_iter().all(|id| self.own.iter().all(|column| column.id != *id))
    }

    /// A column of the input with this value; a constant stays as it is.
    fn computed(&mut self, e: Expr, name: &str) -> Expr {
        if matches!(e, Generic::Column(_)) || self.is_constant(&e) {
            return e;
        }
        computed(&mut self.below, e, || self.binder.ids.column(name)).expr()
    }

    /// The output column of a call; equal calls share one.
    fn call(&mut self, mut call: Call, window: expr::Window<ColId, Plan>) -> Result<ColId> {
        if !call.order_by.is_empty() || call.distinct {
            return Err(refuse::window_aggregate(&call.name));
        }
        let mut keys: Vec<ColId> = vec![];
        for key in window.partition_by {
            if self.is_constant(&key) {
                continue;
            }
            let Generic::Column(id) = self.computed(key, "key") else { continue };
            if !keys.contains(&id) {
                keys.push(id);
            }
        }
        let filter = call.filter.clone();
        call.args
            .iter_mut()
            .for_each(|arg| arg.value = self.computed(where_filtered(arg.value.clone(), &filter), "arg"));
        call.filter = call.filter.map(|filter| self.computed(filter, "filter"));
        let sorted = |order: Order<ColId, Plan>| Order { expr: self.computed(order.expr, "sort"), ..order };
        let order_by = window.order_by.into_iter().map(sorted).collect();
        let at = self.partition(keys);
        let Partition { keys, calls } = &mut self.partitions[at];
        let partition_by = keys.iter().map(|id| Expr::Column(*id)).collect();
        call.over = Some(Over::Window(expr::Window { base: None, partition_by, order_by, frame: window.frame }));
        let name = call.name.name.clone();
        let call = Generic::Call(Box::new(call));
        if let Some((column, _)) = calls.iter().find(|(_, known)| *known == call) {
            return Ok(column.id);
        }
        let column = self.binder.ids.column(name.as_str());
        calls.push((column.clone(), call));
        Ok(column.id)
    }

    /// The place of the partition with these keys, in any order.
    fn partition(&mut self, keys: Vec<ColId>) -> usize {
        let same = |known: &Partition| known.keys.len() == keys.len() && keys.iter().all(|id| known.keys.contains(id));
        self.partitions.iter().position(same).unwrap_or_else(|| {
            self.partitions.push(Partition { keys, calls: vec![] });
            self.partitions.len() - 1
        })
    }

    /// A window call becomes its column.
    fn node(&mut self, e: Expr) -> Result<Step<ColId, Plan, ColId, Plan>> {
        let Generic::Call(mut call) = e else { return Ok(ControlFlow::Continue(e)) };
        match call.over.take() {
            Some(Over::Window(window)) => Ok(ControlFlow::Break(Expr::Column(self.call(*call, window)?))),
            over => {
                call.over = over;
                Ok(ControlFlow::Continue(Generic::Call(call)))
            }
        }
    }
}
