//! How a node's rows are found: by a key where the plan has one, else by all their columns.
//!
//! A unique index needs rows that fit a b-tree page. Key columns of a source prove that they do;
//! for other texts, such as group keys, nothing does: they are found by their hash.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::expr::Expr;
use crate::keys::Facts;
use crate::plan::{ColId, Column, Plan, Relation, Scan};
use crate::sql::ident::{Ident, QName};
use crate::types::Types;
use crate::view::Identity;

use super::Cutter;
use crate::render::unique;

/// Bytes that a unique index entry may take for certain: a third of a page, less its overhead.
const ENTRY: usize = 2000;

/// The identity of a plan's output.
pub fn choose(plan: &Plan, facts: &Facts, types: &Types) -> Result<Identity> {
    let columns = plan.columns();
    let output = plan.ids();
    let mut keys: Vec<&BTreeSet<ColId>> = facts.keys.iter().filter(|key| key.is_subset(&output)).collect();
    keys.sort_by_key(|key| key.len());
    for key in &keys {
        if key.is_subset(&facts.not_null) && fits(plan, key, types)? {
            return Ok(Identity::Key(names(&columns, key)));
        }
    }
    Ok(keys.first().map_or(Identity::Bag, |key| Identity::HashedKey(names(&columns, key))))
}

/// The identity of a state table: a key of the aggregate among its group keys.
pub fn of_state(keys: &[Column], whole: &Plan, facts: &Facts, cx: &Cutter) -> Result<Identity> {
    let all: BTreeSet<ColId> = keys.iter().map(|key| key.id).collect();
    let mut facts = facts.clone();
    facts.keys.retain(|key| key.is_subset(&all));
    if !facts.keys.contains(&all) {
        facts.keys.push(all);
    }
    choose(whole, &facts, cx.types)
}

/// The names of the columns of a key, in output order.
fn names(columns: &[Column], key: &BTreeSet<ColId>) -> Vec<Ident> {
    let named = columns.iter().zip(unique(columns));
    named.filter(|(column, _)| key.contains(&column.id)).map(|(_, name)| name).collect()
}

/// Whether every value of a key fits one index entry: its columns are short, or a source has them in a
/// unique index already.
fn fits(plan: &Plan, key: &BTreeSet<ColId>, types: &Types) -> Result<bool> {
    let mut total = Some(0);
    for &id in key {
        total = total.zip(width(&types.get(id)?.name)).map(|(total, width)| total + width);
    }
    if total.is_some_and(|total| total <= ENTRY) {
        return Ok(true);
    }
    let origins: Option<Vec<_>> = key.iter().map(|&id| origin(plan, id)).collect();
    let origins = origins.unwrap_or_default();
    let Some((relation, _)) = origins.first() else { return Ok(false) };
    let indexed = |index: &Vec<Ident>| origins.iter().all(|(from, column)| from == relation && index.contains(column));
    Ok(types.catalog.keys(relation)?.iter().any(indexed))
}

/// The most bytes that a value of a type takes, for types with a bound that matters.
pub fn width(name: &str) -> Option<usize> {
    let (base, modifier) = name.split_once('(').unwrap_or((name, ""));
    let modifier: Option<usize> = modifier.split([',', ')']).next().and_then(|digits| digits.parse().ok());
    match base {
        "character varying" | "character" => modifier.map(|characters| 4 * characters + 4),
        "numeric" => Some(modifier.unwrap_or(100) / 2 + 8),
        "smallint" | "integer" | "bigint" | "boolean" | "date" | "real" | "double precision" | "oid" | "\"char\"" => {
            Some(8)
        }
        "uuid" | "interval" | "money" | "macaddr" | "macaddr8" | "inet" | "cidr" | "timetz" => Some(24),
        base if base.starts_with("timestamp") || base.starts_with("time ") => Some(16),
        "name" => Some(64),
        _ => None,
    }
}

/// The source column that a column passes through unchanged.
fn origin(plan: &Plan, id: ColId) -> Option<(QName, Ident)> {
    match plan.maker(id)? {
        Plan::Scan(Scan { relation: Relation::Source(name), columns }) => {
            columns.iter().find(|(column, _)| column.id == id).map(|(_, own)| (name.clone(), own.clone()))
        }
        Plan::Project(p) => match p.columns.iter().find(|(column, _)| column.id == id)? {
            (_, Expr::Column(below)) => origin(&p.input, *below),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn widths_of_types() {
        assert_eq!(width("integer"), Some(8));
        assert_eq!(width("character varying(25)"), Some(104));
        assert_eq!(width("character varying"), None);
        assert_eq!(width("numeric(15,2)"), Some(15));
        assert_eq!(width("timestamp with time zone"), Some(16));
        assert_eq!(width("text"), None);
    }
}
