//! Staleness with schedule `'1s'`: the age of the oldest commit that a reader does not see yet.
//!
//! All commits raise counters of one group, so its value says which of them are visible.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::dataset::Dataset;
use crate::options::Options;
use crate::probe;
use crate::report::Report;
use crate::sample::within;
use crate::server::Server;
use crate::timing::Commit;
use crate::watch::{self, Reader, Writer};

const ROWS: u32 = 1_000_000;
const SECONDS: u32 = 30;
const PACE: Duration = Duration::from_millis(20);

const TARGET_MS: f64 = 1100.0;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let duration = options.time(SECONDS);
    dataset.load(server).await?;
    let table = watch::table("1s");
    let owner = server.session(dataset.schema).await?;
    owner.create(&table).await?;
    let reader = Reader::over(server.session(dataset.schema).await?).await?;
    let counter = watch::counters(&reader.session, watch::SOME).await?.swap_remove(0);
    let writer = Writer::over(server.session(dataset.schema).await?, Commit::Sync).await?;
    server.outside.batch_execute("checkpoint").await?;
    sleep(Duration::from_secs(2)).await;

    let raise = async |_| writer.raise(counter.order).await;
    let start = reader.quantity(&counter).await?;
    let read = async |_| Ok(usize::try_from(reader.quantity(&counter).await? - start)?);
    let staleness = probe::follow(raise, read, PACE, duration).await?;
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
