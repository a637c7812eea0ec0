//! Columns and relations across a whole plan: those that it reads, and copies with ids of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Aggregate, AggregateCall, ColId, Column, Expand, Expr, Filter, Ids, Join, Order, Outer, Plan, Project, Relation,
    Scan,
};
use super::{Semi, TopK, UnionAll, Unnest, Values, Window};

impl Plan {
    /// The columns that the plan reads and does not have: those of the queries around it.
    pub fn free(&self) -> BTreeSet<ColId> {
        let mut own = BTreeSet::new();
        let mut free = BTreeSet::new();
        for input in self.inputs() {
            own.extend(input.columns().iter().map(|column| column.id));
            free.extend(input.free());
        }
        free.extend(self.expressions().into_iter().flat_map(reads).filter(|id| !own.contains(id)));
        free
    }

    /// The relations that the plan reads, and the subqueries in its expressions.
    pub fn relations(&self) -> BTreeSet<Relation> {
        let mut all: BTreeSet<Relation> = self.inputs().into_iter().flat_map(Plan::relations).collect();
        all.extend(self.expressions().into_iter().flat_map(|e| e.subqueries()).flat_map(Plan::relations));
        if let Plan::Scan(scan) = self {
            all.insert(scan.relation.clone());
        }
        all
    }

    /// The columns of its inputs that the operator names outside of expressions.
    pub fn named_columns(&self) -> Vec<ColId> {
        match self {
            Plan::UnionAll(union) => union.inputs.iter().flat_map(|(_, ids)| ids.clone()).collect(),
            Plan::Distinct(distinct) => distinct.input.columns().iter().map(|column| column.id).collect(),
            Plan::Aggregate(aggregate) => {
                let of_calls = aggregate.calls.iter().flat_map(|call| call.args.iter().chain(&call.filter)).copied();
                aggregate.keys.iter().map(|key| key.id).chain(of_calls).collect()
            }
            Plan::Window(window) => window.partition.clone(),
            Plan::TopK(top) => top.partition.clone(),
            Plan::Fixpoint(fixpoint) => [fixpoint.base.1.clone(), fixpoint.step.1.clone()].concat(),
            Plan::Scan(_) | Plan::Values(_) | Plan::Filter(_) | Plan::Project(_) | Plan::Join(_) => vec![],
            Plan::Outer(_) | Plan::Semi(_) | Plan::Expand(_) | Plan::Unnest(_) => vec![],
        }
    }

    /// The same plan with fresh ids for every column that it makes; which became which.
    pub fn copied(&self, ids: &mut Ids) -> (Plan, BTreeMap<ColId, ColId>) {
        let mut copier = Copier { ids, known: BTreeMap::new(), copies_subqueries: true };
        let plan = copier.plan(self.clone());
        (plan, copier.known)
    }
}

/// The columns that an expression reads, those of its subqueries from outside of them included.
pub fn reads(e: &Expr) -> BTreeSet<ColId> {
    let mut all: BTreeSet<ColId> = e.columns().into_iter().copied().collect();
    all.extend(e.subqueries().into_iter().flat_map(Plan::free));
    all
}

/// The sides of `outer = inner`, either way round: `inner` reads `own` columns alone, `outer` none of them. A comparison
/// that names a collation may hold for values that are not equal, so that it says nothing about keys.
pub fn equality<'a>(e: &'a Expr, own: &BTreeSet<ColId>) -> Option<(&'a Expr, &'a Expr)> {
    let Expr::Binary(op, l, r) = e else { return None };
    if !op.is("=") || e.any(&mut |e| matches!(e, Expr::Collate(..))) {
        return None;
    }
    let inner = |e: &Expr| !reads(e).is_empty() && reads(e).is_subset(own);
    let outer = |e: &Expr| reads(e).is_disjoint(own);
    [(l, r), (r, l)].into_iter().find(|(l, r)| outer(l) && inner(r)).map(|(l, r)| (&**l, &**r))
}

/// The expression with its columns replaced, inside of subqueries too.
pub fn replaced(e: &Expr, known: &BTreeMap<ColId, ColId>) -> Expr {
    Copier { ids: &mut Ids::default(), known: known.clone(), copies_subqueries: false }.expr(e.clone())
}

struct Copier<'a> {
    ids: &'a mut Ids,
    known: BTreeMap<ColId, ColId>,
    /// Whether the columns of subqueries get fresh ids as well. Otherwise only what they read from outside has another
    /// name.
    copies_subqueries: bool,
}

impl Copier<'_> {
    fn column(&mut self, column: Column) -> Column {
        let Column { id, name } = column;
        let ids = &mut *self.ids;
        let id = *self.known.entry(id).or_insert_with(|| ids.column(name.as_str()).id);
        Column { id, name }
    }

    fn id(&self, id: ColId) -> ColId {
        self.known.get(&id).copied().unwrap_or(id)
    }

    fn expr(&mut self, e: Expr) -> Expr {
        let known = self.known.clone();
        let mut column = |id: ColId| Ok(Expr::Column(known.get(&id).copied().unwrap_or(id)));
        let copies_subqueries = self.copies_subqueries;
        let mut query = |plan: Plan| {
            let mut within = Copier { ids: self.ids, known: known.clone(), copies_subqueries };
            Ok(if copies_subqueries { within.plan(plan) } else { within.outside(plan) })
        };
        let mapped = e.clone().try_map(&mut column, &mut query);
        // Neither of the mappers fails.
        mapped.unwrap_or(e)
    }

    /// A plan whose own columns keep their ids.
    fn outside(&mut self, plan: Plan) -> Plan {
        let plan = plan.map_inputs(&mut |input| self.outside(input));
        self.expressions(plan)
    }

    fn orders(&mut self, orders: Vec<Order>) -> Vec<Order> {
        orders.into_iter().map(|order| Order { expr: self.expr(order.expr), ..order }).collect()
    }

    /// The operator with its expressions mapped, its own columns as they are.
    fn expressions(&mut self, plan: Plan) -> Plan {
        match plan {
            Plan::Filter(x) => Plan::Filter(Box::new(Filter { predicate: self.expr(x.predicate), ..*x })),
            Plan::Project(x) => {
                let columns = x.columns.into_iter().map(|(column, e)| (column, self.expr(e))).collect();
                Plan::Project(Box::new(Project { columns, ..*x }))
            }
            Plan::Values(Values { columns, rows }) => {
                let rows = rows.into_iter().map(|row| row.into_iter().map(|e| self.expr(e)).collect()).collect();
                Plan::Values(Values { columns, rows })
            }
            Plan::Join(x) => {
                let predicates = x.predicates.into_iter().map(|e| self.expr(e)).collect();
                Plan::Join(Box::new(Join { predicates, ..*x }))
            }
            Plan::Outer(x) => Plan::Outer(Box::new(Outer { on: self.expr(x.on), ..*x })),
            Plan::Semi(x) => Plan::Semi(Box::new(Semi { on: self.expr(x.on), ..*x })),
            Plan::Window(x) => {
                let calls = x.calls.into_iter().map(|(column, e)| (column, self.expr(e))).collect();
                Plan::Window(Box::new(Window { calls, ..*x }))
            }
            Plan::TopK(x) => {
                let (order, limit) = (self.orders(x.order), x.limit.map(|e| self.expr(e)));
                let offset = x.offset.map(|e| self.expr(e));
                Plan::TopK(Box::new(TopK {
                    order,
                    limit,
                    offset,
                    input: x.input,
                    partition: x.partition,
                    ties: x.ties,
                }))
            }
            Plan::Expand(x) => {
                let columns = x.columns.into_iter().map(|(column, e)| (column, self.expr(e))).collect();
                Plan::Expand(Box::new(Expand { columns, ..*x }))
            }
            Plan::Unnest(x) => Plan::Unnest(Box::new(Unnest { call: self.expr(x.call), ..*x })),
            Plan::Scan(_) | Plan::UnionAll(_) | Plan::Aggregate(_) | Plan::Distinct(_) | Plan::Fixpoint(_) => plan,
        }
    }

    fn plan(&mut self, plan: Plan) -> Plan {
        let plan = plan.map_inputs(&mut |input| self.plan(input));
        let mut plan = self.expressions(plan);
        match &mut plan {
            Plan::Scan(Scan { columns, .. }) => {
                columns.iter_mut().for_each(|(column, _)| *column = self.column(column.clone()));
            }
            Plan::Values(Values { columns, .. }) => {
                columns.iter_mut().for_each(|column| *column = self.column(column.clone()));
            }
            Plan::Project(x) => x.columns = self.named(std::mem::take(&mut x.columns)),
            Plan::Expand(x) => x.columns = self.named(std::mem::take(&mut x.columns)),
            Plan::UnionAll(UnionAll { columns, inputs }) => {
                inputs.iter_mut().flat_map(|(_, ids)| ids).for_each(|id| *id = self.id(*id));
                columns.iter_mut().for_each(|column| *column = self.column(column.clone()));
            }
            Plan::Aggregate(x) => self.aggregate(x),
            Plan::Window(x) => {
                x.partition.iter_mut().for_each(|id| *id = self.id(*id));
                x.calls = self.named(std::mem::take(&mut x.calls));
            }
            Plan::TopK(x) => x.partition.iter_mut().for_each(|id| *id = self.id(*id)),
            Plan::Fixpoint(x) => {
                x.base.1.iter_mut().chain(&mut x.step.1).for_each(|id| *id = self.id(*id));
                x.columns.iter_mut().for_each(|column| *column = self.column(column.clone()));
            }
            Plan::Unnest(x) => x.columns.iter_mut().for_each(|(column, _)| *column = self.column(column.clone())),
            Plan::Filter(_) | Plan::Join(_) | Plan::Outer(_) | Plan::Semi(_) | Plan::Distinct(_) => {}
        }
        plan
    }

    fn named(&mut self, columns: Vec<(Column, Expr)>) -> Vec<(Column, Expr)> {
        columns.into_iter().map(|(column, e)| (self.column(column), e)).collect()
    }

    fn aggregate(&mut self, aggregate: &mut Aggregate) {
        aggregate.keys.iter_mut().for_each(|key| *key = self.column(key.clone()));
        for call in &mut aggregate.calls {
            let AggregateCall { column, args, order_by, within_group, filter, .. } = call;
            args.iter_mut().chain(filter).for_each(|id| *id = self.id(*id));
            *order_by = self.orders(std::mem::take(order_by));
            *within_group = self.orders(std::mem::take(within_group));
            *column = self.column(column.clone());
        }
    }
}
