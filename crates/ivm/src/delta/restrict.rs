//! R↾K: a relation restricted to the keys that a delta touches.
//!
//! The restriction is an equality on the relation's own key columns, so that PostgreSQL can use their index.
//! Keys with a NULL equal nothing; they are joined in a step of their own, which is skipped when there are none.

use std::collections::BTreeMap;

use crate::expr::Expr as E;
use crate::identity;
use crate::plan::{ColId, Column, Expr, Plan};
use crate::view::NodeColumn;

/// A key: the relation's column, and the one among the touched keys.
pub struct Key {
    pub input: Column,
    pub touched: Column,
    pub known: NodeColumn,
}

impl Key {
    /// The same of a copy of the relation, with other ids.
    pub fn copied(&self, copies: &BTreeMap<ColId, ColId>) -> Key {
        let id = copies.get(&self.input.id).copied().unwrap_or(self.input.id);
        let input = Column { id, ..self.input.clone() };
        Key { input, touched: self.touched.clone(), known: self.known.clone() }
    }
}

/// The condition that rows have one of the touched keys.
pub type Meet = fn(&[Key]) -> Vec<Expr>;

/// A step of touched keys, and the condition that rows have one of them.
pub type Meets<'t> = (&'t Plan, Meet);

/// The rows of a relation whose keys are among those of a step; all of them when there are no keys.
pub fn restricted(input: &Plan, keys: &[Key], touched: &Plan, conditions: Vec<Expr>) -> Plan {
    match keys.is_empty() {
        true => input.clone(),
        false => Plan::join(vec![touched.clone(), input.clone()], conditions),
    }
}

/// The condition that keys without a NULL are equal.
pub fn equal(keys: &[Key]) -> Vec<Expr> {
    keys.iter().map(|key| E::equals(key.input.expr(), key.touched.expr())).collect()
}

/// A touched key has a NULL; `None` when none can have one.
pub fn null(keys: &[Key]) -> Option<Expr> {
    let nullable: Vec<Expr> =
        keys.iter().filter(|key| !key.known.not_null).map(|key| key.touched.expr().is_absent()).collect();
    (!nullable.is_empty()).then(|| E::any_of(nullable))
}

/// The condition that keys with a NULL are the same. With one nullable key that is the NULL itself; with several, a
/// hash keeps the join from comparing every row with every key.
pub fn with_nulls(keys: &[Key]) -> Vec<Expr> {
    let (plain, nullable): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.known.not_null);
    let mut conditions: Vec<Expr> = plain.iter().map(|key| E::equals(key.input.expr(), key.touched.expr())).collect();
    if let [key] = nullable.as_slice() {
        conditions.push(key.input.expr().is_absent());
        return conditions;
    }
    let pairs = nullable.into_iter().map(|key| (&key.known, key.input.expr(), key.touched.expr()));
    let pairs: Vec<_> = pairs.collect();
    conditions.extend(identity::same_hash(&pairs));
    conditions.extend(pairs.into_iter().map(|(column, left, right)| identity::equal_values(column, left, right)));
    conditions
}
