//! Flips: where the first match is inserted or the last one deleted.
//!
//! With `d` the weights of ΔR that match and `n` the matches after the change, `n − d` matched before it. `n` is
//! counted to `max(d, 0) + 1` and no further: the cost of a key that thousands of rows have is that of its change.

use crate::expr::{Call, Expr as E, Op};
use crate::plan::{AggregateCall, Column, Expr, Ids, Plan, Semi};
use crate::sql::ident::QName;

use super::super::{Cx, Delta};
use super::Condition;

/// Which left rows flip.
pub enum Flips<'a> {
    /// Those with one of these keys that satisfy `on`.
    Keys { plan: Plan, sign: Column, on: Vec<Expr> },
    /// Matches are counted for each row.
    Rows(Counting<'a>),
}

/// How to count the matches of a left row, and which rows may flip.
pub struct Counting<'a> {
    semi: &'a Semi,
    delta: Delta,
    /// The keys of ΔR, each once, and the condition that a left row has one; `None` when any row may flip.
    near: Option<(Plan, Vec<Expr>)>,
}

/// The flips that a delta of the right side makes.
pub fn of<'a>(semi: &'a Semi, condition: &Condition, delta: Delta, cx: &mut Cx) -> Flips<'a> {
    match condition.rest.is_empty() {
        true => by_key(semi, condition, delta, cx),
        false => by_row(semi, condition, delta, cx),
    }
}

fn by_key<'a>(semi: &'a Semi, condition: &Condition, delta: Delta, cx: &mut Cx) -> Flips<'a> {
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
    let matches = counted(semi.right.clone().filter(matching), &total, &mut cx.ids);
    let (plan, sign) = signed(touched, matches, &total, cx);
    let on = condition.has(&keys).into_iter().chain(condition.left.iter().cloned());
    Flips::Keys { plan, sign, on: on.collect() }
}

fn by_row<'a>(semi: &'a Semi, condition: &Condition, delta: Delta, cx: &mut Cx) -> Flips<'a> {
    if condition.equal.is_empty() {
        return Flips::Rows(Counting { semi, delta, near: None });
    }
    let (keys, touched) = touched(condition, &delta, cx);
    let touched = touched.aggregate(keys.clone(), vec![]);
    let touched = cx.step("keys", "key-local: keys that the right side touched", touched);
    Flips::Rows(Counting { semi, delta, near: Some((touched, condition.has(&keys))) })
}

/// The key columns and the weight of a delta's rows that can match at all.
fn touched(condition: &Condition, delta: &Delta, cx: &mut Cx) -> (Vec<Column>, Plan) {
    let mut conditions = condition.right.clone();
    let mut columns = vec![];
    for (_, right) in &condition.equal {
        conditions.push(right.clone().is_present());
        columns.push((cx.ids.column("k"), right.clone()));
    }
    let keys = columns.iter().map(|(column, _)| column.clone()).collect();
    columns.push(delta.w.pass());
    (keys, delta.plan.clone().filter_all(conditions).project(columns))
}

/// How many rows a correlated plan has, counted to `max(total, 0) + 1`.
fn counted(plan: Plan, total: &Column, ids: &mut Ids) -> Expr {
    let enough = E::call("greatest", vec![total.expr(), E::number(0)]);
    let limit = E::binary("+", enough, E::number(1));
    let rows = plan.project(vec![(ids.column("one"), E::number(1))]).limited(limit);
    let count = AggregateCall::new(ids.column("count"), "count", vec![]);
    E::Scalar(Box::new(rows.aggregate(vec![], vec![count])))
}

/// The rows of a plan that flip, with the sign, by the matches after the change and the weights `total` of the change.
fn signed(plan: Plan, matches: Expr, total: &Column, cx: &mut Cx) -> (Plan, Column) {
    let (n, sign) = (cx.ids.column("n"), cx.ids.column("s"));
    let shown = plan.pass();
    let counted = plan.project(shown.iter().cloned().chain([(n.clone(), matches)]).collect());
    let counted = cx.step("matches", "key-local: matches, counted as far as they decide", counted);
    let positive = |e: Expr| E::binary(">", e, E::number(0));
    let before = E::binary("-", n.expr(), total.expr());
    let flips = E::Distinct(Box::new(positive(n.expr())), Box::new(positive(before)));
    let value = E::case(vec![(positive(n.expr()), E::number(1))], E::number(-1)).cast("bigint");
    let columns = shown.into_iter().filter(|(column, _)| column != total).chain([(sign.clone(), value)]).collect();
    let flips = counted.filter(flips).project(columns);
    (cx.step("flips", "key-local: first match inserted or last one deleted", flips), sign)
}

impl Condition {
    /// A left row has one of these keys.
    fn has(&self, keys: &[Column]) -> Vec<Expr> {
        self.equal.iter().zip(keys).map(|((left, _), key)| E::equals(left.clone(), key.expr())).collect()
    }
}

impl Flips<'_> {
    /// The rows that flip, each with its sign times its weight, negated where `negative`.
    pub fn flipped(&self, rows: Plan, w: Option<&Column>, negative: bool, cx: &mut Cx) -> Delta {
        let shown: Vec<Column> = rows.columns().into_iter().filter(|column| Some(column) != w).collect();
        let (plan, sign) = match self {
            Flips::Keys { plan, sign, on } => (Plan::join(vec![plan.clone(), rows], on.clone()), sign.clone()),
            Flips::Rows(counting) => counting.flips(rows, cx),
        };
        let product = w.map_or(sign.expr(), |w| E::binary("*", sign.expr(), w.expr()));
        let weight = if negative { E::Unary(Op::plain("-"), Box::new(product)) } else { product };
        Delta::weighted(plan, &shown, weight, &mut cx.ids)
    }
}

impl Counting<'_> {
    /// Each row has a number: rows that look alike stay apart, and no type needs an equality to be grouped by.
    fn flips(&self, rows: Plan, cx: &mut Cx) -> (Plan, Column) {
        let found = rows.pass();
        let near = match &self.near {
            Some((keys, on)) => Plan::join(vec![keys.clone(), rows], on.clone()),
            None => rows,
        };
        let (row, number) = (cx.ids.column("number"), Call::new(QName::bare("row_number"), vec![]).over(vec![], None));
        let near = near.project(found.clone()).windowed(vec![(row.clone(), number)]);
        let near = cx.step("near", "key-local: left rows that may meet a change, numbered", near);
        let (changed, [same, total]) = self.changed(&near, &row, cx);
        let columns = found.into_iter().chain([total.pass()]).collect();
        let plan = Plan::join(vec![near, changed], vec![E::equals(same.expr(), row.expr())]).project(columns);
        let matches = counted(self.semi.right.clone().filter(self.semi.on.clone()), &total, &mut cx.ids);
        signed(plan, matches, &total, cx)
    }

    /// The numbers of the rows `near` that meet a change, and its weight: joined first, so that equal keys restrict the
    /// pairs, and then added up for each row.
    fn changed(&self, near: &Plan, row: &Column, cx: &mut Cx) -> (Plan, [Column; 2]) {
        let (total, sum) = (cx.ids.column("d"), AggregateCall::new(cx.ids.column("sum"), "sum", vec![self.delta.w.id]));
        let weight = sum.column.expr();
        let pairs = Plan::join(vec![near.clone(), self.delta.plan.clone()], self.semi.on.clone().conjuncts());
        let changed = pairs.aggregate(vec![row.clone()], vec![sum]);
        let changed = changed.filter(E::binary("<>", weight.clone(), E::number(0)));
        let changed = changed.project(vec![row.pass(), (total.clone(), weight.cast("bigint"))]);
        let (changed, known) = changed.copied(&mut cx.ids);
        let copy = |of: &Column| Column { id: known[&of.id], name: of.name.clone() };
        (changed, [copy(row), copy(&total)])
    }
}
