//! Comparisons `e op f` of many rows, which `e` reads, with the one row that `f` reads.
//!
//! When that row moves, a row `p` flips only if `e(p)` lies between the old and the new value of `f`: the comparison
//! holds for one of them and fails for the other. That is said by the comparison's own operator and the one that says
//! the opposite, and so in its collation, in no order of the two values: of `e > old AND e <= new` and
//! `e > new AND e <= old` one is empty, and an index on `e` serves both.

use std::collections::BTreeSet;

use crate::expr::Expr as E;
use crate::plan::{ColId, Expr, reads};

/// Operators, each with the one that holds where it does not, but for NULLs. Where a bound of an equality moves, only
/// its old and its new value matter.
const OPPOSITES: [(&str, Option<&str>); 5] =
    [("<", Some(">=")), ("<=", Some(">")), (">", Some("<=")), (">=", Some("<")), ("=", None)];

/// A condition of which one side reads moving columns, the other none of them.
pub struct Comparison<'a> {
    pub symbol: &'static str,
    opposite: Option<&'static str>,
    pub e: &'a Expr,
    pub f: &'a Expr,
    /// `f op e`.
    swapped: bool,
}

impl<'a> Comparison<'a> {
    pub fn of(condition: &'a Expr, moving: &BTreeSet<ColId>) -> Option<Comparison<'a>> {
        let E::Binary(op, l, r) = condition else { return None };
        let (symbol, opposite) = OPPOSITES.into_iter().find(|(symbol, _)| op.is(symbol))?;
        let (l_moves, r_moves) = (!reads(l).is_disjoint(moving), !reads(r).is_disjoint(moving));
        let swapped = l_moves;
        let (e, f): (&Expr, &Expr) = if swapped { (r, l) } else { (l, r) };
        // Where `f` names a collation it is that of the comparison, which a subquery would not pass on.
        let plain = !f.any(&mut |f| matches!(f, E::Collate(..)));
        let scalar = [e, f].iter().all(|side| !matches!(side, E::Row(_)) && side.subqueries().is_empty());
        (l_moves != r_moves && plain && scalar).then_some(Comparison { symbol, opposite, e, f, swapped })
    }

    /// Holds where the comparison does with one of the values and not with the other, and with no NULL.
    pub fn flips(&self, old: &Expr, new: &Expr) -> Expr {
        let Some(opposite) = self.opposite else {
            return E::any_of(vec![self.with("=", old), self.with("=", new)]);
        };
        let lies = |holds: &Expr, fails: &Expr| E::all(vec![self.with(self.symbol, holds), self.with(opposite, fails)]);
        E::any_of(vec![lies(old, new), lies(new, old)])
    }

    fn with(&self, symbol: &str, value: &Expr) -> Expr {
        match self.swapped {
            true => E::binary(symbol, value.clone(), self.e.clone()),
            false => E::binary(symbol, self.e.clone(), value.clone()),
        }
    }
}
