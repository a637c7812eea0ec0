//! What the workers write to the server's log, repetitions counted, and to `pg_stat_activity`.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::pg::counters;

/// How many tables of a tick are named.
const NAMED: usize = 3;

#[derive(Default)]
pub struct Log {
    names: BTreeMap<i32, String>,
}

impl Log {
    /// Takes over the names of the catalog's tables.
    pub fn load(&mut self, names: BTreeMap<i32, String>) {
        self.names = names;
    }

    /// Whether the names of these tables are loaded.
    pub fn has_names(&self, ids: &[i32]) -> bool {
        ids.iter().all(|id| self.names.contains_key(id))
    }

    /// Logs the failure of a table's refresh.
    pub fn failed(&self, id: i32, error: &Error) {
        let text = format!("could not refresh stream table {}: {}", self.name(id), error.in_full());
        counters::log(counters::table(id).map(|row| &row.messages), &text);
    }

    /// Logs the first successful refresh after a failure.
    pub fn succeeded(&self, id: i32) {
        self.end(id, "is refreshed again");
    }

    /// Logs that a table is refreshed no more.
    pub fn suspended(&self, id: i32) {
        self.end(id, "is suspended: remove the cause, then call pgtrickle.resume_stream_table()");
    }

    fn end(&self, id: i32, what: &str) {
        let Some(row) = counters::own_table(id) else { return };
        let text = row.messages.end(|| format!("stream table {} {what}", self.name(id)));
        text.into_iter().for_each(|text| pgrx::log!("{text}"));
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

/// Logs an error of a worker about no stream table.
pub fn failed(error: &Error) {
    log(&format!("pg_trickle scheduler failed: {}", error.in_full()));
}

/// Logs a message of a worker about its database.
pub fn log(text: &str) {
    counters::log(counters::database().map(|row| &row.messages), text);
}
