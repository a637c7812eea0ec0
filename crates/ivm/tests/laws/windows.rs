//! Random windows and first rows with deterministic results: where the place of a row matters, the order is total.

use ivm::expr::{Argument, Bound, Call, Direction, Expr as E, Frame, FrameUnit, IsTest, Over, Window as Spec};
use ivm::plan::{ColId, Column, Expr, Order, Plan, Ties, TopK, Window};
use ivm::sql::ident::QName;

use crate::plans::{Generator, Ty};

/// An input with its columns; of a numeric, which may have several looks, the text too, under which it is sorted.
fn sortable(g: &mut Generator, depth: usize) -> (Plan, Vec<Column>) {
    let input = g.any(depth);
    let (mut columns, mut keys) = (vec![], vec![]);
    for column in input.columns() {
        columns.push(column.pass());
        keys.push(match g.ty(&column) {
            Ty::Numeric => {
                let text = g.column("text", Ty::Text);
                columns.push((text.clone(), column.expr().cast("text")));
                text
            }
            _ => column,
        });
    }
    (input.project(columns), keys)
}

fn key(g: &mut Generator, column: &Column) -> Order {
    let direction = if g.tape.flip() { Direction::Descending } else { Direction::Ascending };
    Order { direction, nulls_first: g.tape.of(&[None, Some(true), Some(false)]), ..Order::ascending(column.expr()) }
}

/// A few keys, then, for a total order, all others.
fn order(g: &mut Generator, keys: &[Column], total: bool) -> Vec<Order> {
    let mut chosen: Vec<Column> = (0..g.tape.pick(3)).map(|_| g.tape.of(keys)).collect();
    chosen.extend(keys.iter().filter(|_| total).cloned());
    chosen.iter().map(|column| key(g, column)).collect()
}

fn partition(g: &mut Generator, keys: &[Column]) -> Vec<ColId> {
    let mut partition: Vec<ColId> = vec![];
    for _ in 0..g.tape.pick(3) {
        let id = g.tape.of(keys).id;
        if !partition.contains(&id) {
            partition.push(id);
        }
    }
    partition
}

pub fn window(g: &mut Generator, depth: usize) -> Plan {
    let (input, keys) = sortable(g, depth);
    let partition = partition(g, &keys);
    let calls = (0..1 + g.tape.pick(3)).map(|_| call(g, &input, &keys, &partition)).collect();
    let window = Plan::Window(Box::new(Window { input, partition, calls }));
    if g.tape.flip() {
        return window;
    }
    // Few queries read all columns of a window.
    let columns = window.columns();
    let last = columns.last().map(Column::pass);
    let kept = columns[..columns.len() - 1].iter().filter(|_| g.tape.flip()).map(Column::pass).chain(last).collect();
    window.project(kept)
}

fn call(g: &mut Generator, input: &Plan, keys: &[Column], partition: &[ColId]) -> (Column, Expr) {
    let column = g.tape.of(&input.columns());
    let ty = g.ty(&column);
    let number = matches!(ty, Ty::Int | Ty::Numeric);
    let (name, args, ty) = match g.tape.pick(12) {
        0 => ("row_number", vec![], Ty::Int),
        1 => ("rank", vec![], Ty::Int),
        2 => ("dense_rank", vec![], Ty::Int),
        3 => ("ntile", vec![E::number(2)], Ty::Int),
        4 => ("lag", vec![column.expr()], ty),
        5 => ("lead", vec![column.expr(), E::number(2)], ty),
        6 => ("first_value", vec![column.expr()], ty),
        7 => ("last_value", vec![column.expr()], ty),
        8 if ty != Ty::Numeric => ("min", vec![column.expr()], ty),
        9 if ty != Ty::Numeric => ("max", vec![column.expr()], ty),
        10 | 11 if number => ("sum", vec![column.expr()], ty),
        _ => ("count", vec![], Ty::Int),
    };
    let placed = matches!(name, "row_number" | "ntile" | "lag" | "lead" | "first_value" | "last_value");
    let frame = if placed || matches!(name, "rank" | "dense_rank") { None } else { frame(g) };
    let total = placed || frame.as_ref().is_some_and(|frame| frame.unit == FrameUnit::Rows);
    let mut call = Call::new(QName::bare(name), vec![]);
    call.args = args.into_iter().map(|value| Argument { name: None, variadic: false, value }).collect();
    call.star = name == "count";
    if matches!(name, "count" | "sum") && g.tape.pick(3) == 0 {
        call.filter = Some(g.condition(input));
    }
    let order_by = if total || frame.is_some() { order(g, keys, true) } else { order(g, keys, false) };
    let partition_by = partition.iter().map(|id| E::Column(*id)).collect();
    call.over = Some(Over::Window(Spec { base: None, partition_by, order_by, frame }));
    (g.column(name, ty), E::Call(Box::new(call)))
}

fn frame(g: &mut Generator) -> Option<Frame<ColId, Plan>> {
    let unit = g.tape.of(&[None, Some(FrameUnit::Rows), Some(FrameUnit::Groups), Some(FrameUnit::Range)])?;
    let near = |by: usize| match unit {
        FrameUnit::Range => Bound::UnboundedPreceding,
        _ => Bound::Preceding(E::number(by as i64)),
    };
    let start = [Bound::UnboundedPreceding, near(1), Bound::CurrentRow][g.tape.pick(3)].clone();
    let end = [Bound::CurrentRow, Bound::UnboundedFollowing][g.tape.pick(2)].clone();
    Some(Frame { unit, start, end: Some(end) })
}

pub fn top_k(g: &mut Generator, depth: usize) -> Plan {
    let (input, keys) = sortable(g, depth);
    let partition = if g.tape.flip() { partition(g, &keys) } else { vec![] };
    let ties = g.tape.of(&[Ties::Follow, Ties::Split, Ties::Split, Ties::Together]);
    let order = order(g, &keys, ties == Ties::Split);
    let ties = if order.is_empty() { Ties::Split } else { ties };
    let order = if order.is_empty() { keys.iter().map(|column| key(g, column)).collect() } else { order };
    let offset = if ties == Ties::Split && g.tape.pick(4) == 0 { Some(E::number(1)) } else { None };
    let limit = if offset.is_some() && g.tape.flip() { None } else { Some(E::number(1 + g.tape.pick(3) as i64)) };
    let top = Plan::TopK(Box::new(TopK { input, partition, order, limit, offset, ties }));
    if g.tape.flip() {
        return top;
    }
    let columns = top.columns();
    let kept = columns.iter().filter(|_| g.tape.flip()).map(Column::pass).chain([columns[0].pass()]);
    let mut kept: Vec<_> = kept.collect();
    if kept.len() > 1 && kept[..kept.len() - 1].contains(&kept[kept.len() - 1]) {
        kept.pop();
    }
    top.project(kept)
}

/// The first rows of partitions of a table, by a limit or by a bound on their numbers.
pub fn head(g: &mut Generator) -> Plan {
    let input = g.rows();
    let columns = input.columns();
    let mut partition = partition(g, &columns);
    partition.truncate(columns.len() - 1);
    let others: Vec<Column> = columns.iter().filter(|column| !partition.contains(&column.id)).cloned().collect();
    let ties = g.tape.of(&[Ties::Split, Ties::Follow, Ties::Together]);
    let mut by = vec![g.tape.of(&others)];
    by.extend(others.into_iter().filter(|_| ties == Ties::Split || g.tape.pick(3) == 0));
    let order: Vec<Order> = by.iter().map(|column| key(g, column)).collect();
    let limit = E::number(1 + g.tape.pick(3) as i64);
    if g.tape.flip() {
        let offset = (ties == Ties::Split && g.tape.pick(4) == 0).then(|| E::number(1));
        return Plan::TopK(Box::new(TopK { input, partition, order, limit: Some(limit), offset, ties }));
    }
    let name = match ties {
        Ties::Split => "row_number",
        Ties::Follow => "rank",
        Ties::Together => "dense_rank",
    };
    let mut call = Call::new(QName::bare(name), vec![]);
    let partition_by = partition.iter().map(|id| E::Column(*id)).collect();
    call.over = Some(Over::Window(Spec { base: None, partition_by, order_by: order, frame: None }));
    let place = g.column("place", Ty::Int);
    let calls = vec![(place.clone(), E::Call(Box::new(call)))];
    let first = Plan::Window(Box::new(Window { input, partition, calls }));
    let first = first.filter(E::binary("<=", place.expr(), limit));
    if g.tape.flip() { g.filtered(first) } else { first }
}

/// A window whose calls run or read rows nearby, in one order, in which rows may be equal where that leaves nothing open.
pub fn running(g: &mut Generator) -> Plan {
    let input = g.rows();
    let columns = input.columns();
    let first = g.tape.of(&columns);
    let input = if g.tape.pick(4) == 0 { input } else { input.filter(first.expr().is(IsTest::NotNull)) };
    let others: Vec<Column> = columns.iter().filter(|column| **column != first).cloned().collect();
    let partition: Vec<ColId> = others.iter().take(g.tape.pick(3)).map(|column| column.id).collect();
    let total = g.tape.flip();
    let by: Vec<Column> =
        [first].into_iter().chain(others.into_iter().filter(|_| total || g.tape.pick(3) == 0)).collect();
    let order_by: Vec<Order> = by.iter().map(|column| key(g, column)).collect();
    let ints = g.of_type(&input, Ty::Int);
    let mut calls = vec![];
    for _ in 0..1 + g.tape.pick(3) {
        let int = g.tape.of(&ints).expr();
        let near = |g: &mut Generator| E::number(g.tape.pick(3) as i64);
        let (name, args) = match g.tape.pick(if total { 13 } else { 7 }) {
            0 if total => ("row_number", vec![]),
            1 => ("rank", vec![]),
            2 => ("dense_rank", vec![]),
            3 => ("min", vec![int]),
            4 => ("max", vec![int]),
            5 => ("sum", vec![int]),
            7 => ("lag", vec![int, near(g)]),
            8 => ("lead", vec![int, near(g), E::number(7)]),
            9 => ("first_value", vec![int]),
            10 => ("last_value", vec![int]),
            11 => ("avg", vec![int]),
            _ => ("count", vec![]),
        };
        let unit = g.tape.of(&[None, Some(FrameUnit::Range), Some(FrameUnit::Groups), Some(FrameUnit::Rows)]);
        let unit = unit.filter(|unit| total || *unit != FrameUnit::Rows);
        let end = if g.tape.flip() { Some(Bound::CurrentRow) } else { None };
        let frame = match unit {
            Some(FrameUnit::Rows) if g.tape.flip() => {
                let start = [Bound::Preceding(near(g)), Bound::CurrentRow][g.tape.pick(2)].clone();
                let end = [Some(Bound::Following(near(g))), end][g.tape.pick(2)].clone();
                Some(Frame { unit: FrameUnit::Rows, start, end })
            }
            _ => unit.map(|unit| Frame { unit, start: Bound::UnboundedPreceding, end }),
        };
        let mut call = Call::new(QName::bare(name), args);
        call.star = name == "count";
        if matches!(name, "count" | "sum" | "avg" | "max") && g.tape.pick(3) == 0 {
            call.filter = Some(g.condition(&input));
        }
        let partition_by = partition.iter().map(|id| E::Column(*id)).collect();
        call.over = Some(Over::Window(Spec { base: None, partition_by, order_by: order_by.clone(), frame }));
        let ty = if name == "avg" { Ty::Numeric } else { Ty::Int };
        calls.push((g.column(name, ty), E::Call(Box::new(call))));
    }
    Plan::Window(Box::new(Window { input, partition, calls }))
}
