//! UNION ALL: weights count derivations, and `T = Σ Sᵏ(B)`.
//!
//! Between the old state and the new one there is `T₀`, of `B₀` and the parts `E₀`, without the deleted rows and
//! before the inserted ones. As `B₀ ≤ B, B'` and `E₀ ≤ E, E'`, and `S` grows with its arguments, `T₀ ≤ T, T'`.
//!
//! | | first rows | each next round `D ↦` | why it ends |
//! |---|---|---|---|
//! | deleted: `T − T₀` | `ΔB⁻ + S(T) − S₀(T)` | `S₀(D)` | `S₀ ≤ S`, and the rounds of `T` ended |
//! | inserted: `T' − T₀` | `ΔB⁺ + S'(T₀) − S₀(T₀)` | `S'(D)` | the rounds of `T'` end |
//!
//! A difference of two states is a sum of terms, one for each part that changed, none of them negative.
//! `T₀ = T − deleted` is not stored: the terms over `deleted` are subtracted from those over `T`.

use crate::error::Result;

use super::super::Cx;
use super::Change;
use super::parts::State;
use super::rows::{Rows, Stored};

/// The deleted and the inserted rows.
pub fn moved(change: &Change, cx: &mut Cx) -> Result<(Stored, Stored)> {
    let table = change.own(&change.table);
    let mut first: Vec<Rows> = change.base("<", cx).into_iter().map(|rows| rows.negative(cx)).collect();
    first.extend(change.terms(&table, [State::Between, State::Deleted, State::Before], cx)?);
    let first = change.summed(first, cx)?;
    let law = ("deleted", "fixpoint: deleted derivations");
    let deleted = change.closure(law, first, State::Between, cx, |rows, _| rows)?;
    let states = [State::After, State::Inserted, State::Between];
    let mut first = change.base(">", cx);
    first.extend(change.terms(&table, states, cx)?);
    let of_deleted = change.terms(&change.own(&deleted), states, cx)?;
    first.extend(of_deleted.into_iter().map(|rows| rows.negative(cx)));
    let first = change.summed(first, cx)?;
    let law = ("inserted", "fixpoint: inserted derivations");
    let inserted = change.closure(law, first, State::After, cx, |rows, _| rows)?;
    Ok((deleted, inserted))
}

impl Change<'_> {
    fn summed(&self, terms: Vec<Rows>, cx: &mut Cx) -> Result<Rows> {
        let sum = Rows::union(terms, cx)?;
        self.consolidated(sum, cx)
    }
}
