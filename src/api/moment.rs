//! With which stream tables one shows one moment, what that costs, and what it waits for.

use std::collections::BTreeMap;

use ivm::schedule::Table;

use crate::error::Result;
use crate::refresh;

/// Every stream table by its id, with its name.
pub type Tables = BTreeMap<i32, (String, Table)>;

/// The moment that a stream table shows.
#[derive(Default)]
pub struct Moment {
    /// The other stream tables that show it.
    pub with: Vec<String>,
    /// The one that is paused, suspended or fails, and without which this one is not refreshed.
    pub waits_for: Option<String>,
    /// How long all take that are refreshed with it, itself included, by their last refreshes.
    pub together_ms: f64,
    /// The one that takes longest, if it is another one.
    pub slowest: Option<(String, f64)>,
}

pub fn of(id: i32, tables: &Tables) -> Result<Moment> {
    let known = |ids: Vec<i32>| -> Vec<&(String, Table)> {
        ids.into_iter().filter(|other| *other != id).filter_map(|other| tables.get(&other)).collect()
    };
    let milliseconds = |table: &Table| table.took.unwrap_or(0) as f64 / 1e3;
    let (with, together) = (known(refresh::of_one_moment(id)?), known(refresh::refreshed_with(id)?));
    let needed = [known(refresh::with_upstream(id)?), together.clone()].concat();
    let waits_for = needed.iter().find(|(_, it)| !it.active).or_else(|| needed.iter().find(|(_, it)| it.errors > 0));
    let own_ms = tables.get(&id).map_or(0.0, |(_, table)| milliseconds(table));
    let slowest = together.iter().max_by_key(|(_, table)| table.took);
    Ok(Moment {
        with: with.iter().map(|(name, _)| name.clone()).collect(),
        waits_for: waits_for.map(|(name, _)| name.clone()),
        together_ms: own_ms + together.iter().map(|(_, table)| milliseconds(table)).sum::<f64>(),
        slowest: slowest.map(|(name, it)| (name.clone(), milliseconds(it))).filter(|(_, ms)| *ms > own_ms),
    })
}
