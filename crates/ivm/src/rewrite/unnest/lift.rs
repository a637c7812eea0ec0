//! Lifting the outer columns that a subquery reads out of it.
//!
//! **Law:** for every row of the outer query, the subquery's rows are the rows of `plan` for which all of `on` is
//! true, with the columns of `outputs` computed from them. Where `single`, there is exactly one row, which
//! is a row of NULLs when `plan` has none.

use std::collections::BTreeSet;

use super::super::mapped;
use super::Unnester;
use crate::error::Result;
use crate::expr::{Expr as Generic, Over};
use crate::plan::{
    Aggregate, AggregateCall, ColId, Column, Distinct, Expr, Ids, Plan, TopK, Values, Window, equality, reads,
};
use crate::refuse::{unliftable, unliftable_few};

/// An outer expression, and one over the subquery's columns that it is compared with.
pub type Pair = (Expr, Expr);

/// A subquery that reads no outer columns.
pub struct Lifted {
    pub plan: Plan,
    pub on: Vec<Expr>,
    /// Columns of the subquery that are computed after the join.
    pub outputs: Vec<(ColId, Expr)>,
    pub single: bool,
}

struct Lifter<'a, 'b> {
    outer: BTreeSet<ColId>,
    /// The query around it.
    around: &'a Plan,
    unnester: &'a mut Unnester<'b>,
}

pub fn lift(plan: Plan, around: &Plan, unnester: &mut Unnester) -> Result<Lifted> {
    Lifter { outer: plan.free(), around, unnester }.lift(plan)
}

impl Lifted {
    fn of(plan: Plan) -> Lifted {
        let single = is_total(&plan);
        Lifted { plan, on: vec![], outputs: vec![], single }
    }

    /// Whether it has a row even where no row of `plan` satisfies `on`.
    pub fn may_miss(&self) -> bool {
        self.single && !self.on.is_empty()
    }

    /// A column of the subquery, after the join.
    pub fn output(&self, id: ColId) -> Expr {
        let computed = self.outputs.iter().find(|(column, _)| *column == id);
        computed.map_or(Generic::Column(id), |(_, e)| e.clone())
    }

    /// An expression over the subquery's columns, after the join.
    pub fn after(&self, e: Expr) -> Expr {
        mapped(&e, &mut |id| self.output(id))
    }

    /// With outputs that are NULL where an outer join found no row.
    pub fn marked(mut self, ids: &mut Ids) -> Lifted {
        if self.outputs.is_empty() {
            return self;
        }
        let found = ids.column("found");
        let columns = self.plan.pass().into_iter().chain([(found.clone(), Expr::bool(true))]).collect();
        self.plan = self.plan.project(columns);
        for (_, value) in &mut self.outputs {
            let computed = std::mem::replace(value, Expr::null());
            *value = Expr::case(vec![(found.expr(), computed)], Expr::null());
        }
        self
    }

    /// The columns of the plan that a condition compares with a value.
    pub fn compared(&self) -> BTreeSet<ColId> {
        let own = self.plan.ids();
        let pairs = self.on.iter().filter_map(|e| equality(e, &own));
        pairs.filter_map(|(_, inner)| if let Generic::Column(id) = inner { Some(*id) } else { None }).collect()
    }

    /// The conditions as equalities `outer = inner` and those that read outer columns alone; `None` when there are others.
    pub fn equalities(&self) -> Option<(Vec<Pair>, Vec<Expr>)> {
        let own = self.plan.ids();
        let (mut pairs, mut gates) = (vec![], vec![]);
        for e in &self.on {
            match equality(e, &own) {
                Some((outer, inner)) => pairs.push((outer.clone(), inner.clone())),
                None if reads(e).is_disjoint(&own) => gates.push(e.clone()),
                None => return None,
            }
        }
        Some((pairs, gates))
    }
}

/// An aggregate without keys, perhaps projected, has one row.
fn is_total(plan: &Plan) -> bool {
    match plan {
        Plan::Aggregate(a) => a.keys.is_empty(),
        Plan::Project(p) => is_total(&p.input),
        _ => false,
    }
}

impl Lifter<'_, '_> {
    fn lift(&mut self, mut plan: Plan) -> Result<Lifted> {
        if plan.free().is_disjoint(&self.outer) {
            return Ok(Lifted::of(plan));
        }
        match plan {
            Plan::Filter(f) => {
                let input = self.lift(f.input)?;
                if input.may_miss() {
                    return Err(unliftable());
                }
                let conditions = factored(f.predicate).conjuncts().into_iter().map(|e| input.after(e)).collect();
                Ok(self.restricted(input, conditions))
            }
            Plan::Project(p) => {
                let input = self.lift(p.input)?;
                Ok(self.projected(input, p.columns))
            }
            Plan::Join(j) => {
                let (mut all, mut inputs) = (Lifted::of(Plan::join(vec![], vec![])), vec![]);
                for input in j.inputs {
                    let correlated = !input.free().is_disjoint(&self.outer);
                    let input = self.lift(input)?;
                    if correlated && input.may_miss() {
                        return Err(unliftable());
                    }
                    let Lifted { plan, on, outputs, .. } = input;
                    inputs.push(plan);
                    all.on.extend(on);
                    all.outputs.extend(outputs);
                }
                all.plan = Plan::join(inputs, vec![]);
                let predicates = j.predicates.into_iter().flat_map(|e| factored(e).conjuncts());
                let conditions = predicates.map(|e| all.after(e)).collect();
                Ok(self.restricted(all, conditions))
            }
            // The first input may read outer columns, and nothing else.
            Plan::Semi(_) | Plan::Outer(_) | Plan::Unnest(_) => {
                let mut inputs = plan.inputs_mut();
                let input = self.plain(inputs[0].take())?;
                *inputs[0] = input.plan;
                match plan.free().is_disjoint(&self.outer) {
                    true => Ok(Lifted { plan, ..input }),
                    false => Err(unliftable()),
                }
            }
            Plan::Aggregate(a) => self.aggregate(*a),
            Plan::Distinct(d) => {
                let input = self.keyed(d.input, |_, is_outer| is_outer, false)?;
                let plan = Plan::Distinct(Box::new(Distinct { input: input.plan }));
                Ok(Lifted { plan, ..input })
            }
            Plan::TopK(top) => self.top_k(*top),
            Plan::Window(window) => self.window(*window),
            Plan::Values(values) => self.values(values),
            _ => Err(unliftable()),
        }
    }

    fn reads_own(&self, e: &Expr) -> bool {
        reads(e).is_disjoint(&self.outer)
    }

    /// A lifted input whose columns are all its own.
    fn plain(&mut self, input: Plan) -> Result<Lifted> {
        let input = self.lift(input)?;
        match input.outputs.is_empty() && !input.may_miss() {
            true => Ok(Lifted { single: false, ..input }),
            false => Err(unliftable()),
        }
    }

    /// With more conditions: those that read outer columns become join conditions, the others filter.
    fn restricted(&self, input: Lifted, conditions: Vec<Expr>) -> Lifted {
        let Lifted { plan, mut on, outputs, .. } = input;
        let (own, lifted): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(|e| self.reads_own(e));
        on.extend(lifted);
        let plan = match plan {
            Plan::Join(mut j) if j.predicates.is_empty() => {
                j.predicates = own;
                Plan::Join(j)
            }
            plan => plan.filter_all(own),
        };
        Lifted { plan, on, outputs, single: false }
    }

    /// Columns that read outer ones are computed after the join, from columns that are passed on; so are those of
    /// a single row, because they may not be NULL where `plan` has no row.
    fn projected(&mut self, input: Lifted, columns: Vec<(Column, Expr)>) -> Lifted {
        let mut shown: Vec<(Column, Expr)> = vec![];
        let mut outputs: Vec<(ColId, Expr)> = vec![];
        for (column, e) in columns {
            let e = input.after(e);
            match self.reads_own(&e) && !input.single {
                true => shown.push((column, e)),
                false if self.reads_own(&e) && e == column.expr() => {}
                false => outputs.push((column.id, e)),
            }
        }
        let needed: BTreeSet<ColId> = outputs.iter().map(|(_, e)| e).chain(&input.on).flat_map(reads).collect();
        for column in input.plan.columns() {
            let passed = shown.iter().any(|(other, _)| other.id == column.id);
            if !passed && (input.single || needed.contains(&column.id)) {
                shown.push(column.pass());
            }
        }
        Lifted { plan: input.plan.project(shown), on: input.on, outputs, single: input.single }
    }

    /// A lifted input whose conditions are equalities with columns of its own. Its outputs are those that `stay`: the operator
    /// above does not read them, or they are the same for all rows of an outer row. The others are columns. `reads_few`: an index may
    /// lead the server to the few rows that decide, where a join has all.
    fn keyed(&mut self, input: Plan, stays: impl Fn(ColId, bool) -> bool, reads_few: bool) -> Result<Lifted> {
        let columns = input.columns();
        let mut input = self.lift(input)?;
        if input.may_miss() {
            return Err(unliftable());
        }
        let own = input.plan.ids();
        let is_outer = |e: &Expr| reads(e).is_disjoint(&own);
        let is_free = !input.on.is_empty();
        let (outputs, computed): (Vec<_>, Vec<_>) =
            input.outputs.into_iter().partition(|(id, e)| is_free && stays(*id, is_outer(e)));
        input.outputs = computed;
        if reads_few && input.equalities().is_none() {
            return Err(unliftable_few());
        }
        if !input.outputs.is_empty() || input.equalities().is_none() {
            input = self.unnester.over_domain(input, &columns, self.around)?;
        }
        let (pairs, gates) = input.equalities().ok_or_else(unliftable)?;
        let read: BTreeSet<ColId> = outputs.iter().flat_map(|(_, e)| reads(e)).collect();
        let is_shown = |column: &Column| columns.contains(column) || read.contains(&column.id);
        let mut shown: Vec<(Column, Expr)> =
            input.plan.columns().iter().filter(|it| is_shown(it)).map(Column::pass).collect();
        let mut on = gates;
        for (outer, inner) in pairs {
            let key = match &inner {
                Generic::Column(id) if columns.iter().any(|column| column.id == *id) => inner,
                inner => {
                    let key = self.unnester.ids.column("key");
                    shown.push((key.clone(), inner.clone()));
                    key.expr()
                }
            };
            on.push(Expr::equals(outer, key));
        }
        Ok(Lifted { plan: input.plan.project(shown), on, outputs, single: false })
    }

    /// The columns of a keyed input that its conditions compare.
    fn keys_of(input: &Lifted) -> Vec<Column> {
        let compared = input.compared();
        input.plan.columns().into_iter().filter(|column| compared.contains(&column.id)).collect()
    }

    fn aggregate(&mut self, aggregate: Aggregate) -> Result<Lifted> {
        let Aggregate { input, mut keys, mut calls } = aggregate;
        let read: BTreeSet<ColId> = calls.iter().flat_map(read_by).collect();
        let is_key = |id: ColId| keys.iter().any(|key| key.id == id);
        let is_extreme = |call: &AggregateCall| {
            call.function.schema.is_none() && ["min", "max"].contains(&call.function.name.as_str())
        };
        let reads_few = keys.is_empty() && !calls.is_empty() && calls.iter().all(is_extreme);
        let mut input =
            self.keyed(input, |id, is_outer| !read.contains(&id) && (is_outer || !is_key(id)), reads_few)?;
        let single = keys.is_empty();
        keys.retain(|key| input.outputs.iter().all(|(id, _)| *id != key.id));
        let mut outputs: Vec<_> = std::mem::take(&mut input.outputs).into_iter().map(Some).collect();
        for call in calls.iter_mut().filter(|_| single) {
            outputs.push(self.over_nothing(call)?);
        }
        let more = Self::keys_of(&input).into_iter().filter(|key| !keys.contains(key)).collect::<Vec<_>>();
        keys.extend(more);
        let plan = input.plan.aggregate(keys, calls);
        Ok(Lifted { plan, on: input.on, outputs: outputs.into_iter().flatten().collect(), single })
    }

    /// The output of a call that is not NULL over no rows: the original column, from the fresh one that the call gets.
    fn over_nothing(&mut self, call: &mut AggregateCall) -> Result<Option<(ColId, Expr)>> {
        if call.function.schema.is_some() || !call.within_group.is_empty() {
            return Err(unliftable());
        }
        if !matches!(call.function.name.as_str(), "count" | "regr_count") {
            return Ok(None);
        }
        let shown = call.column.id;
        call.column = self.unnester.ids.column(call.column.name.as_str());
        Ok(Some((shown, Expr::call("coalesce", vec![call.column.expr(), Expr::number(0)]))))
    }

    fn top_k(&mut self, mut top: TopK) -> Result<Lifted> {
        let mut parts = top.order.iter().map(|key| &key.expr).chain(&top.limit).chain(&top.offset);
        if !parts.all(|e| self.reads_own(e)) {
            return Err(unliftable());
        }
        let read: BTreeSet<ColId> =
            top.order.iter().flat_map(|key| reads(&key.expr)).chain(top.partition.clone()).collect();
        let input = self.keyed(top.input.take(), |id, _| !read.contains(&id), true)?;
        top.partition.extend(Self::keys_of(&input).iter().map(|key| key.id));
        Ok(Lifted { plan: Plan::TopK(Box::new(TopK { input: input.plan, ..top })), ..input })
    }

    fn window(&mut self, window: Window) -> Result<Lifted> {
        let Window { input, mut partition, calls } = window;
        if !calls.iter().all(|(_, e)| self.reads_own(e)) {
            return Err(unliftable());
        }
        let read: BTreeSet<ColId> = calls.iter().flat_map(|(_, e)| reads(e)).chain(partition.clone()).collect();
        let input = self.keyed(input, |id, _| !read.contains(&id), false)?;
        let keys = Self::keys_of(&input);
        let calls = calls.into_iter().map(|(column, e)| (column, by_key(e, &keys))).collect();
        partition.extend(keys.iter().map(|key| key.id));
        let plan = Plan::Window(Box::new(Window { input: input.plan, partition, calls }));
        Ok(Lifted { plan, ..input })
    }

    /// One row of outer values is computed after the join.
    fn values(&mut self, values: Values) -> Result<Lifted> {
        let Values { columns, rows } = values;
        let [row] = <[Vec<Expr>; 1]>::try_from(rows).map_err(|_| unliftable())?;
        let plan = Plan::Values(Values { columns: vec![], rows: vec![vec![]] });
        let outputs = columns.into_iter().map(|column| column.id).zip(row).collect();
        Ok(Lifted { plan, on: vec![], outputs, single: false })
    }
}

/// The columns that an aggregate reads.
fn read_by(call: &AggregateCall) -> BTreeSet<ColId> {
    let sorted = call.order_by.iter().chain(&call.within_group).flat_map(|key| reads(&key.expr));
    sorted.chain(call.args.iter().copied()).chain(call.filter).collect()
}

/// A condition with what all arms of an OR have in common before it: `a AND b OR a AND c` is `a AND (b OR c)`.
fn factored(e: Expr) -> Expr {
    let Generic::Or(arms) = e else {
        return match e {
            Generic::And(parts) => Expr::all(parts.into_iter().map(factored).collect()),
            e => e,
        };
    };
    let mut arms: Vec<Vec<Expr>> = arms.into_iter().map(Expr::conjuncts).collect();
    let mut common = arms.first().cloned().unwrap_or_default();
    common.retain(|part| arms.iter().all(|arm| arm.contains(part)));
    arms.iter_mut().for_each(|arm| arm.retain(|part| !common.contains(part)));
    // An arm of which nothing is left holds wherever the common part does.
    if !arms.iter().any(Vec::is_empty) {
        common.push(Expr::any_of(arms.into_iter().map(Expr::all).collect()));
    }
    Expr::all(common)
}

/// A window call whose partitions are those of each key.
fn by_key(e: Expr, keys: &[Column]) -> Expr {
    match e {
        Generic::Call(mut call) => {
            if let Some(Over::Window(window)) = &mut call.over {
                window.partition_by.extend(keys.iter().map(Column::expr));
            }
            Generic::Call(call)
        }
        other => other,
    }
}
