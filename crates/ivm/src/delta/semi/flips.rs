//! Flips: where the first match came or the last one went.
//!
//! With `d` the weights of ΔR that match and `n` the matches after the change, `n − d` matched before it. `n` is
//! counted to `max(d, 0) + 1` and no further: a key that thousands of rows have costs what changed of them.

use crate::expr::Expr as E;
use crate::plan::{AggregateCall, Column, Expr, Ids, Plan, TopK};

use super::super::{Cx, Delta};
use super::{Condition, Sides, weight};

/// Which left rows flip.
pub enum Flips<'a> {
    /// Those with one of these keys, and what is asked of them beside it.
    Keys { plan: Plan, sign: Column, on: Vec<Expr> },
    /// Each is asked.
    Rows(Ask<'a>),
}

/// The question whether a left row flips, and how to find those that may.
pub struct Ask<'a> {
    sides: &'a Sides<'a>,
    delta: Delta,
    /// The keys of ΔR, each once, and how a left row has one; `None` when any row may flip.
    near: Option<(Plan, Vec<Expr>)>,
}

/// The flips that a delta of the right side makes.
pub fn of<'a>(sides: &'a Sides, condition: &Condition, delta: Delta, cx: &mut Cx) -> Flips<'a> {
    match condition.rest.is_empty() {
        true => by_key(sides, condition, delta, cx),
        false => by_row(sides, condition, delta, cx),
    }
}

fn by_key<'a>(sides: &'a Sides, condition: &Condition, delta: Delta, cx: &mut Cx) -> Flips<'a> {
    let (keys, touched) = touched(condition, &delta, cx);
    let total = cx.ids.column("d");
    let sum = AggregateCall::new(cx.ids.column("sum"), "sum", vec![delta.w.id]);
    let some = E::binary("<>", sum.column.expr(), E::number(0));
    let mut columns: Vec<_> = keys.iter().map(Column::pass).collect();
    columns.push((total.clone(), sum.column.expr().cast("bigint")));
    // An aggregate without keys has a row of its own; its sum over nothing is no change.
    let touched = touched.aggregate(keys.clone(), vec![sum]).filter(some).project(columns);
    let touched = cx.step("keys", "key-local: keys that the right side touched, by weight", touched);
    let same = condition.equal.iter().zip(&keys).map(|((_, right), key)| E::equals(right.clone(), key.expr()));
    let matching = Expr::all(condition.right.iter().cloned().chain(same).collect());
    let matches = counted(sides.right.clone().filter(matching), &total, &mut cx.ids);
    let (plan, sign) = signed(touched, matches, &total, cx);
    let on = condition.equal.iter().zip(&keys).map(|((left, _), key)| E::equals(left.clone(), key.expr()));
    Flips::Keys { plan, sign, on: on.chain(condition.left.iter().cloned()).collect() }
}

fn by_row<'a>(sides: &'a Sides, condition: &Condition, delta: Delta, cx: &mut Cx) -> Flips<'a> {
    if condition.equal.is_empty() {
        return Flips::Rows(Ask { sides, delta, near: None });
    }
    let (keys, touched) = touched(condition, &delta, cx);
    let touched = touched.aggregate(keys.clone(), vec![]);
    let touched = cx.step("keys", "key-local: keys that the right side touched", touched);
    let on = condition.equal.iter().zip(&keys).map(|((left, _), key)| E::equals(left.clone(), key.expr()));
    Flips::Rows(Ask { sides, delta, near: Some((touched, on.collect())) })
}

/// The key columns of a delta's rows that can match at all, beside its weight.
fn touched(condition: &Condition, delta: &Delta, cx: &mut Cx) -> (Vec<Column>, Plan) {
    let mut conditions = condition.right.clone();
    let mut columns = vec![];
    for (_, right) in &condition.equal {
        conditions.push(right.clone().is_present());
        columns.push((cx.ids.column("k"), right.clone()));
    }
    let keys = columns.iter().map(|(column, _)| column.clone()).collect();
    columns.push(delta.w.pass());
    let rows = delta.plan.clone();
    let rows = if conditions.is_empty() { rows } else { rows.filter(Expr::all(conditions)) };
    (keys, rows.project(columns))
}

/// How many rows a correlated plan has, counted to `max(total, 0) + 1`.
fn counted(plan: Plan, total: &Column, ids: &mut Ids) -> Expr {
    let enough = E::call("greatest", vec![total.expr(), E::number(0)]);
    let limit = Some(E::binary("+", enough, E::number(1)));
    let one = plan.project(vec![(ids.column("one"), E::number(1))]);
    let top = TopK { input: one, partition: vec![], order: vec![], limit, offset: None, ties: false };
    let count = AggregateCall::new(ids.column("count"), "count", vec![]);
    E::Scalar(Box::new(Plan::TopK(Box::new(top)).aggregate(vec![], vec![count])))
}

/// The rows of a plan that flip, with the sign; `matches` and `total` say how.
fn signed(plan: Plan, matches: Expr, total: &Column, cx: &mut Cx) -> (Plan, Column) {
    let (n, sign) = (cx.ids.column("n"), cx.ids.column("s"));
    let shown: Vec<_> = plan.columns().iter().map(Column::pass).collect();
    let counted = plan.project(shown.iter().cloned().chain([(n.clone(), matches)]).collect());
    let counted = cx.step("matches", "key-local: matches, counted as far as they decide", counted);
    let positive = |e: Expr| E::binary(">", e, E::number(0));
    let before = E::binary("-", n.expr(), total.expr());
    let flips = E::Distinct(Box::new(positive(n.expr())), Box::new(positive(before)));
    let value = E::case(vec![(positive(n.expr()), E::number(1))], E::number(-1)).cast("bigint");
    let columns = shown.into_iter().filter(|(column, _)| column != total).chain([(sign.clone(), value)]).collect();
    let flips = counted.filter(flips).project(columns);
    (cx.step("flips", "key-local: where the first match came or the last one went", flips), sign)
}

impl Flips<'_> {
    /// The rows that flip, each with its sign times its weight; `negative`: the other way round.
    pub fn flipped(&self, rows: Plan, w: Option<&Column>, negative: bool, cx: &mut Cx) -> Delta {
        let shown: Vec<Column> =
            rows.columns().into_iter().filter(|column| w.is_none_or(|w| w.id != column.id)).collect();
        let (plan, sign) = match self {
            Flips::Keys { plan, sign, on } => (Plan::join(vec![plan.clone(), rows], on.clone()), sign.clone()),
            Flips::Rows(ask) => ask.flips(rows, cx),
        };
        let out = cx.ids.column("w");
        let columns = shown.iter().map(Column::pass).chain([(out.clone(), weight(sign.expr(), w, negative))]);
        Delta::new(plan.project(columns.collect()), out)
    }
}

impl Ask<'_> {
    fn flips(&self, rows: Plan, cx: &mut Cx) -> (Plan, Column) {
        let (near, found) = match &self.near {
            Some((keys, on)) => (Plan::join(vec![keys.clone(), rows.clone()], on.clone()), rows.columns()),
            None => (rows.clone(), rows.columns()),
        };
        let (total, sum) = (cx.ids.column("d"), AggregateCall::new(cx.ids.column("sum"), "sum", vec![self.delta.w.id]));
        let sum_id = sum.column.clone();
        let changed = self.delta.plan.clone().filter(self.sides.on.clone()).aggregate(vec![], vec![sum]);
        let changed = changed.project(vec![(cx.ids.column("sum"), sum_id.expr().cast("bigint"))]);
        let weights = E::Scalar(Box::new(changed));
        let columns = found.iter().map(Column::pass).chain([(total.clone(), weights)]).collect();
        let near = cx.step("near", "key-local: rows near a change on the right side, by weight", near.project(columns));
        let near = near.filter(E::binary("<>", total.expr(), E::number(0)));
        let matches = counted(self.sides.right.clone().filter(self.sides.on.clone()), &total, &mut cx.ids);
        signed(near, matches, &total, cx)
    }
}
