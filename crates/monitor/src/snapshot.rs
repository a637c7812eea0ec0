//! Everything that is counted, at one moment: what metrics, health and the live page show.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cell::Cell;
use crate::databases::{DatabaseRow, Lookups};
use crate::histogram::{Distribution, Quantiles};
use crate::rows::Key;
use crate::sources::SourceRow;
use crate::tables::TableRow;
use crate::usage::Used;
use crate::{Memory, Micros, databases, seconds, sources, tables};

/// The name of the stream tables that have no row of their own.
const REST: &str = "(other)";

/// The state of the workers, which the server knows.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    /// The setting `pg_trickle.enabled`.
    pub enabled: bool,
    pub processes: Vec<Process>,
    /// By the oid of a database: whether it has a scheduler, or needs none at the moment.
    pub served: BTreeMap<u32, bool>,
}

/// Since when a source of a database has changes that its scheduler has not read.
pub type Changed<'a> = &'a dyn Fn(u32, i32) -> Option<Micros>;

/// A background worker; zeros are none.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub kind: Kind,
    pub pid: i32,
    pub database: u32,
    /// The relation of the stream table that it refreshes.
    pub refreshing: u32,
    pub used: Used,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Launcher,
    Scheduler,
    Pool,
}

/// Times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    pub time: f64,
    pub version: String,
    pub enabled: bool,
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
    pub queue_depth: u64,
    pub ticks: u64,
    /// Stream tables that are counted together.
    pub uncounted: u64,
    pub workers: Vec<Worker>,
    pub tables: Vec<Table>,
    pub sources: Vec<Source>,
    pub server: Server,
    #[serde(skip)]
    pub databases: Vec<Database>,
}

/// Totals of the server.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// Milliseconds of schedulers and workers of the pool.
    pub busy_ms: u64,
    pub idle_ms: u64,
    pub plan_bytes: u64,
    pub plans: Lookups,
    pub costs: Lookups,
}

#[derive(Clone, Debug)]
pub struct Database {
    oid: u32,
    pub name: String,
    pub served: Option<bool>,
    pub counted: databases::Counted,
    pub lag: Distribution,
    pub duration: Distribution,
}

#[derive(Clone, Debug, Serialize)]
pub struct Worker {
    pub kind: Kind,
    pub pid: i32,
    pub database: Option<String>,
    pub busy: bool,
    /// The stream table that it refreshes.
    pub refreshing: Option<i32>,
    pub busy_ms: u64,
    pub idle_ms: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub id: i32,
    pub database: String,
    #[serde(flatten)]
    pub described: tables::Described,
    #[serde(flatten)]
    pub state: tables::State,
    #[serde(flatten)]
    pub counted: tables::Counted,
    pub errors: u64,
    pub hint: Option<&'static str>,
    pub staleness: f64,
    pub data_timestamp: Option<f64>,
    pub lag: Option<Quantiles>,
    pub duration: Option<Quantiles>,
    #[serde(skip)]
    key: Key,
}

#[derive(Clone, Debug, Serialize)]
pub struct Source {
    pub id: i32,
    pub database: String,
    #[serde(flatten)]
    pub described: sources::Described,
    #[serde(flatten)]
    pub counted: sources::Counted,
    /// The age of the oldest change that a consumer does not show.
    pub oldest_pending: Option<f64>,
    #[serde(skip)]
    key: Key,
}

impl Snapshot {
    pub fn new(memory: Memory, workers: &Workers, changed: Changed, version: &str, now: Micros) -> Snapshot {
        let database = |(key, row): (Key, &DatabaseRow)| Database {
            oid: key.database(),
            name: row.name.get(),
            served: workers.served.get(&key.database()).copied(),
            counted: row.counted.get(),
            lag: row.lag.read(),
            duration: row.duration.read(),
        };
        let databases: Vec<Database> = memory.databases.used().map(database).collect();
        let name = |oid: u32| {
            let database = databases.iter().find(|database| database.oid == oid);
            database.map_or_else(String::new, |database| database.name.clone())
        };
        let table = |(key, row)| Table::read(key, row, name(Key::database(key)), changed, now);
        let tables: Vec<Table> = memory.tables.used().map(table).collect();
        let mut oldest: BTreeMap<(u32, i32), Micros> = BTreeMap::new();
        for (table, since) in tables.iter().filter_map(|table| Some((table, table.state.behind_since?))) {
            for source in &table.described.sources {
                let oldest = oldest.entry((table.key.database(), *source)).or_insert(since);
                *oldest = since.min(*oldest);
            }
        }
        let source = |(key, row): (Key, _)| {
            let oldest = oldest.get(&(key.database(), key.id())).map(|since| age(*since, now));
            Source::read(key, row, name(key.database()), oldest)
        };
        let running = workers.processes.iter().filter(|process| process.pid != 0);
        let reasons = workers.reasons(&name);
        let sum = |count: fn(&databases::Counted) -> u64| databases.iter().map(|it| count(&it.counted)).sum();
        Snapshot {
            time: seconds(now),
            version: version.to_owned(),
            enabled: workers.enabled,
            ready: reasons.is_empty(),
            reasons,
            queue_depth: sum(|it| it.queue_depth.into()),
            ticks: sum(|it| it.ticks),
            uncounted: sum(|it| it.uncounted.into()),
            workers: running.map(|process| worker(process, &name, &tables)).collect(),
            sources: memory.sources.used().map(source).collect(),
            tables,
            server: server(memory, workers),
            databases,
        }
    }

    /// Leaves out the stream tables and sources of other databases.
    pub fn of_database(mut self, database: u32) -> Snapshot {
        let is_there = |key: Key| key.database() == database && !key.is_rest();
        self.tables.retain(|table| is_there(table.key));
        self.sources.retain(|source| is_there(source.key));
        self
    }
}

impl Workers {
    /// Why stream tables are not refreshed.
    fn reasons(&self, name: &dyn Fn(u32) -> String) -> Vec<String> {
        if !self.enabled {
            return vec!["pg_trickle.enabled is off".to_owned()];
        }
        if !self.processes.iter().any(|process| process.kind == Kind::Launcher && process.pid != 0) {
            return vec!["the launcher is not running".to_owned()];
        }
        let missing = self.served.iter().filter(|(_, served)| !**served);
        missing.map(|(database, _)| format!("database \"{}\" has no scheduler", name(*database))).collect()
    }
}

fn milliseconds(micros: Micros) -> u64 {
    (micros / 1000) as u64
}

/// In seconds.
fn age(since: Micros, now: Micros) -> f64 {
    seconds((now - since).max(0))
}

fn server(memory: Memory, workers: &Workers) -> Server {
    let used = || workers.processes.iter().filter(|it| it.kind != Kind::Launcher).map(|it| it.used);
    Server {
        busy_ms: milliseconds(used().map(|it| it.busy).sum()),
        idle_ms: milliseconds(used().map(|it| it.idle).sum()),
        plan_bytes: used().map(|it| it.plan_bytes).sum(),
        plans: memory.server.plans.get(),
        costs: memory.server.costs.get(),
    }
}

fn worker(process: &Process, name: &dyn Fn(u32) -> String, tables: &[Table]) -> Worker {
    let Process { kind, pid, database, refreshing, used } = *process;
    let is_refreshed = |table: &&Table| table.key.database() == database && table.described.relation == refreshing;
    let refreshed = tables.iter().filter(|_| refreshing != 0).find(is_refreshed);
    Worker {
        kind,
        pid,
        database: (database != 0).then(|| name(database)),
        busy: used.is_busy,
        refreshing: refreshed.map(|table| table.id),
        busy_ms: milliseconds(used.busy),
        idle_ms: milliseconds(used.idle),
    }
}

/// What to do about a status or an error; without a message, which may hold values of rows.
fn hint(status: &str, sqlstate: &str) -> Option<&'static str> {
    match (status, sqlstate.get(..2)?) {
        ("SUSPENDED", _) => Some(
            "Read last_error in pgtrickle.pgt_status(), remove the cause, then call pgtrickle.resume_stream_table().",
        ),
        (_, "53") => Some("The server lacks a resource, such as disk space or memory; the refresh is tried again."),
        (_, "40" | "55" | "57") => {
            Some("Another transaction was in the way, or the refresh was cancelled; it is tried again.")
        }
        (_, "42") => Some("A privilege or an object is missing: read last_error in pgtrickle.pgt_status()."),
        _ => Some("Read last_error in pgtrickle.pgt_status(), and remove the cause."),
    }
}

impl Table {
    fn read(key: Key, row: &TableRow, database: String, changed: Changed, now: Micros) -> Table {
        let (mut described, mut state, counted) = (row.described.get(), row.state.get(), row.counted.get());
        if key.is_rest() {
            described.name = REST.to_owned();
        }
        let unread = described.sources.iter().filter_map(|source| changed(key.database(), *source));
        state.behind_since = unread.chain(state.behind_since).min();
        // Where nothing is pending time may pass.
        let since = state.behind_since.or(state.snapshot.filter(|_| described.is_timed));
        let tables::Errors { data, definition, transient, internal } = counted.errors_by_kind;
        Table {
            id: key.id(),
            database,
            errors: data + definition + transient + internal,
            hint: hint(&described.status, &state.sqlstate),
            staleness: since.map_or(0.0, |since| age(since, now)),
            data_timestamp: state.snapshot.map(|snapshot| seconds(if since.is_some() { snapshot } else { now })),
            lag: row.lag.quantiles(now),
            duration: row.duration.quantiles(now),
            described,
            state,
            counted,
            key,
        }
    }
}

impl Source {
    fn read(key: Key, row: &SourceRow, database: String, oldest: Option<f64>) -> Source {
        let (mut described, mut counted) = (row.described.get(), row.counted.get());
        if key.is_rest() {
            described.name = REST.to_owned();
        }
        counted.pending_rows = counted.pending_rows.max(0);
        counted.pending_bytes = counted.pending_bytes.max(0);
        let oldest_pending = oldest.filter(|_| counted.pending_rows > 0);
        Source { id: key.id(), database, described, counted, oldest_pending, key }
    }
}
