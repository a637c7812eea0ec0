//! ⋈, inner join.   Bilinear:  Δ(P ⋈ R) = ΔP ⋈ R + P ⋈ ΔR − ΔP ⋈ ΔR
//!
//! States are read after the change, so a pair of which both rows are new is counted by each of the
//! first two terms, and the third takes one away. With one changed input there is one term, a single select.
//! With two there are those three, each a join of all inputs that the server orders as it likes. With more the
//! join is folded left, one input at a time, and ΔP is a step wherever two terms read it: with m changed inputs
//! there are 3m − 2 terms, never 2^m. Of the rows of ΔP most cancel, each taken away by the third term: they are added up
//! before they are read again, or there would be 3^m of them.

use std::collections::BTreeSet;

use crate::clock::{self, BEFORE};
use crate::error::Result;
use crate::plan::{ColId, Column, Expr, Join, Plan};

use super::clock::Timed;
use super::{Cx, Delta, single, threshold};

pub fn delta(join: &Join, cx: &mut Cx) -> Result<Option<Delta>> {
    let mut inputs = vec![];
    for state in &join.inputs {
        inputs.push(Input::new(state, cx.delta(state)?));
    }
    let inputs = threshold::united(inputs, join, cx)?;
    let inputs = single::united(inputs, cx)?;
    of(inputs, &join.predicates, cx)
}

/// The delta of a join of inputs whose deltas are known.
pub fn of(inputs: Vec<Input>, predicates: &[Expr], cx: &mut Cx) -> Result<Option<Delta>> {
    let (clocks, inputs): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(Input::is_ticking);
    let chain = match inputs.iter().filter(|input| input.delta.is_some()).count() {
        2 => Chain::of_two(inputs, predicates, cx)?,
        _ => Chain::folded(inputs, predicates, cx)?,
    };
    if clocks.is_empty() {
        return chain.delta.map(|term| term.evaluate(predicates, cx)).transpose();
    }
    let clock: Vec<Column> = clocks.iter().flat_map(|input| input.state.columns()).collect();
    chain.timed(&clock, cx).map(Some)
}

/// An input of the join and its delta.
pub struct Input {
    pub state: Plan,
    pub delta: Option<Delta>,
    /// One row that nobody is shown, see [`threshold`].
    pub threshold: bool,
}

impl Input {
    pub fn new(state: &Plan, delta: Option<Delta>) -> Input {
        Input { state: state.clone(), delta, threshold: false }
    }

    /// The clock, where time has passed.
    fn is_ticking(&self) -> bool {
        self.delta.is_some() && clock::is_scan(&self.state)
    }
}

/// The fold so far: the inputs of P, and ΔP.
struct Chain<'a> {
    predicates: &'a [Expr],
    states: Vec<Plan>,
    delta: Option<Term>,
}

/// A product of inputs with weights. Predicates among `joined` columns already hold.
pub struct Term {
    pub inputs: Vec<Plan>,
    pub weights: Vec<Column>,
    negative: bool,
    joined: Option<BTreeSet<ColId>>,
    /// As of a [`Delta`].
    cancels: bool,
    /// P ⋈ ΔS of a threshold S; ΔS is the first input.
    threshold: bool,
}

impl<'a> Chain<'a> {
    /// One input after the other.
    fn folded(inputs: Vec<Input>, predicates: &'a [Expr], cx: &mut Cx) -> Result<Chain<'a>> {
        // After the first change: the sooner unchanged inputs restrict ΔP, the less there is to write down.
        let mut inputs = linked(inputs, predicates, |input| (&input.state, input.delta.is_some()));
        // Where all that it is compared with is there, a threshold need not be joined with all of it.
        inputs.sort_by_key(|input| input.threshold);
        let mut chain = Chain { predicates, states: vec![], delta: None };
        for input in inputs {
            chain.add(input, cx)?;
        }
        Ok(chain)
    }

    /// ΔP ⋈ R ⋈ S + P ⋈ ΔR ⋈ S − ΔP ⋈ ΔR ⋈ S, where S did not change.
    fn of_two(inputs: Vec<Input>, predicates: &'a [Expr], cx: &mut Cx) -> Result<Chain<'a>> {
        let (changed, same): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(|input| input.delta.is_some());
        let states: Vec<Plan> = changed.iter().chain(&same).map(|input| input.state.clone()).collect();
        let thresholds: Vec<bool> = changed.iter().map(|input| input.threshold).collect();
        let deltas = changed.into_iter().filter_map(|input| input.delta);
        let deltas: Vec<Delta> = deltas.map(|delta| cx.shared(delta, "d", "bilinear")).collect();
        let product = |of: &[usize]| {
            let changed = || of.iter().map(|at| &deltas[*at]);
            let rest = states.iter().enumerate().filter(|(at, _)| !of.contains(at)).map(|(_, state)| state);
            Term {
                inputs: changed().map(|delta| &delta.plan).chain(rest).cloned().collect(),
                weights: changed().map(|delta| delta.w.clone()).collect(),
                negative: of.len() == 2,
                joined: None,
                cancels: false,
                threshold: matches!(of, [at] if thresholds[*at]),
            }
        };
        let terms = vec![product(&[0]), product(&[1]), product(&[0, 1])];
        let mut chain = Chain { predicates, states, delta: None };
        chain.delta = Some(chain.sum(terms, None, cx)?);
        Ok(chain)
    }

    /// P ⋈ R from P.
    fn add(&mut self, input: Input, cx: &mut Cx) -> Result<()> {
        self.delta = match (self.delta.take(), input.delta) {
            (None, None) => None,
            (Some(mut term), None) => {
                term.inputs.push(input.state.clone());
                Some(term)
            }
            (None, Some(delta)) => Some(self.with_states(&delta, input.threshold)),
            (Some(term), Some(delta)) => {
                let before = term.evaluate(self.predicates, cx)?;
                let before = cx.shared(before, "c", "bilinear");
                let delta = cx.shared(delta, "d", "bilinear");
                let all = self.with_states(&delta, input.threshold);
                let states = [before.against(&input.state), all, before.overlap(&delta)];
                Some(self.sum(states.into(), Some(&input.state), cx)?)
            }
        };
        self.states.push(input.state);
        Ok(())
    }

    /// P ⋈ Δclock + ΔP ⋈ (clock − Δclock)
    fn timed(self, clock: &[Column], cx: &mut Cx) -> Result<Delta> {
        let timed = Timed { states: &self.states, predicates: self.predicates, clock };
        let mut terms = timed.crossing(cx)?;
        if let Some(mut term) = self.delta {
            term.inputs.push(clock::reading(clock, BEFORE));
            terms.push(term.evaluate(self.predicates, cx)?);
        }
        if let [_] = terms.as_slice() {
            return Ok(terms.remove(0));
        }
        let columns: Vec<Column> = self.states.iter().flat_map(Plan::columns).chain(clock.iter().cloned()).collect();
        Ok(Delta::total(columns, terms, &mut cx.ids))
    }

    /// P ⋈ ΔR
    fn with_states(&self, delta: &Delta, threshold: bool) -> Term {
        let inputs = std::iter::once(delta.plan.clone()).chain(self.states.iter().cloned()).collect();
        Term { threshold, cancels: delta.cancels, ..Term::of(inputs, delta.w.clone()) }
    }

    /// The terms as one relation over the columns of P ⋈ R.
    fn sum(&self, terms: Vec<Term>, last: Option<&Plan>, cx: &mut Cx) -> Result<Term> {
        let columns: Vec<Column> = self.states.iter().chain(last).flat_map(Plan::columns).collect();
        let joined: BTreeSet<ColId> = columns.iter().map(|column| column.id).collect();
        let terms = terms.into_iter().map(|term| term.evaluate(self.predicates, cx)).collect::<Result<_>>()?;
        let Delta { plan, w, .. } = Delta::total(columns, terms, &mut cx.ids);
        Ok(Term { joined: Some(joined), cancels: true, ..Term::of(vec![plan], w) })
    }
}

impl Delta {
    /// ΔP ⋈ R
    fn against(&self, state: &Plan) -> Term {
        let joined = self.plan.columns().iter().map(|column| column.id).collect();
        let inputs = vec![self.plan.clone(), state.clone()];
        Term { joined: Some(joined), ..Term::of(inputs, self.w.clone()) }
    }

    /// −ΔP ⋈ ΔR
    fn overlap(&self, other: &Delta) -> Term {
        let weights = vec![self.w.clone(), other.w.clone()];
        Term { weights, negative: true, ..self.against(&other.plan) }
    }
}

impl Term {
    /// The product of inputs of which one has this weight.
    pub fn of(inputs: Vec<Plan>, w: Column) -> Term {
        Term { inputs, weights: vec![w], negative: false, joined: None, cancels: false, threshold: false }
    }

    /// The columns beside the weights.
    pub fn columns(&self) -> Vec<Column> {
        let all = self.inputs.iter().flat_map(Plan::columns);
        all.filter(|column| !self.weights.contains(column)).collect()
    }

    /// Whether all columns that a predicate reads are here.
    pub fn decides(&self, e: &Expr) -> bool {
        let all: BTreeSet<ColId> = self.inputs.iter().flat_map(Plan::columns).map(|column| column.id).collect();
        e.columns().into_iter().all(|id| all.contains(id))
    }

    /// The product, restricted by the predicates that its columns decide, with one weight.
    pub fn evaluate(self, predicates: &[Expr], cx: &mut Cx) -> Result<Delta> {
        if self.threshold {
            return threshold::crossing(self, predicates, cx);
        }
        let (columns, cancels) = (self.columns(), self.cancels);
        let held =
            |e: &Expr| self.joined.as_ref().is_some_and(|joined| e.columns().into_iter().all(|id| joined.contains(id)));
        let restrict: Vec<Expr> = predicates.iter().filter(|e| self.decides(e) && !held(e)).cloned().collect();
        let Term { inputs, mut weights, negative, .. } = self;
        let mut inputs = linked(inputs, &restrict, |input| (input, false));
        let plan = match (inputs.len(), restrict.is_empty()) {
            (1, true) => inputs.remove(0),
            _ => Plan::join(inputs, restrict),
        };
        if let (1, false) = (weights.len(), negative) {
            return Ok(Delta { cancels, ..Delta::new(plan, weights.remove(0)) });
        }
        let product =
            weights.iter().map(Column::expr).reduce(|l, r| Expr::binary("*", l, r)).unwrap_or(Expr::number(1));
        let product = if negative { Expr::Unary(crate::expr::Op::plain("-"), Box::new(product)) } else { product };
        let w = cx.ids.column("w");
        let columns = columns.iter().map(Column::pass).chain([(w.clone(), product)]).collect();
        Ok(Delta { cancels, ..Delta::new(plan.project(columns), w) })
    }
}

/// The items in an order in which each is linked to those before it by a predicate, where there is one, if
/// possible by an equality: otherwise a chain of joins would have products on its way. A changed item, as `seen`
/// tells, comes first, and the others after all that can be linked without them.
pub fn linked<T>(mut items: Vec<T>, predicates: &[Expr], seen: impl Fn(&T) -> (&Plan, bool)) -> Vec<T> {
    let first = items.iter().position(|item| seen(item).1).unwrap_or(0);
    let mut known: BTreeSet<ColId> = BTreeSet::new();
    let mut ordered = vec![];
    while !items.is_empty() {
        let rank = |item: &T| {
            let (plan, changed) = seen(item);
            (link(plan, &known, predicates), changed)
        };
        let next = (0..items.len()).min_by_key(|at| rank(&items[*at])).unwrap_or(0);
        let item = items.remove(if ordered.is_empty() { first } else { next });
        known.extend(seen(&item).0.columns().iter().map(|column| column.id));
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
    let own: BTreeSet<ColId> = plan.columns().iter().map(|column| column.id).collect();
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
