//! Nothing happens: no transaction, no byte of log, no wake-up. And a refresh of nothing.
//!
//! The workers have shown just before that they are awake. Autovacuum is off meanwhile, and the clock
//! starts when the server itself is idle, so that all that is counted is caused by pg_trickle.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::dataset::{Change, Changer, Dataset, views};
use crate::meter;
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, within};
use crate::server::Server;
use crate::session::{Session, Table};
use crate::timing::{Timed, Timings};

const ROWS: u32 = 100_000;
const SECONDS: u32 = 60;
const ROUNDS: u32 = 2000;
const WARM_UP: u32 = 100;

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
    server.autovacuum(false).await?;
    let result = watch(server, options, report).await;
    server.autovacuum(true).await?;
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

    let seconds = options.seconds.unwrap_or(SECONDS);
    let work = meter::idle(server, &session, Duration::from_secs(seconds.into())).await?;
    report.add(json!({
        "idle_seconds": seconds,
        "stream_tables": TABLES.map(|table| table.name),
        "did": work.summary(),
        "target": { "transactions": 0, "wal_bytes": 0, "wake_ups": 0 },
        "met": work.is_none(),
    }));

    let session = nothing_to_do(server, session, options.rounds.unwrap_or(ROUNDS), report).await?;
    for table in &TABLES {
        session.exact(table).await?;
    }
    Ok(())
}

/// Waits until the workers have refreshed everything.
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

/// Refreshes by hand what is fresh already: one call a millisecond or so, then without pauses.
async fn nothing_to_do(server: &Server, session: Session, rounds: u32, report: &mut Report) -> Result<Session> {
    let timed = Timed::over(session).await?;
    let mut timings = Timings::default();
    for table in TABLES.iter().cycle().take(WARM_UP as usize) {
        timed.refresh(table.name, &mut timings).await?;
    }
    timings = Timings::default();
    let before = server.log_position().await?;
    for table in TABLES.iter().cycle().take(rounds as usize) {
        timed.refresh(table.name, &mut timings).await?;
    }
    let mut at_once = Sample::default();
    for table in TABLES.iter().cycle().take(rounds as usize) {
        at_once.push(timed.refresh_plainly(table.name).await?);
    }
    let after = server.log_position().await?;
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
