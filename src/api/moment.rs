//! With which stream tables one shows one moment, what that costs, and what it waits for.

use std::collections::BTreeMap;

use ivm::schedule::Table;

use crate::error::Result;
use crate::refresh;

/// Every stream table by its id, with its name.
pub type Tables = BTreeMap<i32, (String, Table)>;

/// How the refreshes of a stream table depend on those of others.
#[derive(Clone, Default)]
pub struct Bound {
    /// The one that is paused, suspended or fails, and without which this one is not refreshed.
    pub waits_for: Option<String>,
    /// How long all take that are refreshed with it, itself included, by their last refreshes.
    pub together_ms: f64,
}

/// The moment that a stream table shows.
pub struct Moment {
    /// The other stream tables that show it.
    pub with: Vec<String>,
    pub bound: Bound,
    /// The one of all that are refreshed with it that takes longest, if it is another one.
    pub slowest: Option<(String, f64)>,
}

fn milliseconds(table: &Table) -> f64 {
    table.took.unwrap_or(0) as f64 / 1e3
}

pub fn of(id: i32, tables: &Tables) -> Result<Moment> {
    let others = |ids: Vec<i32>| ids.into_iter().filter(|other| *other != id).filter_map(|other| tables.get(&other));
    let own_ms = tables.get(&id).map_or(0.0, |(_, table)| milliseconds(table));
    let slowest = others(refresh::refreshed_with(id)?).max_by_key(|(_, table)| table.took);
    Ok(Moment {
        with: others(refresh::of_one_moment(id)?).map(|(name, _)| name.clone()).collect(),
        bound: all(tables)?.remove(&id).unwrap_or_default(),
        slowest: slowest.map(|(name, it)| (name.clone(), milliseconds(it))).filter(|(_, ms)| *ms > own_ms),
    })
}

/// Of every stream table. Those of one moment are refreshed with the same ones, which are looked at once.
pub fn all(tables: &Tables) -> Result<BTreeMap<i32, Bound>> {
    let is_stuck = |id: &i32| tables.get(id).is_some_and(|(_, it)| !it.active || it.errors > 0);
    let mut bound = BTreeMap::new();
    for (id, (_, table)) in tables {
        if bound.contains_key(id) {
            continue;
        }
        let together = refresh::refreshed_with(*id)?;
        let together_ms = together.iter().filter_map(|id| tables.get(id)).map(|(_, it)| milliseconds(it)).sum();
        let stuck: Vec<i32> = together.into_iter().filter(is_stuck).collect();
        let mates = if table.polls { vec![] } else { refresh::of_one_moment(*id)? };
        let mates = mates.into_iter().filter(|mate| tables.get(mate).is_some_and(|(_, mate)| !mate.polls));
        for mate in mates.chain([*id]) {
            let upstream = refresh::with_upstream(mate)?.into_iter().filter(is_stuck);
            let needed = upstream.chain(stuck.iter().copied()).filter(|needed| *needed != mate);
            let needed: Vec<&(String, Table)> = needed.filter_map(|needed| tables.get(&needed)).collect();
            let first = needed.iter().find(|(_, it)| !it.active).or(needed.first());
            bound.insert(mate, Bound { waits_for: first.map(|(name, _)| name.clone()), together_ms });
        }
    }
    Ok(bound)
}
