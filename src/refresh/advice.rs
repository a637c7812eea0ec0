//! Missing indexes: the columns by which delta programs look up rows of their tables (`ivm::lookup`), compared with the
//! indexes of the server.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ivm::lookup::{Lookup, lookups};
use ivm::plan::Relation;
use ivm::sql::ident::QName;
use ivm::view::{Mask, Node};
use pgrx::pg_sys::Oid;

use crate::catalog::index::{self, Index};
use crate::error::Result;
use crate::pg::spi::{self, OwnerSession, Session};
use crate::pg::{guard, index as server_index, object, relation};
use crate::refresh::loaded::Loaded;

/// A table up to this size is read as fast as its index.
const TINY: f64 = 1000.0;

/// The indexes that delta programs miss.
#[derive(Default)]
pub struct Missing {
    pub indexes: Vec<Index>,
    /// The sources whose changes are followed by reading a table as a whole, because of that.
    pub sources: BTreeSet<QName>,
}

/// The indexes that delta programs miss on large tables.
pub fn missing_indexes(loaded: &Loaded) -> Result<Missing> {
    missing(loaded, |_, table| relation::estimated_rows(table) > TINY)
}

/// Makes the indexes that delta programs miss on the tables of internal nodes, which users do not index. Of any size: a node
/// may be small at first.
pub fn index_nodes(loaded: &Loaded) -> Result<()> {
    let last = loaded.view.nodes.len() - 1;
    if last == 0 {
        return Ok(());
    }
    let is_internal = |relation: &Relation, _| matches!(relation, Relation::Node(node) if *node < last && !loaded.view.nodes[*node].is_one_row());
    let missing = missing(loaded, is_internal)?;
    spi::connect_as(loaded.table.owner, &loaded.table.evaluation(), None, |owner| {
        missing.indexes.iter().try_for_each(|missing| {
            server_index::create(owner, object::oid(&missing.table)?, &missing.statement()).map(|_| ())
        })
    })
}

/// The missing indexes of tables that `count`.
fn missing(loaded: &Loaded, count: impl Fn(&Relation, Oid) -> bool) -> Result<Missing> {
    if loaded.recomputes() {
        return Ok(Missing::default());
    }
    spi::connect(None, |session| {
        let tables = tables(session, loaded, count)?;
        if tables.is_empty() {
            return Ok(Missing::default());
        }
        let mut missing: BTreeSet<Index> = BTreeSet::new();
        let mut of_sources = BTreeSet::new();
        for (lookup, sources) in all_lookups(loaded)? {
            for table in tables.get(&lookup.relation).into_iter().flatten() {
                if let Some(index) = absent(session, loaded, *table, &lookup)? {
                    if index.order.is_none() {
                        of_sources.extend(sources.iter().cloned());
                    }
                    missing.insert(index);
                }
            }
        }
        // An index on some of the columns serves as well, but has the rows in no order.
        let serves = |one: &Index, other: &Index| {
            one != other && other.order.is_none() && one.table == other.table && one.keys.is_subset(&other.keys)
        };
        let indexes = missing.iter().filter(|other| !missing.iter().any(|one| serves(one, other))).cloned();
        Ok(Missing { indexes: indexes.collect(), sources: of_sources })
    })
}

/// The tables that `count`, by relation: an index of a partitioned table is one of all its partitions.
fn tables(
    session: &Session,
    loaded: &Loaded,
    count: impl Fn(&Relation, Oid) -> bool,
) -> Result<BTreeMap<Relation, HashSet<Oid>>> {
    let sources = loaded.dependencies.iter().map(|dependency| -> Result<(Relation, Vec<Oid>)> {
        let relation = Relation::Source(loaded.names[&dependency.source].clone());
        Ok((relation, relation::lock_for_reading(dependency.relid)))
    });
    let node = |(number, node): (usize, &Node)| Ok((Relation::Node(number), vec![object::oid(&node.table)?]));
    let mut found = BTreeMap::new();
    for entry in sources.chain(loaded.view.nodes.iter().enumerate().map(node)) {
        let (relation, members) = entry?;
        let counted = members.into_iter().filter(|member| count(&relation, *member));
        let roots: HashSet<Oid> = counted.map(|member| index::root(session, member)).collect::<Result<_>>()?;
        if !roots.is_empty() {
            found.insert(relation, roots);
        }
    }
    Ok(found)
}

/// The lookups of all nodes, one changed source at a time, with the sources that need each.
fn all_lookups(loaded: &Loaded) -> Result<BTreeMap<Lookup, BTreeSet<QName>>> {
    let mut found: BTreeMap<Lookup, BTreeSet<QName>> = BTreeMap::new();
    for name in loaded.names.values() {
        let mut changed: Mask = [Relation::Source(name.clone()), Relation::Clock].into();
        for (number, node) in loaded.view.nodes.iter().enumerate() {
            let mask: Mask = node.inputs.intersection(&changed).cloned().collect();
            if !mask.is_empty() {
                for lookup in lookups(&loaded.view, number, &mask)? {
                    found.entry(lookup).or_default().insert(name.clone());
                }
                changed.insert(Relation::Node(number));
            }
        }
    }
    Ok(found)
}

/// The index for a lookup where no index begins with one of its keys, or where one does and leads to many rows that are wanted in
/// an order: an index in that order was not there when the program was compiled.
fn absent(session: &Session, loaded: &Loaded, table: Oid, lookup: &Lookup) -> Result<Option<Index>> {
    let wanted = |keys, order| Index { table: object::name(table), keys, order };
    let printed = |keys: &mut dyn Iterator<Item = &String>| {
        let statement = wanted(keys.map(|key| format!("({key})")).collect(), None).statement();
        let owner = |owner: &OwnerSession| server_index::keys(owner, table, &statement);
        session.as_owner(loaded.table.owner, &[guard::catalog_path()], owner)
    };
    // Without keys all rows are wanted in an order: the first of them are found by its column.
    let (keys, order) = match lookup.keys.is_empty() {
        true => (printed(&mut lookup.order.iter())?, None),
        false => (printed(&mut lookup.keys.iter())?, lookup.order.as_ref()),
    };
    let Some(keys) = keys else { return Ok(None) };
    let leads = index::exists(session, table, &keys)?;
    let Some(order) = order else { return Ok((!leads).then(|| wanted(keys, None))) };
    let order = printed(&mut [order].into_iter())?.and_then(|keys| keys.into_iter().next());
    let suffices = order.is_none() || leads && index::rows_each(session, table, &keys)? <= TINY;
    Ok((!suffices).then(|| wanted(keys, order)))
}
