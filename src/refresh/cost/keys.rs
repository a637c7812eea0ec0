//! Finds the columns of deltas that are compared with columns that have frequent values, by the statistics of the server.

use std::collections::BTreeSet;
use std::rc::Rc;

use ivm::lookup::Joined;
use ivm::plan::Relation;
use ivm::sql::ident::QName;

use crate::error::Result;
use crate::pg::frequent::Frequent;
use crate::pg::{object, relation};
use crate::refresh::cost::skew::Key;
use crate::refresh::prepared::Prepared;

/// The keys with frequent values where these deltas are not empty.
pub fn of(prepared: &Prepared, changed: &[&Relation]) -> Result<Rc<Vec<Key>>> {
    if let Some(found) = prepared.model.keys(changed) {
        return Ok(found);
    }
    let mut keys = vec![];
    for joined in joined(prepared, changed)? {
        keys.extend(key(prepared, joined)?);
    }
    Ok(prepared.model.keep_keys(changed, keys))
}

/// The comparisons of all nodes after these changes.
fn joined(prepared: &Prepared, changed: &[&Relation]) -> Result<BTreeSet<Joined>> {
    let (view, mut found) = (&prepared.loaded.view, BTreeSet::new());
    let mut changed: BTreeSet<Relation> = changed.iter().map(|relation| (*relation).clone()).collect();
    for node in 0..view.nodes.len() {
        let (mask, _) = view.mask_of(node, |delta| changed.contains(delta));
        if mask.is_empty() {
            continue;
        }
        if let Some(compiled) = prepared.plans.delta(view, node, mask)? {
            found.extend(compiled.joined.iter().cloned());
            changed.insert(Relation::NodeDelta(node));
        }
    }
    Ok(found)
}

fn key(prepared: &Prepared, joined: Joined) -> Result<Option<Key>> {
    let loaded = &prepared.loaded;
    let source = |name: &QName| loaded.dependencies.iter().find(|dependency| loaded.names[&dependency.source] == *name);
    let Relation::SourceDelta(name) = &joined.delta else { return Ok(None) };
    let Some(dependency) = source(name) else { return Ok(None) };
    let table = match &joined.table {
        Relation::Source(name) => source(name).map(|dependency| dependency.relid),
        Relation::Node(index) => Some(object::oid(&loaded.view.nodes[*index].table)?),
        _ => None,
    };
    let attribute =
        |table, name: &str| relation::attributes(table)?.into_iter().find(|attribute| attribute.name == name);
    let found = || {
        let table = table?;
        let column = dependency.columns.iter().position(|column| *column == joined.key.as_str())?;
        let ty = attribute(dependency.relid, joined.key.as_str())?.ty;
        let of_table = attribute(table, joined.column.as_str()).filter(|attribute| attribute.ty == ty)?;
        let rows = relation::lock_for_reading(table).into_iter().map(relation::estimated_rows).sum();
        let frequent = Rc::new(Frequent::of(table, of_table.number, ty, rows)?);
        Some(Key { delta: joined.delta.clone(), column, frequent })
    };
    Ok(found())
}
