//! Everything that is counted, at one moment, as plain numbers: what metrics, health and the live page show.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::histogram::Quantiles;
use crate::rows::Key;
use crate::sources::SourceRow;
use crate::tables::{Changed as Rows, Chosen, TableRow};
use crate::usage::Used;
use crate::{Memory, Micros, SECOND, databases, sources, tables};

/// The name of the stream tables that have no row of their own.
const REST: &str = "(other)";

/// The state of the workers, which the server knows.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    /// The setting `pg_trickle.enabled`.
    pub enabled: bool,
    pub processes: Vec<Process>,
    /// Databases whose scheduler has to run, or is not needed at the moment, by their oids.
    pub served: Vec<(u32, Service)>,
}

/// Since when a source of a database has changes that its scheduler has not read.
pub type Changed<'a> = &'a dyn Fn(u32, i32) -> Option<Micros>;

/// Whether the stream tables of a database are refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Running,
    /// It has yielded its process, and gets one when something changes.
    Dormant,
    /// It needs a scheduler and has none.
    Missing,
}

/// One background worker that runs.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub kind: Kind,
    pub pid: i32,
    pub database: Option<u32>,
    /// The relation of the stream table that it refreshes.
    pub refreshing: Option<u32>,
    pub used: Used,
    pub is_running: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Launcher,
    Scheduler,
    Pool,
}

pub const KINDS: [Kind; 3] = [Kind::Launcher, Kind::Scheduler, Kind::Pool];

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Launcher => "launcher",
            Kind::Scheduler => "scheduler",
            Kind::Pool => "pool",
        }
    }
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
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Server {
    /// Milliseconds of schedulers and workers of the pool.
    pub busy_ms: u64,
    pub idle_ms: u64,
    pub plan_bytes: u64,
    pub plans: Lookups,
    pub costs: Lookups,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lookups {
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
}

#[derive(Clone, Debug)]
pub struct Database {
    pub service: Option<Service>,
    pub counted: databases::Counted,
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
    pub schema: String,
    pub name: String,
    pub status: String,
    pub mode: String,
    pub recomputes: bool,
    pub target: Option<f64>,
    pub staleness: f64,
    pub data_timestamp: Option<f64>,
    pub refreshes: Refreshes,
    /// Refreshes that were not attempted.
    pub skipped: u64,
    pub errors: u64,
    pub errors_by_kind: Errors,
    pub consecutive_errors: u32,
    pub sqlstate: Option<String>,
    pub hint: Option<&'static str>,
    pub missed: u64,
    pub rows: Rows,
    pub change_rows: u64,
    pub lag: Option<Quantiles>,
    pub duration: Option<Quantiles>,
    pub last_duration: Option<f64>,
    /// Of all refreshes.
    pub total_duration: f64,
    pub delta_choices: Chosen,
    pub full_choices: Chosen,
    pub sources: Vec<i32>,
    #[serde(skip)]
    key: Option<Key>,
}

/// Failed refreshes by their cause.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Errors {
    pub data: u64,
    pub definition: u64,
    pub transient: u64,
    pub internal: u64,
}

/// Refreshes by what they did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Refreshes {
    pub differential: u64,
    pub full: u64,
    pub reinitialize: u64,
    pub no_data: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Source {
    pub id: i32,
    pub database: String,
    pub schema: String,
    pub name: String,
    pub stream_table: Option<i32>,
    pub captured_rows: u64,
    pub captured_bytes: u64,
    pub pending_rows: i64,
    pub pending_bytes: i64,
    /// The age of the oldest change that a consumer does not show.
    pub oldest_pending: Option<f64>,
    #[serde(skip)]
    key: Option<Key>,
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}

impl Snapshot {
    pub fn new(memory: Memory, workers: &Workers, changed: Changed, version: &str, now: Micros) -> Snapshot {
        let databases: BTreeMap<u32, databases::Counted> =
            memory.databases.used().map(|(key, row)| (key.database(), row.read())).collect();
        let name = |database: u32| databases.get(&database).map_or_else(String::new, |it| it.name.clone());
        let table = |(key, row): (Key, &TableRow)| {
            let mut counted = row.read(now);
            let unread = counted.described.sources.iter().filter_map(|source| changed(key.database(), *source));
            counted.behind_since = unread.chain(counted.behind_since).min();
            (key, counted)
        };
        let tables: Vec<(Key, tables::Counted)> = memory.tables.used().map(table).collect();
        let mut oldest: HashMap<(u32, i32), Micros> = HashMap::new();
        for (key, counted) in &tables {
            let Some(since) = counted.behind_since else { continue };
            for source in &counted.described.sources {
                let oldest = oldest.entry((key.database(), *source)).or_insert(since);
                *oldest = since.min(*oldest);
            }
        }
        let source = |(key, row): (Key, &SourceRow)| {
            let oldest = oldest.get(&(key.database(), key.id())).map(|since| seconds((now - since).max(0)));
            source(key, row.read(), &name, oldest)
        };
        let sources = memory.sources.used().map(source).collect();
        let reasons = workers.reasons(&name);
        Snapshot {
            time: seconds(now),
            version: version.to_owned(),
            enabled: workers.enabled,
            ready: reasons.is_empty(),
            reasons,
            queue_depth: databases.values().map(|it| u64::from(it.queue_depth)).sum(),
            ticks: databases.values().map(|it| it.ticks).sum(),
            uncounted: databases.values().map(|it| u64::from(it.uncounted)).sum(),
            workers: workers.processes.iter().filter(|it| it.is_running).map(|it| worker(it, &name, &tables)).collect(),
            server: server(memory, workers),
            databases: databases.iter().map(|(oid, it)| database(*oid, it, workers)).collect(),
            sources,
            tables: tables.into_iter().map(|(key, counted)| shown(key, counted, &name, now)).collect(),
        }
    }

    /// Leaves out the stream tables and sources of other databases.
    pub fn of_database(mut self, database: u32) -> Snapshot {
        let is_there = |key: Option<Key>| key.is_some_and(|key| key.database() == database && !key.is_rest());
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
        let is_launcher = |process: &&Process| process.kind == Kind::Launcher && process.is_running;
        if !self.processes.iter().any(|process| is_launcher(&process)) {
            return vec!["the launcher is not running".to_owned()];
        }
        let missing = self.served.iter().filter(|(_, service)| *service == Service::Missing);
        missing.map(|(database, _)| format!("database \"{}\" has no scheduler", name(*database))).collect()
    }
}

fn server(memory: Memory, workers: &Workers) -> Server {
    let used = || workers.processes.iter().filter(|it| it.kind != Kind::Launcher).map(|it| it.used);
    let milliseconds = |micros: Micros| (micros / 1000) as u64;
    let lookups = |cache: &databases::Cache| Lookups {
        hits: cache.hits.get(),
        misses: cache.misses.get(),
        evictions: cache.evictions.get(),
    };
    Server {
        busy_ms: milliseconds(used().map(|it| it.busy).sum()),
        idle_ms: milliseconds(used().map(|it| it.idle).sum()),
        plan_bytes: used().map(|it| it.plan_bytes).sum(),
        plans: lookups(&memory.server.plans),
        costs: lookups(&memory.server.costs),
    }
}

fn database(oid: u32, counted: &databases::Counted, workers: &Workers) -> Database {
    let service = workers.served.iter().find(|(served, _)| *served == oid).map(|(_, service)| *service);
    Database { service, counted: counted.clone() }
}

fn worker(process: &Process, name: &dyn Fn(u32) -> String, tables: &[(Key, tables::Counted)]) -> Worker {
    let is_refreshed = |(key, counted): &&(Key, tables::Counted)| {
        process.database == Some(key.database()) && process.refreshing == Some(counted.described.relation)
    };
    Worker {
        kind: process.kind,
        pid: process.pid,
        database: process.database.map(name),
        busy: process.used.is_busy,
        refreshing: tables.iter().find(is_refreshed).map(|(key, _)| key.id()),
        busy_ms: (process.used.busy / 1000) as u64,
        idle_ms: (process.used.idle / 1000) as u64,
    }
}

/// What to do about a status or an error; without a message, which may hold values of rows.
fn hint(status: &str, sqlstate: Option<&str>) -> Option<&'static str> {
    match (status, sqlstate?.get(..2)?) {
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

fn shown(key: Key, counted: tables::Counted, name: &dyn Fn(u32) -> String, now: Micros) -> Table {
    let tables::Counted { described, refreshes, .. } = counted;
    let since = match described.is_timed {
        // Nothing is pending, but time passes.
        true => counted.behind_since.or(counted.snapshot),
        false => counted.behind_since,
    };
    let [differential, full, reinitialize, no_data] = refreshes;
    let [data, definition, transient, internal] = counted.errors;
    Table {
        id: key.id(),
        database: if key.is_rest() { String::new() } else { name(key.database()) },
        name: if key.is_rest() { REST.to_owned() } else { described.name },
        schema: described.schema,
        hint: hint(&described.status, counted.sqlstate.as_deref()),
        status: described.status,
        mode: described.mode,
        recomputes: described.recomputes,
        target: described.target.map(seconds),
        staleness: since.map_or(0.0, |since| seconds((now - since).max(0))),
        data_timestamp: if since.is_some() { counted.snapshot } else { counted.snapshot.map(|_| now) }.map(seconds),
        refreshes: Refreshes { differential, full, reinitialize, no_data },
        skipped: counted.skipped,
        errors: counted.errors.iter().sum(),
        errors_by_kind: Errors { data, definition, transient, internal },
        consecutive_errors: counted.errors_in_a_row,
        sqlstate: counted.sqlstate,
        missed: counted.missed,
        rows: counted.rows,
        change_rows: counted.change_rows,
        lag: counted.lag,
        duration: counted.duration,
        last_duration: counted.last_took,
        total_duration: counted.took,
        delta_choices: counted.delta,
        full_choices: counted.full,
        sources: described.sources,
        key: Some(key),
    }
}

fn source(key: Key, counted: sources::Counted, name: &dyn Fn(u32) -> String, oldest: Option<f64>) -> Source {
    let sources::Counted { described, captured_rows, captured_bytes, pending } = counted;
    Source {
        id: key.id(),
        database: if key.is_rest() { String::new() } else { name(key.database()) },
        name: if key.is_rest() { REST.to_owned() } else { described.name },
        schema: described.schema,
        stream_table: described.stream_table,
        captured_rows,
        captured_bytes,
        pending_rows: pending.rows,
        pending_bytes: pending.bytes,
        oldest_pending: oldest.filter(|_| pending.rows > 0),
        key: Some(key),
    }
}
