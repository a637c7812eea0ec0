//! Staleness with schedule `'1s'`: the age of the oldest commit that a reader does not see yet.
//!
//! All commits raise counters of one group, so its value says which of them are visible.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Result;
use crate::dataset::Dataset;
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, within};
use crate::server::Server;
use crate::timing::Commit;
use crate::watch::{self, Counter, PATIENCE, Reader, Writer};

const ROWS: u32 = 1_000_000;
const SECONDS: u32 = 30;
const PACE: Duration = Duration::from_millis(20);
/// How exactly the moment is known at which something became visible.
const POLL: Duration = Duration::from_millis(1);

const TARGET_MS: f64 = 1100.0;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let duration = Duration::from_secs(options.seconds.unwrap_or(SECONDS).into());
    dataset.load(server).await?;
    let table = watch::table("1s");
    let owner = server.session(dataset.schema).await?;
    owner.create(&table).await?;
    let reader = Reader::over(server.session(dataset.schema).await?).await?;
    let counter = watch::counters(&reader.session).await?.swap_remove(0);
    let writer = Writer::over(server.session(dataset.schema).await?, Commit::Sync).await?;
    server.outside.batch_execute("checkpoint").await?;
    sleep(Duration::from_secs(2)).await;

    let base = reader.quantity(&counter).await?;
    let (told, heard) = unbounded_channel();
    let (written, staleness) =
        tokio::join!(write(&writer, &counter, duration, told), observe(&reader, &counter, base, heard));
    written?;
    let staleness = staleness?;
    owner.exact(&table).await?;
    report.add(json!({
        "rows": dataset.rows,
        "schedule": "1s",
        "commit_every_ms": PACE.as_millis(),
        "staleness_ms": staleness.summary(),
        "target": { "max_ms": TARGET_MS },
        "met": within(staleness.max(), TARGET_MS),
    }));
    Ok(())
}

/// Commits at a steady pace and tells when each was done.
async fn write(writer: &Writer, counter: &Counter, duration: Duration, told: UnboundedSender<Instant>) -> Result<()> {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    while began.elapsed() < duration {
        ticks.tick().await;
        told.send(writer.raise(counter).await?)?;
    }
    Ok(())
}

/// How old each commit was when it was first seen, until there is no more to see.
async fn observe(
    reader: &Reader,
    counter: &Counter,
    base: i64,
    mut heard: UnboundedReceiver<Instant>,
) -> Result<Sample> {
    let (mut staleness, mut unseen, mut seen) = (Sample::default(), VecDeque::new(), 0);
    loop {
        let visible = reader.quantity(counter).await? - base;
        let now = Instant::now();
        while let Ok(committed) = heard.try_recv() {
            unseen.push_back(committed);
        }
        // The answer to a commit may still be under way when its effect is read: its turn comes.
        while seen < visible
            && let Some(committed) = unseen.pop_front()
        {
            staleness.push(now.saturating_duration_since(committed).as_secs_f64() * 1000.0);
            seen += 1;
        }
        match unseen.front() {
            None if heard.is_closed() && heard.is_empty() => return Ok(staleness),
            Some(oldest) if oldest.elapsed() > PATIENCE => return Err("a commit did not become visible".into()),
            _ => sleep(POLL).await,
        }
    }
}
