//! `pg_trickle.read_your_writes`: how long does a read wait for the session's own commit, and what does the setting cost a statement
//! that has nothing to wait for?

use std::time::Instant;

use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::Result;
use crate::dataset::{Dataset, views};
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, rounded};
use crate::server::Server;
use crate::session::{Session, Table};
use crate::timing::milliseconds;

const ROWS: u32 = 100_000;
const ROUNDS: u32 = 2000;
/// Between two commits.
const PAUSE: Duration = Duration::from_millis(2);
/// Rounds of statements, with the setting and without in turns, and statements of each.
const COST_ROUNDS: u32 = 41;
const STATEMENTS: u32 = 20_000;

const TARGET_WAIT_MS: f64 = 0.6;
/// Of a statement in a session that has written nothing, and in one that has.
const TARGET_COSTS_US: [f64; 2] = [0.1, 1.0];

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("own_writes", options.rows.unwrap_or(ROWS))?;
    dataset.load(server).await?;
    let session = server.session(dataset.schema).await?;
    let table = Table { name: "totals", query: views::BY_KEY, schedule: "0s", mode: "DIFFERENTIAL" };
    session.create(&table).await?;
    // The answer first: without an exact one no figure counts.
    session.settled(&table).await?;
    wait(&session, &dataset, options, report).await?;
    session.settled(&table).await?;
    let reader = server.session(dataset.schema).await?;
    cost(&reader, "nothing written", TARGET_COSTS_US[0], report).await?;
    reader.batch("set pg_trickle.read_your_writes = on; update orders set amount = amount + 1 where id = 1").await?;
    cost(&reader, "all of it shown", TARGET_COSTS_US[1], report).await
}

/// Commits, and reads at once.
async fn wait(session: &Session, dataset: &Dataset, options: &Options, report: &mut Report) -> Result<()> {
    let client = &session.client;
    let write = client.prepare("update orders set amount = amount + 1 where id = $1").await?;
    let read = client.prepare("select amount from totals where key = 7").await?;
    session.batch("set pg_trickle.read_your_writes = on; set synchronous_commit = off").await?;
    let (mut first, mut second) = (Sample::default(), Sample::default());
    for n in 0..options.rounds.unwrap_or(ROUNDS) {
        client.execute(&write, &[&dataset.open_order(n)]).await?;
        for sample in [&mut first, &mut second] {
            let began = Instant::now();
            client.query(&read, &[]).await?;
            sample.push(milliseconds(began));
        }
        sleep(PAUSE).await;
    }
    let waited = first.median().zip(second.median()).map(|(first, second)| first - second);
    report.add(json!({
        "rows": dataset.rows,
        "read_after_commit_ms": first.summary(),
        "read_again_ms": second.summary(),
        "wait_p50_ms": rounded(waited),
        "target_ms": TARGET_WAIT_MS,
        "met": waited.is_some_and(|waited| waited <= TARGET_WAIT_MS),
    }));
    Ok(())
}

/// Statements in one call, with the setting and without.
async fn cost(session: &Session, what: &str, target: f64, report: &mut Report) -> Result<()> {
    let statements =
        format!("do $$ begin for n in 1..{STATEMENTS} loop perform amount from totals where key = 7; end loop; end $$");
    session.batch(&statements).await?;
    let (mut off, mut on) = (Sample::default(), Sample::default());
    for _ in 0..COST_ROUNDS {
        for (setting, sample) in [("off", &mut off), ("on", &mut on)] {
            session.batch(&format!("set pg_trickle.read_your_writes = {setting}")).await?;
            let began = Instant::now();
            session.batch(&statements).await?;
            sample.push(milliseconds(began) * 1000.0 / f64::from(STATEMENTS));
        }
    }
    let cost = off.median().zip(on.median()).map(|(off, on)| on - off);
    report.add(json!({
        "session": what,
        "statement_us": { "off": off.summary(), "on": on.summary() },
        "cost_us": rounded(cost),
        "target_us": target,
        "met": cost.is_some_and(|cost| cost <= target),
    }));
    Ok(())
}
