//! R↾K: a relation restricted to the keys that a delta touches.
//!
//! The restriction is an equality on the relation's own key columns, so that PostgreSQL can use their index.
//! Keys with a NULL equal nothing; they are joined apart, and only when there are any.

use crate::expr::Expr as E;
use crate::identity;
use crate::plan::{Column, Expr, Plan};
use crate::view::NodeColumn;

/// A key: the relation's column, and the one among the touched keys.
pub struct Key {
    pub input: Column,
    pub touched: Column,
    pub known: NodeColumn,
}

/// The rows of a relation whose keys are among those of a step; all of them when there are no keys.
pub fn restricted(input: &Plan, keys: &[Key], touched: &Plan, conditions: Vec<Expr>) -> Plan {
    match keys.is_empty() {
        true => input.clone(),
        false => Plan::join(vec![touched.clone(), input.clone()], conditions),
    }
}

/// Meets keys without a NULL.
pub fn equal(keys: &[Key]) -> Vec<Expr> {
    keys.iter().map(|key| E::equals(key.input.expr(), key.touched.expr())).collect()
}

/// A touched key has a NULL; `None` when none can have one.
pub fn null(keys: &[Key]) -> Option<Expr> {
    let nullable: Vec<Expr> = nullable(keys).map(|key| key.touched.expr().is_absent()).collect();
    (!nullable.is_empty()).then(|| E::any_of(nullable))
}

fn nullable(keys: &[Key]) -> impl Iterator<Item = &Key> {
    keys.iter().filter(|key| !key.known.not_null)
}

/// Meets keys with a NULL. With one nullable key that is the key itself; with several, a hash keeps the
/// join from comparing every row with every key.
pub fn with_nulls(keys: &[Key]) -> Vec<Expr> {
    let rest = keys.iter().filter(|key| key.known.not_null);
    let mut conditions: Vec<Expr> = rest.map(|key| E::equals(key.input.expr(), key.touched.expr())).collect();
    let nullable: Vec<&Key> = nullable(keys).collect();
    if let [key] = nullable.as_slice() {
        conditions.push(key.input.expr().is_absent());
        return conditions;
    }
    let side = |column: &NodeColumn, input: bool| {
        let key = nullable.iter().find(|key| key.known.name == column.name);
        key.map_or(E::null(), |key| if input { key.input.expr() } else { key.touched.expr() })
    };
    let known: Vec<&NodeColumn> = nullable.iter().map(|key| &key.known).collect();
    conditions.extend(identity::same_hash(&known, &|c| side(c, true), &|c| side(c, false)));
    conditions
        .extend(known.into_iter().map(|column| identity::same_value(column, &|c| side(c, true), &|c| side(c, false))));
    conditions
}
