//! Nothing happens: no transaction, no byte of log, no wake-up. And a refresh of nothing.
//!
//! The workers have shown just before that they are awake. Autovacuum is off meanwhile, and the clock
//! starts when the server itself has come to rest, so that whatever is counted is ours.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Result;
use crate::dataset::{Change, Changer, Dataset, views};
use crate::options::Options;
use crate::process::{self, Process};
use crate::report::Report;
use crate::sample::{Sample, within};
use crate::server::Server;
use crate::session::{Session, Table};
use crate::timing::{Timed, Timings};

const ROWS: u32 = 100_000;
const SECONDS: u32 = 60;
const ROUNDS: u32 = 2000;
const WARM_UP: u32 = 100;
/// The background writer logs the running transactions every 15 s while there is anything new in the log,
/// and sessions report their transactions to the statistics within 10 s.
const REST: Duration = Duration::from_secs(16);
const ATTEMPTS: u32 = 8;

const TARGET_MS: f64 = 0.2;

const fn table(name: &'static str, query: &'static str, schedule: &'static str) -> Table {
    Table { name, query, schedule, mode: "DIFFERENTIAL" }
}

const TABLES: [Table; 6] = [
    table("filter_at_once", views::FILTER, "0s"),
    table("by_key_at_once", views::BY_KEY, "0s"),
    table("join3_aggregate_at_once", views::JOIN3_AGGREGATE, "0s"),
    table("filter_1s", views::FILTER, "1s"),
    table("by_key_1s", views::BY_KEY, "1s"),
    table("join3_aggregate_1s", views::JOIN3_AGGREGATE, "1s"),
];

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    server.outside.batch_execute("alter system set autovacuum = off").await?;
    server.outside.batch_execute("select pg_reload_conf()").await?;
    let result = watch(server, options, report).await;
    server.outside.batch_execute("alter system reset autovacuum").await?;
    server.outside.batch_execute("select pg_reload_conf()").await?;
    result
}

async fn watch(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    dataset.load(server).await?;
    let session = server.session(dataset.schema).await?;
    for table in &TABLES {
        session.create(table).await?;
    }
    let mut changer = Changer::over(server.session(dataset.schema).await?, dataset).await?;
    changer.apply(Change::Update).await?;
    changer.apply(Change::Dimension).await?;
    fresh(&session).await?;

    at_rest(server).await?;
    let seconds = options.seconds.unwrap_or(SECONDS);
    let before = Meter::read(server, &session).await?;
    sleep(Duration::from_secs(seconds.into())).await;
    let after = Meter::read(server, &session).await?;
    report.add(after.since(&before, seconds));

    let mut timed = Timings::default();
    let session = nothing_to_do(session, options.rounds.unwrap_or(ROUNDS), &mut timed, report).await?;
    for table in &TABLES {
        session.exact(table).await?;
    }
    Ok(())
}

/// Waits until the workers have brought everything up to date by themselves.
async fn fresh(session: &Session) -> Result<()> {
    for table in &TABLES {
        let mut attempts = 0;
        while session.exact(table).await.is_err() {
            attempts += 1;
            if attempts > 40 {
                return Err(format!("the workers do not refresh {}", table.name).into());
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
    Ok(())
}

/// Waits until the log has not grown for a while.
async fn at_rest(server: &Server) -> Result<()> {
    server.outside.batch_execute("checkpoint").await?;
    let mut position = log_position(server).await?;
    for _ in 0..ATTEMPTS {
        sleep(REST).await;
        let later = log_position(server).await?;
        if later == position {
            return Ok(());
        }
        position = later;
    }
    eprintln!("bench: the log did not stop growing: what follows shows it");
    Ok(())
}

async fn log_position(server: &Server) -> Result<i64> {
    let query = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
    Ok(server.outside.query_one(query, &[]).await?.get(0))
}

/// What the server has done so far.
struct Meter {
    transactions: i64,
    log: i64,
    processes: Vec<(Process, Option<u64>, Option<f64>)>,
}

impl Meter {
    /// Asks in another database, so that asking is not counted.
    async fn read(server: &Server, session: &Session) -> Result<Meter> {
        let query = "select xact_commit + xact_rollback from pg_stat_database where datname = $1";
        let transactions = server.outside.query_one(query, &[&server.database()]).await?.get(0);
        let processes = process::siblings(session.pid, "pg_trickle")
            .into_iter()
            .map(|process| {
                let pid = process.pid;
                (process, process::voluntary_switches(pid), process::cpu(pid))
            })
            .collect();
        Ok(Meter { transactions, log: log_position(server).await?, processes })
    }

    fn since(&self, before: &Meter, seconds: u32) -> Value {
        let mut wake_ups = 0;
        let workers: Vec<Value> = self
            .processes
            .iter()
            .map(|(process, switches, cpu)| {
                let old = before.processes.iter().find(|(other, ..)| other.pid == process.pid);
                let woken = difference(*switches, old.and_then(|old| old.1));
                wake_ups += woken.unwrap_or(0);
                let busy = cpu.zip(old.and_then(|old| old.2)).map(|(new, old)| ((new - old) * 1000.0).round() / 1000.0);
                json!({ "process": process.title, "wake_ups": woken, "cpu_ms": busy, "new": old.is_none() })
            })
            .collect();
        let transactions = self.transactions - before.transactions;
        let log = self.log - before.log;
        json!({
            "idle_seconds": seconds,
            "stream_tables": TABLES.map(|table| table.name),
            "transactions": transactions,
            "wal_bytes": log,
            "wake_ups": wake_ups,
            "workers": workers,
            "target": { "transactions": 0, "wal_bytes": 0, "wake_ups": 0 },
            "met": !workers.is_empty() && (transactions, log, wake_ups) == (0, 0, 0),
        })
    }
}

fn difference(new: Option<u64>, old: Option<u64>) -> Option<u64> {
    Some(new? - old?)
}

/// Refreshes by hand what is fresh already: one call a millisecond or so, then without pauses.
async fn nothing_to_do(session: Session, rounds: u32, timings: &mut Timings, report: &mut Report) -> Result<Session> {
    let timed = Timed::over(session).await?;
    let position = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
    for table in TABLES.iter().cycle().take(WARM_UP as usize) {
        timed.refresh(table.name, timings).await?;
    }
    *timings = Timings::default();
    let before: i64 = timed.session.one(position).await?.get(0);
    for table in TABLES.iter().cycle().take(rounds as usize) {
        timed.refresh(table.name, timings).await?;
    }
    let mut at_once = Sample::default();
    for table in TABLES.iter().cycle().take(rounds as usize) {
        at_once.push(timed.refresh_plainly(table.name).await?);
    }
    let after: i64 = timed.session.one(position).await?.get(0);
    report.add(json!({
        "refresh": "nothing to do",
        "client_back_to_back_ms": at_once.summary(),
        "with_pauses": timings.summary(),
        "wal_bytes": after - before,
        "target": { "client_back_to_back_p50_ms": TARGET_MS },
        "met": within(at_once.median(), TARGET_MS),
    }));
    Ok(timed.session)
}
