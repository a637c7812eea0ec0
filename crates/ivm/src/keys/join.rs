//! Facts of filters and joins.
//!
//! A set of columns is a key of a join when it determines a key of every input: `R ⋈ S` on the key of
//! `S` retains the keys of `R`, without that it has both.

use std::collections::BTreeSet;

use super::{Facts, MOST_KEYS, not_null};
use crate::plan::{ColId, Expr};

/// The rows for which the predicates are true.
pub fn filtered(mut known: Facts, predicates: &[Expr]) -> Facts {
    for predicate in predicates.iter().flat_map(|predicate| predicate.clone().conjuncts()) {
        known.not_null.extend(not_null::implied(&predicate));
        if let Some((a, b)) = equal_columns(&predicate) {
            known.dependencies.add_equal(a, b);
        } else if let Some(a) = fixed_column(&predicate) {
            known.dependencies.add(BTreeSet::new(), [a].into());
        }
    }
    let reduced = known.keys.iter().map(|key| known.dependencies.reduced(key.clone())).collect::<Vec<_>>();
    known.keys.clear();
    reduced.into_iter().for_each(|key| known.add_key(key));
    known
}

pub fn joined(inputs: Vec<Facts>, predicates: &[Expr]) -> Facts {
    let mut combinations: Vec<BTreeSet<ColId>> = vec![BTreeSet::new()];
    let mut all = Facts::default();
    for input in inputs {
        let with = |key| combinations.iter().map(move |chosen: &BTreeSet<ColId>| chosen | key);
        combinations = input.keys.iter().flat_map(with).take(MOST_KEYS).collect();
        all.not_null.extend(input.not_null);
        all.dependencies.extend(input.dependencies);
    }
    let mut known = filtered(all, predicates);
    for key in combinations {
        // Dropping from either end finds the keys of both sides of a 1:1 join.
        let forwards: Vec<ColId> = key.iter().copied().collect();
        let backwards: Vec<ColId> = key.iter().rev().copied().collect();
        known.add_key(known.dependencies.reduced_in_order(key.clone(), &backwards));
        known.add_key(known.dependencies.reduced_in_order(key, &forwards));
    }
    known
}

/// Left rows without a match have one row of nulls each.
pub fn left_joined(left: Facts, right: Facts, on: &Expr) -> Facts {
    let mut matching = filtered(right.clone(), std::slice::from_ref(on));
    matching.dependencies.extend(left.dependencies.clone());
    let mut known = Facts { not_null: left.not_null, keys: vec![], dependencies: left.dependencies };
    for l in &left.keys {
        let fixed = matching.dependencies.closure(l);
        match right.keys.iter().any(|r| r.is_subset(&fixed)) {
            true => known.add_key(l.clone()),
            false => right.keys.iter().for_each(|r| known.add_key(l | r)),
        }
    }
    known.dependencies.extend(right.dependencies.with_null_rows(&right.not_null));
    known
}

/// The column of `a = 1`.
pub fn fixed_column(e: &Expr) -> Option<ColId> {
    match equality(e)? {
        (Expr::Column(a), e) | (e, Expr::Column(a)) if e.is_constant() => Some(*a),
        _ => None,
    }
}

/// The columns of `a = b`.
pub fn equal_columns(e: &Expr) -> Option<(ColId, ColId)> {
    match equality(e)? {
        (Expr::Column(a), Expr::Column(b)) => Some((*a, *b)),
        _ => None,
    }
}

/// The sides of `a = b` by the plain operator.
fn equality(e: &Expr) -> Option<(&Expr, &Expr)> {
    match e {
        Expr::Binary(op, l, r) if op.is("=") => Some((l, r)),
        _ => None,
    }
}
