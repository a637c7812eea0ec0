//! What the scheduler says: in the log, where it says nothing twice, and in `pg_stat_activity`.

use std::collections::BTreeMap;

use crate::error::Error;

/// How many tables of a tick are named.
const NAMED: usize = 3;

#[derive(Default)]
pub struct Journal {
    names: BTreeMap<i32, String>,
    /// What was last said about a table, or about none.
    said: BTreeMap<Option<i32>, String>,
}

impl Journal {
    /// The catalog was read: these are the tables.
    pub fn learn(&mut self, names: BTreeMap<i32, String>) {
        self.names = names;
        self.said.retain(|id, _| id.is_some_and(|id| self.names.contains_key(&id)));
    }

    /// Whether these tables' names are known.
    pub fn knows(&self, ids: &[i32]) -> bool {
        ids.iter().all(|id| self.names.contains_key(id))
    }

    /// Logs an error about a table, or about none, once until it is another.
    pub fn failed(&mut self, id: Option<i32>, error: &Error) {
        let text = error.in_full();
        if self.said.get(&id) == Some(&text) {
            return;
        }
        match id {
            Some(id) => pgrx::log!("pg_trickle could not refresh stream table {}: {text}", self.name(id)),
            None => pgrx::log!("pg_trickle scheduler: {text}"),
        }
        self.said.insert(id, text);
    }

    /// A table was refreshed: worth a line if the last one was about a failure.
    pub fn succeeded(&mut self, id: i32) {
        if self.said.remove(&Some(id)).is_some() {
            pgrx::log!("pg_trickle refreshes stream table {} again", self.name(id));
        }
    }

    /// What a tick of these tables is called.
    pub fn activity(&self, ids: &[i32]) -> String {
        let names: Vec<&str> = ids.iter().take(NAMED).map(|id| self.name(*id)).collect();
        match ids.len().saturating_sub(NAMED) {
            0 => format!("refreshing {}", names.join(", ")),
            more => format!("refreshing {} and {more} more", names.join(", ")),
        }
    }

    fn name(&self, id: i32) -> &str {
        self.names.get(&id).map_or("that was dropped", String::as_str)
    }
}
