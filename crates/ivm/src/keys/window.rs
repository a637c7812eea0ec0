//! Facts of windows and of the first rows of an order.

use std::collections::BTreeSet;

use super::Facts;
use crate::expr::{Expr as E, Literal};
use crate::plan::{ColId, Expr, Ties, TopK, Window};

/// Calls that are never null, whatever their frame.
const NEVER_NULL: [&str; 6] = ["count", "cume_dist", "dense_rank", "percent_rank", "rank", "row_number"];

/// Keys of the input are keys of the output; without one, the number of a row in its partition is.
pub fn windowed(window: &Window, mut known: Facts) -> Facts {
    let keyless = known.keys.is_empty();
    for (column, call) in &window.calls {
        let E::Call(call) = call else { continue };
        let name = call.name.name.as_str();
        if call.name.schema.is_none() && NEVER_NULL.contains(&name) {
            known.not_null.insert(column.id);
        }
        if keyless && call.name.schema.is_none() && name == "row_number" {
            known.add_key(window.partition.iter().copied().chain([column.id]).collect());
        }
    }
    known
}

/// Some of the rows; at most one of each partition where the limit is one.
pub fn limited(top: &TopK, mut known: Facts) -> Facts {
    let one = top.limit.as_ref().and_then(count).is_some_and(|limit| limit <= 1);
    if one && top.ties == Ties::Split {
        let partition: BTreeSet<ColId> = top.partition.iter().copied().collect();
        known.dependencies.add(partition.clone(), top.input.ids());
        known.add_key(known.dependencies.reduced(partition));
    }
    known
}

/// The number of rows of a constant LIMIT.
pub fn count(limit: &Expr) -> Option<i64> {
    match limit {
        E::Literal(Literal::Number(digits) | Literal::String(digits)) => digits.parse().ok(),
        E::Cast(e, ty) if matches!(ty.0.as_str(), "bigint" | "integer") => count(e),
        _ => None,
    }
}
