//! Nexmark: ten stream tables over an auction house.
//!
//! First live: several writers for some seconds, workers keep the tables fresh, and at the end each is compared
//! with its query. Then by hand: a batch of events and corrections a round, each query refreshed alone, against
//! its recomputation.

use std::array::from_fn;
use std::cell::Cell;
use std::time::{Duration, Instant};

use pg_trickle_workloads::nexmark::{self, Market};
use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::comparison::{Measured, totals};
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, rounded};
use crate::server::Server;
use crate::session::{BY_HAND, Session};

const EVENTS: u32 = 500_000;
const ROUNDS: u32 = 10;
const WARM_UP: u32 = 2;
const SECONDS: u32 = 20;
const WRITERS: usize = 2;
const SEED: u64 = 1;

/// A round by hand, and what a writer commits at a time.
const BATCH: u64 = 1_000;
const COMMIT: u64 = 50;
/// How often the freshness of the live tables is read.
const POLL: Duration = Duration::from_millis(100);
/// How long the workers may take to catch up once the writers have stopped.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let session = server.session("nexmark").await?;
    session.batch("create schema nexmark").await?;
    nexmark::create(&session.client).await?;
    let events = options.rows.unwrap_or(EVENTS);
    let mut markets: [Market; WRITERS] = from_fn(|part| Market::new(SEED, part as u64, WRITERS as u64));
    for market in &mut markets {
        market.events(&session.client, u64::from(events) / WRITERS as u64).await?;
    }
    session.batch("vacuum analyze").await?;
    report.add(json!({ "events": events, "bytes": session.sizes().await? }));
    let mut measured = Measured::create_all(&session, &nexmark::QUERIES).await?;
    session.batch("set synchronous_commit = off").await?;
    by_hand(&session, &mut markets[0], &mut measured, options.rounds.unwrap_or(ROUNDS)).await?;
    measured.iter().for_each(|measured| report.add(measured.summary()));
    report.add(totals(measured.iter()));
    live(server, &session, markets, options.seconds.unwrap_or(SECONDS), report).await
}

/// Half of a batch are new events, half are changes of old ones.
async fn by_hand(session: &Session, market: &mut Market, measured: &mut [Measured], rounds: u32) -> Result<()> {
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            measured.iter_mut().for_each(Measured::forget);
        }
        market.events(&session.client, BATCH / 2).await?;
        market.corrections(&session.client, BATCH / 2).await?;
        Measured::round(measured, session, round).await?;
    }
    Ok(())
}

async fn live(
    server: &Server,
    session: &Session,
    markets: [Market; WRITERS],
    seconds: u32,
    report: &mut Report,
) -> Result<()> {
    schedule(session, "0s").await?;
    let duration = Duration::from_secs(seconds.into());
    let [one, two] = markets;
    let (first, second) = (server.session("nexmark").await?, server.session("nexmark").await?);
    let writing = Cell::new(true);
    let written = async {
        let written = tokio::try_join!(write(first, one, duration), write(second, two, duration));
        writing.set(false);
        written
    };
    let watched = async {
        let mut staleness = Sample::default();
        while writing.get() {
            staleness.push(oldest(session).await?);
            sleep(POLL).await;
        }
        Ok(staleness)
    };
    let ((one, two), staleness) = tokio::try_join!(written, watched)?;
    let caught_up = catch_up(session).await?;
    schedule(session, BY_HAND).await?;
    for query in nexmark::QUERIES {
        let differences = session.client.query(&query.differences(query.name, query.sql), &[]).await?;
        if let Some(row) = differences.first() {
            return Err(format!("{} is not its query: {}", query.name, row.get::<_, &str>(0)).into());
        }
    }
    report.add(json!({
        "live_seconds": seconds,
        "changed_rows_per_second": (one + two) / u64::from(seconds),
        "staleness_ms": staleness.summary(),
        "caught_up_ms": rounded(Some(caught_up)),
    }));
    Ok(())
}

async fn write(session: Session, mut market: Market, duration: Duration) -> Result<u64> {
    let started = Instant::now();
    let mut rows = 0;
    while started.elapsed() < duration {
        rows += market.events(&session.client, COMMIT).await?;
        rows += market.corrections(&session.client, COMMIT / 2).await?;
    }
    Ok(rows)
}

async fn schedule(session: &Session, schedule: &str) -> Result<()> {
    for query in nexmark::QUERIES {
        session
            .client
            .execute("select pgtrickle.alter_stream_table($1, schedule => $2)", &[&query.name, &schedule])
            .await?;
    }
    Ok(())
}

/// Milliseconds since the moment that the stalest stream table shows.
async fn oldest(session: &Session) -> Result<f64> {
    let query =
        "select extract(epoch from max(clock_timestamp() - data_timestamp))::float8 * 1000 from pgtrickle.pgt_status()";
    Ok(session.one(query).await?.get(0))
}

/// Milliseconds until every stream table shows this moment.
async fn catch_up(session: &Session) -> Result<f64> {
    let asked: String = session.one("select clock_timestamp()::text").await?.get(0);
    let stale = "select count(*) from pgtrickle.pgt_status() where data_timestamp < $1::text::timestamptz";
    let started = Instant::now();
    while session.client.query_one(stale, &[&asked]).await?.get::<_, i64>(0) > 0 {
        if started.elapsed() > PATIENCE {
            return Err(format!("the workers did not catch up within {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(crate::timing::milliseconds(started))
}
