//! Walking plans: what an operator reads and lists, by reference and by mutable reference.

use std::collections::BTreeSet;

use super::{ColId, Column, Expr, Plan, Relation, Scan, Values};

/// The same walkers over `&` and over `&mut`.
macro_rules! walkers {
    ($inputs:ident, $expressions:ident, $listed:ident, $named:ident, $iter:ident $(, $mut:tt)?) => {
        /// The inputs, left to right.
        pub fn $inputs(&$($mut)? self) -> Vec<&$($mut)? Plan> {
            match self {
                Plan::Scan(_) | Plan::Values(_) => vec![],
                Plan::Filter(x) => vec![&$($mut)? x.input],
                Plan::Project(x) | Plan::Expand(x) => vec![&$($mut)? x.input],
                Plan::Join(x) => x.inputs.$iter().collect(),
                Plan::Outer(x) => vec![&$($mut)? x.left, &$($mut)? x.right],
                Plan::Semi(x) => vec![&$($mut)? x.left, &$($mut)? x.right],
                Plan::Lateral(x) => vec![&$($mut)? x.left, &$($mut)? x.right],
                Plan::UnionAll(x) => x.inputs.$iter().map(|(input, _)| input).collect(),
                Plan::Aggregate(x) => vec![&$($mut)? x.input],
                Plan::Distinct(x) => vec![&$($mut)? x.input],
                Plan::Window(x) => vec![&$($mut)? x.input],
                Plan::TopK(x) => vec![&$($mut)? x.input],
                Plan::Unnest(x) => vec![&$($mut)? x.input],
                Plan::Fixpoint(x) => vec![&$($mut)? x.base.0, &$($mut)? x.step.0],
            }
        }

        /// The expressions of this operator, in reading order, without those of its inputs.
        pub fn $expressions(&$($mut)? self) -> Vec<&$($mut)? Expr> {
            match self {
                Plan::Scan(_) | Plan::UnionAll(_) | Plan::Distinct(_) | Plan::Fixpoint(_) | Plan::Lateral(_) => vec![],
                Plan::Values(x) => x.rows.$iter().flatten().collect(),
                Plan::Filter(x) => vec![&$($mut)? x.predicate],
                Plan::Project(x) | Plan::Expand(x) => x.columns.$iter().map(|(_, e)| e).collect(),
                Plan::Join(x) => x.predicates.$iter().collect(),
                Plan::Outer(x) => vec![&$($mut)? x.on],
                Plan::Semi(x) => vec![&$($mut)? x.on],
                Plan::Aggregate(x) => {
                    let orders = x.calls.$iter().flat_map(|call| call.order_by.$iter().chain(call.within_group.$iter()));
                    orders.map(|order| &$($mut)? order.expr).collect()
                }
                Plan::Window(x) => x.calls.$iter().map(|(_, e)| e).collect(),
                Plan::TopK(x) => {
                    let keys = x.order.$iter().map(|order| &$($mut)? order.expr);
                    keys.chain(x.limit.$iter()).chain(x.offset.$iter()).collect()
                }
                Plan::Unnest(x) => vec![&$($mut)? x.call],
            }
        }

        /// The output columns that the operator itself lists, whether it makes them or passes them on.
        pub(super) fn $listed(&$($mut)? self) -> Vec<&$($mut)? Column> {
            match self {
                Plan::Scan(x) => x.columns.$iter().map(|(column, _)| column).collect(),
                Plan::Values(x) => x.columns.$iter().collect(),
                Plan::Project(x) | Plan::Expand(x) => x.columns.$iter().map(|(column, _)| column).collect(),
                Plan::UnionAll(x) => x.columns.$iter().collect(),
                Plan::Aggregate(x) => {
                    x.keys.$iter().chain(x.calls.$iter().map(|call| &$($mut)? call.column)).collect()
                }
                Plan::Window(x) => x.calls.$iter().map(|(column, _)| column).collect(),
                Plan::Unnest(x) => x.columns.$iter().map(|(column, _)| column).collect(),
                Plan::Fixpoint(x) => x.columns.$iter().collect(),
                Plan::Filter(_) | Plan::Join(_) | Plan::Outer(_) | Plan::Semi(_) => vec![],
                Plan::Distinct(_) | Plan::TopK(_) | Plan::Lateral(_) => vec![],
            }
        }

        /// The columns of its inputs that the operator names by their ids alone.
        pub(super) fn $named(&$($mut)? self) -> Vec<&$($mut)? ColId> {
            match self {
                Plan::UnionAll(x) => x.inputs.$iter().flat_map(|(_, ids)| ids).collect(),
                Plan::Aggregate(x) => {
                    x.calls.$iter().flat_map(|call| call.args.$iter().chain(call.filter.$iter())).collect()
                }
                Plan::Window(x) => x.partition.$iter().collect(),
                Plan::TopK(x) => x.partition.$iter().collect(),
                Plan::Fixpoint(x) => x.base.1.$iter().chain(x.step.1.$iter()).collect(),
                Plan::Scan(_) | Plan::Values(_) | Plan::Filter(_) | Plan::Project(_) | Plan::Join(_) => vec![],
                Plan::Outer(_) | Plan::Semi(_) | Plan::Distinct(_) | Plan::Expand(_) | Plan::Unnest(_) => vec![],
                Plan::Lateral(_) => vec![],
            }
        }
    };
}

impl Plan {
    walkers!(inputs, expressions, listed, named, iter);
    walkers!(inputs_mut, expressions_mut, listed_mut, named_mut, iter_mut, mut);

    /// The same operator over other inputs, each made from the one it replaces, left to right.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn try_map_inputs<E>(mut self, f: &mut impl FnMut(Plan) -> Result<Plan, E>) -> Result<Plan, E> {
        for input in self.inputs_mut() {
            *input = f(input.take())?;
        }
        Ok(self)
    }

    /// As [`Plan::try_map_inputs`], where nothing can go wrong.
    pub fn map_inputs(mut self, f: &mut impl FnMut(Plan) -> Plan) -> Plan {
        self.inputs_mut().into_iter().for_each(|input| *input = f(input.take()));
        self
    }

    /// The plan, in whose place no rows are left.
    pub fn take(&mut self) -> Plan {
        std::mem::replace(self, Plan::Values(Values { columns: vec![], rows: vec![] }))
    }

    /// Calls `f` for every scan of the plan outside of subqueries, left to right.
    pub fn scans<'a>(&'a self, f: &mut impl FnMut(&'a Scan)) {
        match self {
            Plan::Scan(scan) => f(scan),
            other => other.inputs().into_iter().for_each(|input| input.scans(f)),
        }
    }

    /// Calls `f` for every operator of the plan and of the subqueries in its expressions, inputs after their consumers.
    pub fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Plan)) {
        f(self);
        self.inputs().into_iter().for_each(|input| input.visit(f));
        self.expressions().into_iter().flat_map(|e| e.subqueries()).for_each(|query| query.visit(f));
    }

    /// The relations that the plan and the subqueries in its expressions read.
    pub fn relations(&self) -> BTreeSet<Relation> {
        let mut all = BTreeSet::new();
        self.visit(&mut |plan| {
            if let Plan::Scan(scan) = plan {
                all.insert(scan.relation.clone());
            }
        });
        all
    }

    /// Whether a scan of the plan or of a subquery in its expressions reads this relation.
    pub fn reads(&self, relation: &Relation) -> bool {
        self.relations().contains(relation)
    }
}
