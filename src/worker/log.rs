//! What the workers write to the server's log, each message once, and to `pg_stat_activity`.

use std::collections::BTreeMap;

use crate::error::Error;

/// How many tables of a tick are named.
const NAMED: usize = 3;

#[derive(Default)]
pub struct Log {
    names: BTreeMap<i32, String>,
    /// The last message about a table, or about none.
    logged: BTreeMap<Option<i32>, String>,
}

impl Log {
    /// Takes over the names of the catalog's tables.
    pub fn load(&mut self, names: BTreeMap<i32, String>) {
        self.names = names;
        self.logged.retain(|id, _| id.is_some_and(|id| self.names.contains_key(&id)));
    }

    /// Whether the names of these tables are loaded.
    pub fn has_names(&self, ids: &[i32]) -> bool {
        ids.iter().all(|id| self.names.contains_key(id))
    }

    /// Logs an error about a table, or about none, unless it was the last one.
    pub fn failed(&mut self, id: Option<i32>, error: &Error) {
        let text = error.in_full();
        if self.logged.get(&id) == Some(&text) {
            return;
        }
        match id {
            Some(id) => pgrx::log!("could not refresh stream table {}: {text}", self.name(id)),
            None => pgrx::log!("pg_trickle scheduler failed: {text}"),
        }
        self.logged.insert(id, text);
    }

    /// Logs the first successful refresh after a failure.
    pub fn succeeded(&mut self, id: i32) {
        if self.logged.remove(&Some(id)).is_some() {
            pgrx::log!("stream table {} is refreshed again", self.name(id));
        }
    }

    /// The text of `pg_stat_activity` during a tick of these tables.
    pub fn activity(&self, ids: &[i32]) -> String {
        let names: Vec<&str> = ids.iter().take(NAMED).map(|id| self.name(*id)).collect();
        match ids.len().saturating_sub(NAMED) {
            0 => format!("refreshing {}", names.join(", ")),
            more => format!("refreshing {} and {more} more", names.join(", ")),
        }
    }

    pub fn name(&self, id: i32) -> &str {
        self.names.get(&id).map_or("(dropped)", String::as_str)
    }
}
