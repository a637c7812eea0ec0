//! ⋈, inner join.   Bilinear:  Δ(P ⋈ R) = ΔP ⋈ R + P ⋈ ΔR − ΔP ⋈ ΔR
//!
//! States are read after the change, so each of the first two terms counts a pair of two new rows, and the third takes
//! one away. With one changed input there is one term, a single select.
//! With two there are those three, each a join of all inputs that the server orders as it likes. With more the
//! join is folded left, one input at a time, and ΔP is a step wherever two terms read it: with m changed inputs
//! there are 3m − 2 terms, never 2^m. Most rows of ΔP cancel, each taken away by the third term: they are added up
//! before they are read again, or there would be 3^m of them.
//!
//! The plan says which inputs are bounds ([`Role`]): of them, `P ⋈ ΔR` reads only the rows of P that flip, see
//! [`bounds`].

use std::collections::BTreeSet;

use crate::error::Result;
use crate::plan::{ColId, Column, Expr, Join, Plan, Role};

use super::product::{Input, Product, linked};
use super::{Cx, Delta, bounds, one_row};

pub fn delta(join: &Join, cx: &mut Cx) -> Result<Option<Delta>> {
    let mut inputs = vec![];
    for (at, state) in join.inputs.iter().enumerate() {
        let role = join.roles.get(at).copied().unwrap_or_default();
        inputs.push(Input { role, ..Input::new(state, cx.delta(state)?) });
    }
    for role in [Role::Bound, Role::Row] {
        inputs = one_row::united(inputs, role, cx)?;
    }
    of(inputs, &join.predicates, cx)
}

/// The delta of a join of inputs whose deltas are known.
pub fn of(inputs: Vec<Input>, predicates: &[Expr], cx: &mut Cx) -> Result<Option<Delta>> {
    let is_time = |input: &Input| input.role == Role::Clock && input.is_changed();
    let is_single = |input: &&Input| matches!(input.role, Role::Bound | Role::Row);
    let single = inputs.iter().filter(is_single).flat_map(|input| input.state.ids()).collect();
    let join = Predicates { all: predicates, single };
    let (clocks, inputs): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(is_time);
    let mut chain = match inputs.iter().filter(|input| input.is_changed()).count() {
        2 => Chain::of_two(inputs, join, cx)?,
        _ => Chain::folded(inputs, join, cx)?,
    };
    if !clocks.is_empty() {
        let clock = clocks.iter().flat_map(|input| input.state.columns()).collect();
        return chain.timed(bounds::Clock(clock), cx).map(Some);
    }
    chain.delta.take().map(|term| chain.evaluate(term, cx)).transpose()
}

struct Predicates<'a> {
    all: &'a [Expr],
    /// The columns of inputs of one row.
    single: BTreeSet<ColId>,
}

/// The fold so far: the inputs of P, and ΔP.
struct Chain<'a> {
    predicates: Predicates<'a>,
    states: Vec<Plan>,
    delta: Option<Term>,
}

struct Term {
    product: Product,
    /// P ⋈ ΔR of a bound R, with ΔR as the first input.
    moves_bounds: bool,
}

impl From<Product> for Term {
    fn from(product: Product) -> Term {
        Term { product, moves_bounds: false }
    }
}

impl<'a> Chain<'a> {
    /// One input after the other.
    fn folded(inputs: Vec<Input>, predicates: Predicates<'a>, cx: &mut Cx) -> Result<Chain<'a>> {
        // After the first change: the sooner unchanged inputs restrict ΔP, the smaller are its steps.
        let mut inputs = linked(inputs, predicates.all, |input| (&input.state, input.is_changed()));
        // After all that is compared with it, a changed bound need not be joined with all of it.
        inputs.sort_by_key(|input| input.role == Role::Bound && input.is_changed());
        let mut chain = Chain { predicates, states: vec![], delta: None };
        for input in inputs {
            chain.add(input, cx)?;
        }
        Ok(chain)
    }

    /// ΔP ⋈ R ⋈ S + P ⋈ ΔR ⋈ S − ΔP ⋈ ΔR ⋈ S, where S did not change.
    fn of_two(inputs: Vec<Input>, predicates: Predicates<'a>, cx: &mut Cx) -> Result<Chain<'a>> {
        let (changed, same): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(Input::is_changed);
        let states: Vec<Plan> = changed.iter().chain(&same).map(|input| input.state.clone()).collect();
        let roles: Vec<Role> = changed.iter().map(|input| input.role).collect();
        let deltas = changed.into_iter().filter_map(|input| input.delta);
        let deltas: Vec<Delta> = deltas.map(|delta| cx.shared(delta, "d", "bilinear")).collect();
        let term = |of: &[usize]| {
            let changed = || of.iter().map(|at| &deltas[*at]);
            let rest = states.iter().enumerate().filter(|(at, _)| !of.contains(at)).map(|(_, state)| state);
            let product = Product {
                inputs: changed().map(|delta| &delta.plan).chain(rest).cloned().collect(),
                weights: changed().map(|delta| delta.w.clone()).collect(),
                negative: of.len() == 2,
                joined: None,
                cancels: false,
            };
            Term { product, moves_bounds: matches!(of, [at] if roles[*at] == Role::Bound) }
        };
        let terms = [term(&[0]), term(&[1]), term(&[0, 1])];
        let mut chain = Chain { predicates, states, delta: None };
        chain.delta = Some(chain.sum(terms, None, cx)?);
        Ok(chain)
    }

    /// P ⋈ R from P.
    fn add(&mut self, input: Input, cx: &mut Cx) -> Result<()> {
        let moves_bounds = input.role == Role::Bound;
        self.delta = match (self.delta.take(), input.delta) {
            (None, None) => None,
            (Some(mut term), None) => {
                term.product.inputs.push(input.state.clone());
                Some(term)
            }
            (None, Some(delta)) => Some(Term { product: self.with_states(&delta), moves_bounds }),
            (Some(term), Some(delta)) => {
                let before = self.evaluate(term, cx)?;
                let before = cx.shared(before, "c", "bilinear");
                let delta = cx.shared(delta, "d", "bilinear");
                let all = Term { product: self.with_states(&delta), moves_bounds };
                let terms = [before.with_state(&input.state).into(), all, before.overlap(&delta).into()];
                Some(self.sum(terms, Some(&input.state), cx)?)
            }
        };
        self.states.push(input.state);
        Ok(())
    }

    /// P ⋈ Δclock + ΔP ⋈ (clock − Δclock)
    fn timed(mut self, clock: bounds::Clock, cx: &mut Cx) -> Result<Delta> {
        let mut terms = clock.crossed(&self.states, self.predicates.all, cx)?;
        if let Some(mut term) = self.delta.take() {
            term.product.inputs.push(clock.before());
            terms.push(self.evaluate(term, cx)?);
        }
        if let [_] = terms.as_slice() {
            return Ok(terms.remove(0));
        }
        let columns: Vec<Column> = self.states.iter().flat_map(Plan::columns).chain(clock.0).collect();
        Ok(Delta::total(columns, terms, &mut cx.ids))
    }

    /// P ⋈ ΔR
    fn with_states(&self, delta: &Delta) -> Product {
        let inputs = std::iter::once(delta.plan.clone()).chain(self.states.iter().cloned()).collect();
        Product { cancels: delta.cancels, ..Product::of(inputs, delta.w.clone()) }
    }

    fn evaluate(&self, term: Term, cx: &mut Cx) -> Result<Delta> {
        match term.moves_bounds {
            true => bounds::crossed(term.product, self.predicates.all, &self.predicates.single, cx),
            false => Ok(term.product.evaluate(self.predicates.all, cx)),
        }
    }

    /// The terms as one relation over the columns of P ⋈ R.
    fn sum(&self, terms: [Term; 3], last: Option<&Plan>, cx: &mut Cx) -> Result<Term> {
        let columns: Vec<Column> = self.states.iter().chain(last).flat_map(Plan::columns).collect();
        let joined: BTreeSet<ColId> = columns.iter().map(|column| column.id).collect();
        let terms = terms.into_iter().map(|term| self.evaluate(term, cx)).collect::<Result<_>>()?;
        let Delta { plan, w, .. } = Delta::total(columns, terms, &mut cx.ids);
        Ok(Product { joined: Some(joined), cancels: true, ..Product::of(vec![plan], w) }.into())
    }
}
