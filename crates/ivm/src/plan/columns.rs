//! Columns across a whole plan: those that it reads, and copies with ids of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::{ColId, Column, Expr, Ids, Plan};

impl Plan {
    /// The columns that the plan reads and does not have: those of the queries around it.
    pub fn free(&self) -> BTreeSet<ColId> {
        let (mut own, mut free) = (BTreeSet::new(), BTreeSet::new());
        for input in self.inputs() {
            own.extend(input.ids());
            free.extend(input.free());
        }
        if let Plan::Lateral(lateral) = self {
            lateral.left.ids().iter().for_each(|id| _ = free.remove(id));
        }
        free.extend(self.expressions().into_iter().flat_map(reads).filter(|id| !own.contains(id)));
        free
    }

    /// The columns of its inputs that the operator reads outside of expressions.
    pub fn named_columns(&self) -> Vec<ColId> {
        let named = self.named().into_iter().copied();
        match self {
            Plan::Distinct(distinct) => distinct.input.ids().into_iter().collect(),
            Plan::Aggregate(aggregate) => named.chain(aggregate.keys.iter().map(|key| key.id)).collect(),
            _ => named.collect(),
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
    fn expr(&mut self, e: Expr) -> Expr {
        let known = self.known.clone();
        let mut column = |id: ColId| Ok(Expr::Column(known.get(&id).copied().unwrap_or(id)));
        let copies_subqueries = self.copies_subqueries;
        let mut query = |plan: Plan| {
            let mut within = Copier { ids: self.ids, known: known.clone(), copies_subqueries };
            Ok(within.plan(plan))
        };
        let mapped = e.clone().try_map(&mut column, &mut query);
        // Neither of the mappers fails.
        mapped.unwrap_or(e)
    }

    fn plan(&mut self, mut plan: Plan) -> Plan {
        plan.inputs_mut().into_iter().for_each(|input| *input = self.plan(input.take()));
        for e in plan.expressions_mut() {
            *e = self.expr(std::mem::replace(e, Expr::null()));
        }
        if self.copies_subqueries {
            plan.named_mut().into_iter().for_each(|id| *id = self.known.get(id).copied().unwrap_or(*id));
            for Column { id, name } in plan.listed_mut() {
                *id = *self.known.entry(*id).or_insert_with(|| self.ids.column(name.as_str()).id);
            }
        }
        plan
    }
}
