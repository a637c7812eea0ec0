//! Operators.

use super::Op;

/// The comparisons of `pg_catalog`, which never fail and are NULL only for a NULL: each with the one that holds where its sides are
/// exchanged, and the one that holds where it does not.
const COMPARISONS: [[&str; 3]; 6] =
    [["=", "=", "<>"], ["<>", "<>", "="], ["<", ">", ">="], ["<=", ">=", ">"], [">", "<", "<="], [">=", "<=", "<"]];

impl Op {
    /// An operator of `pg_catalog`, printed bare.
    pub fn plain(symbol: &str) -> Op {
        Op { schema: None, symbol: symbol.to_owned() }
    }

    /// Whether this is the bare operator `symbol`.
    pub fn is(&self, symbol: &str) -> bool {
        self.schema.is_none() && self.symbol == symbol
    }

    pub fn is_comparison(&self) -> bool {
        self.comparison().is_some()
    }

    /// The comparison `b op a` for `a op b`.
    pub fn exchanged(&self) -> Option<Op> {
        self.comparison().map(|[_, exchanged, _]| Op::plain(exchanged))
    }

    /// The comparison that is true where this one is false.
    pub fn negated(&self) -> Option<Op> {
        self.comparison().map(|[.., negated]| Op::plain(negated))
    }

    fn comparison(&self) -> Option<&'static [&'static str; 3]> {
        COMPARISONS.iter().find(|[symbol, ..]| self.is(symbol))
    }
}
