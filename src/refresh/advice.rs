//! Indexes that small deltas need and do not find: by which columns the programs look up their tables (`ivm::lookup`),
//! compared with the indexes that there are.

use std::collections::{BTreeSet, HashSet};

use ivm::lookup::{Lookup, lookups};
use ivm::plan::Relation;
use ivm::view::Mask;
use pgrx::pg_sys::Oid;

use crate::catalog::index::{self, Index};
use crate::catalog::quietly;
use crate::catalog::stream_table::Mode;
use crate::error::Result;
use crate::pg::spi::{self, OwnerSession, Session};
use crate::pg::{guard, index as server_index, object, relation};
use crate::refresh::loaded::Loaded;

/// A table up to this size is read as fast as its index.
const TINY: f64 = 1000.0;

/// The indexes that the deltas of `loaded` lack on large tables.
pub fn missing_indexes(loaded: &Loaded) -> Result<Vec<Index>> {
    missing(loaded, |_, table| relation::estimated_rows(table) > TINY)
}

/// Gives the tables of internal nodes, which users do not index, the indexes that deltas of `loaded` lack. A node may be
/// small at first.
pub fn index_nodes(loaded: &Loaded) -> Result<()> {
    let last = loaded.view.nodes.len() - 1;
    let is_internal = |relation: &Relation, _| matches!(relation, Relation::Node(node) if *node < last && !loaded.view.nodes[*node].is_one_row());
    let missing = missing(loaded, is_internal)?;
    spi::connect_as(loaded.table.owner, &loaded.table.evaluation(), None, |owner| {
        missing.iter().try_for_each(|missing| {
            server_index::create(owner, object::oid(&missing.table)?, &missing.statement()).map(|_| ())
        })
    })
}

/// The indexes that deltas lack on tables that `count`.
fn missing(loaded: &Loaded, count: impl Fn(&Relation, Oid) -> bool) -> Result<Vec<Index>> {
    if loaded.table.full_reason.is_some() || loaded.table.mode == Mode::Full {
        return Ok(vec![]);
    }
    quietly(|| {
        spi::connect(None, |session| {
            let mut missing: Vec<Index> = vec![];
            for Lookup { relation, keys } in all_lookups(loaded)? {
                for table in tables(session, loaded, &relation, &count)? {
                    missing.extend(absent(session, loaded, table, &keys)?);
                }
            }
            missing.sort();
            missing.dedup();
            // An index on some of the columns serves as well.
            let serves = |one: &Index, other: &Index| {
                one != other && one.table == other.table && one.keys.is_subset(&other.keys)
            };
            let needed = missing.iter().filter(|other| !missing.iter().any(|one| serves(one, other)));
            Ok(needed.cloned().collect())
        })
    })
}

/// The lookups of all nodes, one changed source at a time.
fn all_lookups(loaded: &Loaded) -> Result<BTreeSet<Lookup>> {
    let mut found = BTreeSet::new();
    for name in loaded.names.values() {
        let mut changed: Mask = [Relation::Source(name.clone()), Relation::Clock].into();
        for (number, node) in loaded.view.nodes.iter().enumerate() {
            let mask: Mask = node.inputs.intersection(&changed).cloned().collect();
            if !mask.is_empty() {
                found.extend(lookups(&loaded.view, number, &mask)?);
                changed.insert(Relation::Node(number));
            }
        }
    }
    Ok(found)
}

/// The tables of a relation that `count`: an index of a partitioned table is one of all its partitions.
fn tables(
    session: &Session,
    loaded: &Loaded,
    relation: &Relation,
    count: impl Fn(&Relation, Oid) -> bool,
) -> Result<HashSet<Oid>> {
    let members = match relation {
        Relation::Source(name) => relation::lock_for_reading(object::oid(name)?),
        Relation::Node(node) => vec![object::oid(&loaded.view.nodes[*node].table)?],
        _ => vec![],
    };
    members.into_iter().filter(|member| count(relation, *member)).map(|member| index::root(session, member)).collect()
}

/// The index on these keys where no index begins with one of them.
fn absent(session: &Session, loaded: &Loaded, table: Oid, keys: &BTreeSet<String>) -> Result<Option<Index>> {
    let expressions = keys.iter().map(|key| format!("({key})")).collect();
    let wanted = Index { table: object::name(table), keys: expressions }.statement();
    let owner = |owner: &OwnerSession| server_index::keys(owner, table, &wanted);
    let Some(keys) = session.as_owner(loaded.table.owner, &[guard::catalog_path()], owner)? else { return Ok(None) };
    let exists = index::exists(session, table, &keys)?;
    Ok((!exists).then(|| Index { table: object::name(table), keys }))
}
