//! Products of states and deltas: the terms of the bilinear law.

use std::collections::BTreeSet;

use crate::expr::Op;
use crate::plan::{ColId, Column, Expr, Plan, Role};

use super::{Cx, Delta};

/// An input of a join and its delta.
pub struct Input {
    pub state: Plan,
    pub delta: Option<Delta>,
    pub role: Role,
}

impl Input {
    pub fn new(state: &Plan, delta: Option<Delta>) -> Input {
        Input { state: state.clone(), delta, role: Role::Rows }
    }

    pub fn is_changed(&self) -> bool {
        self.delta.is_some()
    }
}

/// A product of states and deltas; the weight of a row is the product of the deltas' weights.
pub struct Product {
    pub inputs: Vec<Plan>,
    pub weights: Vec<Column>,
    pub negative: bool,
    /// Columns among which all predicates already hold.
    pub joined: Option<BTreeSet<ColId>>,
    /// As of a [`Delta`].
    pub cancels: bool,
}

impl Product {
    /// The product of inputs of which one has this weight.
    pub fn of(inputs: Vec<Plan>, w: Column) -> Product {
        Product { inputs, weights: vec![w], negative: false, joined: None, cancels: false }
    }

    /// The columns other than the weights.
    pub fn columns(&self) -> Vec<Column> {
        let all = self.inputs.iter().flat_map(Plan::columns);
        all.filter(|column| !self.weights.contains(column)).collect()
    }

    /// Those of the predicates that read only columns of the product.
    pub fn decided(&self, predicates: &[Expr]) -> Vec<Expr> {
        let all: BTreeSet<ColId> = self.inputs.iter().flat_map(Plan::ids).collect();
        predicates.iter().filter(|e| e.columns().into_iter().all(|id| all.contains(id))).cloned().collect()
    }

    /// The product, restricted by the predicates that its columns decide, with one weight.
    pub fn evaluate(self, predicates: &[Expr], cx: &mut Cx) -> Delta {
        let columns = self.columns();
        let mut restrict = self.decided(predicates);
        let Product { inputs, mut weights, negative, joined, cancels } = self;
        if let Some(joined) = joined {
            restrict.retain(|e| !e.columns().into_iter().all(|id| joined.contains(id)));
        }
        let mut inputs = linked(inputs, &restrict, |input| (input, false));
        let plan = match (inputs.len(), restrict.is_empty()) {
            (1, true) => inputs.remove(0),
            _ => Plan::join(inputs, restrict),
        };
        if let (1, false) = (weights.len(), negative) {
            return Delta { cancels, ..Delta::new(plan, weights.remove(0)) };
        }
        let product =
            weights.iter().map(Column::expr).reduce(|l, r| Expr::binary("*", l, r)).unwrap_or(Expr::number(1));
        let product = if negative { Expr::Unary(Op::plain("-"), Box::new(product)) } else { product };
        Delta { cancels, ..Delta::weighted(plan, &columns, product, &mut cx.ids) }
    }
}

impl Delta {
    /// ΔP ⋈ R, where ΔP satisfies the predicates among its own columns.
    pub fn with_state(&self, state: &Plan) -> Product {
        let inputs = vec![self.plan.clone(), state.clone()];
        Product { joined: Some(self.plan.ids()), ..Product::of(inputs, self.w.clone()) }
    }

    /// −ΔP ⋈ ΔR
    pub fn overlap(&self, other: &Delta) -> Product {
        let weights = vec![self.w.clone(), other.w.clone()];
        Product { weights, negative: true, ..self.with_state(&other.plan) }
    }
}

/// The items in an order in which a predicate links each to those before it, where there is one, if possible an
/// equality: otherwise a chain of joins would contain cross products. The item that is to `lead` comes first, others
/// like it after all that can be linked without them.
pub fn linked<T>(mut items: Vec<T>, predicates: &[Expr], seen: impl Fn(&T) -> (&Plan, bool)) -> Vec<T> {
    let first = items.iter().position(|item| seen(item).1).unwrap_or(0);
    let mut known: BTreeSet<ColId> = BTreeSet::new();
    let mut ordered = vec![];
    while !items.is_empty() {
        let rank = |item: &T| {
            let (plan, leads) = seen(item);
            (link(plan, &known, predicates), leads)
        };
        let next = (0..items.len()).min_by_key(|at| rank(&items[*at])).unwrap_or(0);
        let item = items.remove(if ordered.is_empty() { first } else { next });
        known.extend(seen(&item).0.ids());
        ordered.push(item);
    }
    ordered
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Link {
    Equality,
    Condition,
    None,
}

/// The best link of a plan to the columns that are known.
fn link(plan: &Plan, known: &BTreeSet<ColId>, predicates: &[Expr]) -> Link {
    let own = plan.ids();
    let kind = |e: &Expr| {
        let columns = e.columns();
        let decided = columns.iter().all(|id| own.contains(id) || known.contains(id));
        let links = columns.iter().any(|id| own.contains(id)) && columns.iter().any(|id| known.contains(id));
        match e {
            _ if !decided || !links => Link::None,
            Expr::Binary(op, ..) if op.is("=") => Link::Equality,
            _ => Link::Condition,
        }
    };
    predicates.iter().map(kind).min().unwrap_or(Link::None)
}
