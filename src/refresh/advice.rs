//! Indexes that small deltas need and do not find.
//!
//! The evidence is the planner's: for a few changed rows of one source it still reads another table from end
//! to end, and joins it on something that an index could find.

use std::collections::{BTreeSet, HashSet};

use ivm::plan::Relation;
use ivm::sql::ident::QName;
use pgrx::datum::clock_timestamp;
use pgrx::pg_sys::Oid;

use crate::capture;
use crate::catalog::index as server_index;
use crate::catalog::stream_table::Mode;
use crate::error::{Error, Result};
use crate::pg::plan::Unindexed;
use crate::pg::spi::{OwnerSession, Session};
use crate::pg::{index, object, relation, spi};
use crate::refresh::loaded::Loaded;
use crate::refresh::planned::told;
use crate::refresh::{clock, estimate};

/// An index that is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    pub table: QName,
    /// Columns, or expressions of them.
    pub keys: Vec<String>,
    /// What makes it.
    pub statement: String,
}

/// A table up to this size is read as fast as its index.
const TINY: f64 = 1000.0;

/// The indexes that the deltas of `loaded` lack, a few changed rows of one source at a time.
pub fn missing_indexes(loaded: &Loaded) -> Result<Vec<Missing>> {
    missing(loaded, |table| relation::estimated_rows(table) > TINY)
}

/// Gives the internal nodes of `loaded`, which nobody else looks after, the indexes that its deltas lack. A node
/// may be small yet.
pub fn index_nodes(loaded: &Loaded) -> Result<()> {
    let (_, internal) = loaded.view.nodes.split_last().ok_or(Error::Bug("a view has a last node"))?;
    let nodes = internal
        .iter()
        .filter(|node| !node.is_one_row())
        .map(|node| object::oid(&node.table))
        .collect::<Result<Vec<_>>>()?;
    if nodes.is_empty() {
        return Ok(());
    }
    let missing = missing(loaded, |table| nodes.contains(&table))?;
    let create = |owner: &OwnerSession, missing: &Missing| {
        index::create(owner, object::oid(&missing.table)?, &missing.statement)
    };
    let settings = loaded.table.evaluation();
    spi::connect_as(loaded.table.owner, &settings, None, |owner| {
        missing.iter().try_for_each(|missing| create(owner, missing).map(|_| ()))
    })
}

/// Whether an index is there or not is seen in whatever order tables are joined, if it is the one in which they are linked
/// to what changed; to look for the best order takes too long for a mere hint.
const IN_ORDER: (&str, &str) = ("join_collapse_limit", "1");

/// The indexes that deltas lack on tables that `count`.
fn missing(loaded: &Loaded, count: impl Fn(Oid) -> bool) -> Result<Vec<Missing>> {
    if loaded.table.full_reason.is_some() || loaded.table.mode == Mode::Full {
        return Ok(vec![]);
    }
    let asked = (0..loaded.view.nodes.len()).filter_map(|node| {
        let looked_at = looks_at(loaded, node);
        looked_at.map(|tables| tables.into_iter().any(&count).then_some(node)).transpose()
    });
    let asked = asked.collect::<Result<BTreeSet<usize>>>()?;
    if asked.is_empty() {
        return Ok(vec![]);
    }
    let settings = [loaded.table.evaluation(), vec![IN_ORDER]].concat();
    let mut unindexed = spi::connect_as(loaded.table.owner, &settings, None, |owner| unindexed(owner, loaded, &asked))?;
    unindexed.retain(|found| count(found.relation));
    spi::connect(None, |session| absent(session, unindexed))
}

/// The tables that the programs of a node read. The groups of an aggregate are found by their key, which has its index.
fn looks_at(loaded: &Loaded, node: usize) -> Result<Vec<Oid>> {
    let this = &loaded.view.nodes[node];
    let mut tables = vec![];
    for input in &this.inputs {
        match input {
            Relation::Source(name) => {
                let read = loaded.dependencies.iter().filter(|dependency| loaded.names[&dependency.source] == *name);
                tables.extend(read.flat_map(|dependency| relation::lock_for_reading(dependency.relid)));
            }
            Relation::Node(index) => tables.push(object::oid(&loaded.view.nodes[*index].table)?),
            _ => {}
        }
    }
    if this.upkeep.is_empty() {
        tables.push(object::oid(&this.table)?);
    }
    Ok(tables)
}

fn unindexed(session: &OwnerSession, loaded: &Loaded, asked: &BTreeSet<usize>) -> Result<Vec<Unindexed>> {
    estimate::heed_sizes(loaded)?;
    let now = clock_timestamp();
    let clock = clock::at(now, now)?;
    clock::register(session, &clock)?;
    let mut found = vec![];
    for dependency in &loaded.dependencies {
        let delta = Relation::SourceDelta(loaded.names[&dependency.source].clone());
        let store = capture::empty(dependency.source, &dependency.columns)?;
        let deltas = [(&delta, &store, told(1.0))];
        estimate::rehearse(session, loaded, (deltas, &|node| asked.contains(&node)), &mut |statement| {
            found.extend(statement.unindexed(session)?);
            Ok(())
        })?;
    }
    // Refreshes make better plans.
    loaded.programs.forget();
    Ok(found)
}

/// Those of the indexes that are not there.
fn absent(session: &Session, unindexed: Vec<Unindexed>) -> Result<Vec<Missing>> {
    let mut tables: HashSet<(Oid, Vec<String>)> = HashSet::new();
    for Unindexed { relation, keys } in unindexed {
        // Keys that may be NULL are looked for by the hash of a row; those are few.
        let ours = keys.iter().any(|key| key.starts_with("hash_record_extended("));
        if !ours {
            tables.insert((server_index::root(session, relation)?, keys.into_iter().collect()));
        }
    }
    let mut missing = BTreeSet::new();
    for (table, keys) in tables {
        if !server_index::exists(session, table, &keys)? {
            let name = object::name(table);
            missing.insert(Missing { statement: server_index::creation(&name, &keys), table: name, keys });
        }
    }
    Ok(missing.into_iter().collect())
}
