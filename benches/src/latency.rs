//! From a commit to its effect in a join-and-aggregate stream table with schedule `'0s'`.
//!
//! One commit at a time, paced; the clock runs from the answer to the commit until another session
//! has read the raised counter. A read's own round trip is part of it, and is reported separately.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::{sleep, sleep_until};

use crate::Result;
use crate::dataset::Dataset;
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, within};
use crate::server::Server;
use crate::timing::{Commit, milliseconds};
use crate::watch::{self, Counter, Reader, Writer};

const ROWS: u32 = 1_000_000;
/// Commits of each kind.
const ROUNDS: u32 = 1500;
const WARM_UP: u32 = 100;
const PACE: Duration = Duration::from_millis(5);

const TARGET_P50_MS: f64 = 1.0;
const TARGET_P95_MS: f64 = 5.0;

/// What one kind of commit showed.
#[derive(Default)]
struct Series {
    /// From the answer to the commit.
    visible: Sample,
    /// From sending the statement.
    from_send: Sample,
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    dataset.load(server).await?;
    let table = watch::table("0s");
    let owner = server.session(dataset.schema).await?;
    owner.create(&table).await?;
    let reader = Reader::over(server.session(dataset.schema).await?).await?;
    let counters = watch::counters(&reader.session, watch::SOME).await?;
    let mut writers = vec![];
    for commit in Commit::BOTH {
        writers.push((commit, Writer::over(server.session(dataset.schema).await?, commit).await?, Series::default()));
    }
    server.outside.batch_execute("checkpoint").await?;
    sleep(Duration::from_secs(1)).await;

    measure(&mut writers, &reader, &counters, WARM_UP).await?;
    writers.iter_mut().for_each(|(_, _, series)| *series = Series::default());
    measure(&mut writers, &reader, &counters, rounds).await?;
    owner.exact(&table).await?;

    let poll = poll(&reader, &counters).await?;
    for (commit, _, series) in &writers {
        report.add(json!({
            "rows": dataset.rows,
            "schedule": "0s",
            "synchronous_commit": commit.setting(),
            "visible_ms": series.visible.summary(),
            "from_send_ms": series.from_send.summary(),
            "poll_ms": poll.summary(),
            "target": { "p50_ms": TARGET_P50_MS, "p95_ms": TARGET_P95_MS },
            "met": within(series.visible.median(), TARGET_P50_MS) && within(series.visible.quantile(0.95), TARGET_P95_MS),
        }));
    }
    Ok(())
}

/// The writers take turns, one commit in flight.
async fn measure(
    writers: &mut [(Commit, Writer, Series)],
    reader: &Reader,
    counters: &[Counter],
    rounds: u32,
) -> Result<()> {
    let mut due = Instant::now();
    let mut next = counters.iter().cycle();
    for _ in 0..rounds {
        for (_, writer, series) in writers.iter_mut() {
            let Some(counter) = next.next() else { return Ok(()) };
            sleep_until(due.into()).await;
            due = due.max(Instant::now()) + PACE;
            let before = reader.quantity(counter).await?;
            let sent = Instant::now();
            let committed = writer.raise(counter.order).await?;
            let seen = reader.until(counter, before + 1).await?;
            series.visible.push((seen - committed).as_secs_f64() * 1000.0);
            series.from_send.push((seen - sent).as_secs_f64() * 1000.0);
        }
    }
    Ok(())
}

/// What a read takes when there is nothing to wait for.
async fn poll(reader: &Reader, counters: &[Counter]) -> Result<Sample> {
    let mut sample = Sample::default();
    for counter in counters {
        let began = Instant::now();
        reader.quantity(counter).await?;
        sample.push(milliseconds(began));
    }
    Ok(sample)
}
