//! Window calls. Rows that are equal in a window's order come in the order of their values.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Rows, Scope, aggregate, canonical, expr, rows};
use crate::error::{Error, Result};
use crate::expr::{self as generic, Bound, FrameUnit, Over};
use crate::plan::{AggregateCall, ColId, Column, Expr, Plan, Window};
use crate::sql::ident::Ident;
use crate::testing::value::{NULL, Row, Value};

type Call = generic::Call<ColId, Plan>;
type Spec = generic::Window<ColId, Plan>;

pub fn eval(window: &Window, scope: &Scope) -> Result<Vec<Row>> {
    let Rows { columns, rows } = rows(&window.input, scope)?;
    let mut partitions: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
    for row in rows {
        let inner = scope.inner(&columns, &row);
        let key = window.partition.iter().map(|id| inner.column(*id).cloned()).collect::<Result<Row>>()?;
        partitions.entry(canonical(&key)).or_default().push(row);
    }
    let mut result = vec![];
    for members in partitions.into_values() {
        let mut shown = members.clone();
        for (_, call) in &window.calls {
            let values = values(call, &columns, &members, scope)?;
            shown.iter_mut().zip(values).for_each(|(row, value)| row.push(value));
        }
        result.extend(shown);
    }
    Ok(result)
}

/// The value of a call for each member of a partition, in the order of the members.
fn values(call: &Expr, columns: &[ColId], members: &[Row], scope: &Scope) -> Result<Vec<Value>> {
    let Expr::Call(call) = call else { return Err(Error::Bug("a window without a call")) };
    let Some(Over::Window(spec)) = &call.over else { return Err(Error::Bug("a window call that is not spelled out")) };
    let partition = Partition::of(call, spec, columns, members, scope)?;
    let mut result = vec![NULL; members.len()];
    for at in 0..members.len() {
        result[partition.rows[at].member] = partition.value(call, at)?;
    }
    Ok(result)
}

/// A member of a partition, with what the call asks of it.
struct Ordered {
    member: usize,
    args: Row,
    counts: bool,
    /// The number of its group of peers.
    group: usize,
}

/// The rows of a partition in the order of a window.
struct Partition<'a> {
    rows: Vec<Ordered>,
    spec: &'a Spec,
    scope: &'a Scope<'a>,
}

impl<'a> Partition<'a> {
    fn of(
        call: &Call,
        spec: &'a Spec,
        columns: &[ColId],
        members: &[Row],
        scope: &'a Scope<'a>,
    ) -> Result<Partition<'a>> {
        let mut sorted: Vec<(Row, &Row, Ordered)> = vec![];
        for (member, row) in members.iter().enumerate() {
            let inner = scope.inner(columns, row);
            let keys = spec.order_by.iter().map(|key| expr::eval(&key.expr, &inner)).collect::<Result<Row>>()?;
            let args = call.args.iter().map(|arg| expr::eval(&arg.value, &inner)).collect::<Result<Row>>()?;
            let counts = call.filter.as_ref().map(|filter| expr::all_true(&[filter], &inner)).transpose()?;
            sorted.push((keys, row, Ordered { member, args, counts: counts.unwrap_or(true), group: 0 }));
        }
        sorted.sort_by(|l, r| aggregate::compare(&spec.order_by, &l.0, &r.0).then_with(|| l.1.cmp(r.1)));
        let mut group = 0;
        for at in 1..sorted.len() {
            let peers = aggregate::compare(&spec.order_by, &sorted[at - 1].0, &sorted[at].0).is_eq();
            group += usize::from(!peers);
            sorted[at].2.group = group;
        }
        Ok(Partition { rows: sorted.into_iter().map(|(_, _, ordered)| ordered).collect(), spec, scope })
    }

    fn value(&self, call: &Call, at: usize) -> Result<Value> {
        let args = &self.rows[at].args;
        let arg = |row: usize| self.rows[row].args[0].clone();
        Ok(match call.name.name.as_str() {
            "row_number" => number(at + 1)?,
            "rank" => number(self.peers(at).start + 1)?,
            "dense_rank" => number(self.rows[at].group + 1)?,
            "ntile" if args[0].is_null() => NULL,
            "ntile" => number(self.tile(at, offset(&args[0])?) + 1)?,
            name @ ("lag" | "lead") => {
                let by = args.get(1).map_or(Ok(1), offset)?;
                let other = if name == "lag" { at.checked_sub(by) } else { Some(at + by) };
                let other = other.filter(|other| *other < self.rows.len());
                other.map_or_else(|| args.get(2).cloned().unwrap_or(NULL), arg)
            }
            "first_value" => self.frame(at)?.next().map_or(NULL, arg),
            "last_value" => self.frame(at)?.next_back().map_or(NULL, arg),
            _ => self.aggregate(call, self.frame(at)?)?,
        })
    }

    /// The rows that are equal to this one in the order.
    fn peers(&self, at: usize) -> Range<usize> {
        self.groups(self.rows[at].group..self.rows[at].group + 1)
    }

    /// The rows of these groups of peers.
    fn groups(&self, groups: Range<usize>) -> Range<usize> {
        let place = |group: usize| self.rows.partition_point(|row| row.group < group);
        place(groups.start)..place(groups.end)
    }

    /// Which of `tiles` equal parts, the larger ones first, a row is in.
    fn tile(&self, at: usize, tiles: usize) -> usize {
        let (size, larger) = (self.rows.len() / tiles, self.rows.len() % tiles);
        let within = larger * (size + 1);
        if at < within { at / (size + 1) } else { larger + (at - within) / size.max(1) }
    }

    fn frame(&self, at: usize) -> Result<Range<usize>> {
        let end = self.rows.len();
        let Some(frame) = &self.spec.frame else { return Ok(0..self.peers(at).end) };
        let last = frame.end.as_ref().unwrap_or(&Bound::CurrentRow);
        let (from, to) = match frame.unit {
            FrameUnit::Rows => (self.bound(&frame.start, at..at + 1)?, self.bound(last, at..at + 1)?),
            FrameUnit::Range | FrameUnit::Groups => {
                let offset = |bound: &Bound<_, _>| matches!(bound, Bound::Preceding(_) | Bound::Following(_));
                if frame.unit == FrameUnit::Range && (offset(&frame.start) || offset(last)) {
                    return Err(Error::Evaluation("a RANGE frame with an offset is not known".to_owned()));
                }
                let own = self.rows[at].group..self.rows[at].group + 1;
                (self.groups(self.bound(&frame.start, own.clone())?), self.groups(self.bound(last, own)?))
            }
        };
        Ok(from.start.min(end)..to.end.clamp(from.start.min(end), end))
    }

    /// The rows, or groups, that a bound names, counted from its own.
    fn bound(&self, bound: &Bound<ColId, Plan>, own: Range<usize>) -> Result<Range<usize>> {
        let by = |e: &Expr| expr::eval(e, self.scope).and_then(|value| offset(&value));
        Ok(match bound {
            Bound::UnboundedPreceding => 0..0,
            Bound::Preceding(e) => {
                let by = by(e)?;
                // An end before the first row is an empty frame.
                own.start.saturating_sub(by)..own.end.saturating_sub(by)
            }
            Bound::CurrentRow => own,
            Bound::Following(e) => {
                let by = by(e)?;
                own.start.saturating_add(by)..own.end.saturating_add(by)
            }
            Bound::UnboundedFollowing => self.rows.len()..self.rows.len(),
        })
    }

    /// The call as an aggregate over the rows of a frame that its filter lets through.
    fn aggregate(&self, call: &Call, frame: Range<usize>) -> Result<Value> {
        let counted = self.rows[frame].iter().filter(|row| row.counts).map(|row| row.args.clone());
        let members: Vec<Row> = counted.collect();
        let args: Vec<ColId> = (0..).map(ColId).take(call.args.len()).collect();
        let column = Column { id: ColId(u32::MAX), name: Ident::new("value") };
        let call = AggregateCall::new(column, call.name.name.as_str(), args.clone());
        aggregate::eval(&call, &args, &members, self.scope)
    }
}

fn number(n: usize) -> Result<Value> {
    i128::try_from(n).map(Value::Int).map_err(|_| Error::Bug("a count that is no integer"))
}

fn offset(value: &Value) -> Result<usize> {
    match value {
        Value::Int(n) => usize::try_from(*n).map_err(|_| Error::Evaluation(format!("{n} is no distance"))),
        other => Err(Error::Evaluation(format!("{other} is no distance"))),
    }
}
