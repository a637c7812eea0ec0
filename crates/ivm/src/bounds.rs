//! Bounds: comparisons `e op f` of many rows, which `e` reads, with the one row that `f` reads.
//!
//! When that row changes, a row `p` flips only if `e(p)` lies between the old and the new value of `f`: the comparison
//! holds for one of them and fails for the other. The comparison's own operator and its opposite express that, and so
//! in its collation and without an order of the two values: of `e > old AND e <= new` and `e > new AND e <= old` one is
//! empty, and an index on `e` serves both.

use std::collections::BTreeSet;

use crate::expr::Expr as E;
use crate::plan::{ColId, Expr, reads};
use crate::sql::ident::QName;

/// Operators, each with the one that holds where it fails, NULLs aside. Where a bound of an equality moves, only its
/// old and its new value matter.
const OPPOSITES: [(&str, Option<&str>); 5] =
    [("<", Some(">=")), ("<=", Some(">")), (">", Some("<=")), (">=", Some("<")), ("=", None)];

/// A condition of which one side reads bounds, the other none.
#[derive(Clone)]
pub struct Comparison<'a> {
    symbol: &'static str,
    opposite: Option<&'static str>,
    pub e: &'a Expr,
    pub f: &'a Expr,
    /// `f op e`.
    swapped: bool,
}

/// How a predicate of a join reads its bounds.
pub enum Reading<'a> {
    None,
    /// Of rows that are one at most alone: it holds or fails whatever the other inputs have.
    Gate,
    Comparison(Comparison<'a>),
    Other,
}

impl<'a> Reading<'a> {
    /// Of a predicate over inputs of which the columns `bounds` set bounds and the columns `single` are of one row at
    /// most, the bounds among them.
    pub fn of(e: &'a Expr, bounds: &BTreeSet<ColId>, single: &BTreeSet<ColId>) -> Reading<'a> {
        let read = reads(e);
        if read.is_disjoint(bounds) {
            return Reading::None;
        }
        if !e.subqueries().is_empty() {
            return Reading::Other;
        }
        if read.is_subset(single) {
            return Reading::Gate;
        }
        match Comparison::of(e, bounds) {
            Some(comparison) if reads(comparison.f).is_subset(single) => Reading::Comparison(comparison),
            _ => Reading::Other,
        }
    }
}

impl<'a> Comparison<'a> {
    /// The comparisons of a condition that joins them by AND, OR, NOT, IS, CASE and COALESCE: where it differs between two values of
    /// the bounds, one of them does. None where it reads the bounds in another way.
    pub fn all(e: &'a Expr, bounds: &BTreeSet<ColId>) -> Option<Vec<Comparison<'a>>> {
        if reads(e).is_disjoint(bounds) {
            return Some(vec![]);
        }
        if let Some(comparison) = Comparison::of(e, bounds).filter(|it| reads(it.f).is_subset(bounds)) {
            return Some(vec![comparison]);
        }
        let parts: Vec<&Expr> = match e {
            E::And(list) | E::Or(list) => list.iter().collect(),
            E::Not(e) | E::Is(e, _) => vec![e],
            E::Case(case) if case.operand.is_none() => {
                case.arms.iter().flat_map(|(holds, value)| [holds, value]).chain(&case.otherwise).collect()
            }
            E::Call(call) if call.name == QName::bare("coalesce") => call.args.iter().map(|arg| &arg.value).collect(),
            _ => return None,
        };
        parts
            .into_iter()
            .map(|e| Comparison::all(e, bounds))
            .collect::<Option<Vec<_>>>()
            .map(|all| all.into_iter().flatten().collect())
    }

    fn of(condition: &'a Expr, bounds: &BTreeSet<ColId>) -> Option<Comparison<'a>> {
        let E::Binary(op, l, r) = condition else { return None };
        let (symbol, opposite) = OPPOSITES.into_iter().find(|(symbol, _)| op.is(symbol))?;
        let [swapped, plain] = [l, r].map(|side| !reads(side).is_disjoint(bounds));
        let (e, f): (&Expr, &Expr) = if swapped { (r, l) } else { (l, r) };
        // Where `f` names a collation it is that of the comparison, which a subquery would not pass on.
        let collated = f.any(&mut |f| matches!(f, E::Collate(..)));
        let scalar = [e, f].iter().all(|side| !matches!(side, E::Row(_)));
        (swapped != plain && !collated && scalar).then_some(Comparison { symbol, opposite, e, f, swapped })
    }

    /// Holds where the comparison does with one of the values and not with the other, and with no NULL.
    pub fn flips(&self, old: &Expr, new: &Expr) -> Expr {
        let Some(opposite) = self.opposite else {
            return E::any_of(vec![self.with("=", old), self.with("=", new)]);
        };
        let lies = |holds: &Expr, fails: &Expr| E::all(vec![self.with(self.symbol, holds), self.with(opposite, fails)]);
        E::any_of(vec![lies(old, new), lies(new, old)])
    }

    /// As `flips`, of values that are ordered in one way and `e` on the left: one range, from the lower to the higher
    /// value, with the end at which the comparison differs. That of an equality has both ends.
    pub fn range(&self, low: Expr, high: Expr) -> Vec<Expr> {
        let (above, below) = match self.symbol {
            "=" => (">=", "<="),
            ">" | "<=" => (">", "<="),
            _ => (">=", "<"),
        };
        vec![self.with(above, &low), self.with(below, &high)]
    }

    /// Whether the range of equal values is not empty.
    pub fn is_equality(&self) -> bool {
        self.opposite.is_none()
    }

    fn with(&self, symbol: &str, value: &Expr) -> Expr {
        match self.swapped {
            true => E::binary(symbol, value.clone(), self.e.clone()),
            false => E::binary(symbol, self.e.clone(), value.clone()),
        }
    }
}
