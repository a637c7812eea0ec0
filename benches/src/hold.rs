//! A transaction that has written to the source stays open: are the others' commits visible as soon as before?
//!
//! Clients commit at a steady rate all the time; nothing but the open transaction tells the three phases apart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::bloat::Sizes;
use crate::dataset::Dataset;
use crate::fleet::Fleet;
use crate::options::Options;
use crate::probe::Probe;
use crate::report::Report;
use crate::sample::{Sample, ratio, rounded, within};
use crate::server::Server;
use crate::timing::Commit;

const ROWS: u32 = 1_000_000;
/// Of each phase.
const SECONDS: u32 = 60;
const CLIENTS: u32 = 4;
const RATE: u32 = 500;

/// So much later than before is still "as fresh as before".
const TARGET_RATIO: f64 = 1.5;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let time = Duration::from_secs(options.seconds.unwrap_or(SECONDS).into());
    let probe = Probe::over(server, dataset).await?;
    let mut fleet = Fleet::over(server, dataset, 0..CLIENTS, Commit::Async).await?;
    let before = phase(&probe, &mut fleet, time).await?;

    let holder = server.session(dataset.schema).await?;
    holder.batch(&format!("begin; update orders set amount = amount + 1 where id = {}", dataset.rows)).await?;
    let during = phase(&probe, &mut fleet, time).await?;
    // Whatever the one holds back, the table shows what is committed.
    probe.owner.exact(&probe.table).await?;
    holder.batch("commit").await?;
    let after = phase(&probe, &mut fleet, time).await?;
    probe.verify().await?;

    let (late, tail) = (ratio(&during.visible, &before.visible), tail(&during.visible, &before.visible));
    report.add(json!({
        "rows": dataset.rows,
        "commits_per_second": RATE,
        "seconds_held": time.as_secs(),
        "before": before.summary(),
        "during": during.summary(),
        "after": after.summary(),
        "ratio": { "p50": rounded(late), "p99": rounded(tail) },
        "target": { "ratio": TARGET_RATIO },
        "met": within(late, TARGET_RATIO) && within(tail, TARGET_RATIO),
    }));
    Ok(())
}

/// What was seen over some time, and how big things were at its end.
struct Phase {
    visible: Sample,
    rate: f64,
    sizes: Sizes,
}

async fn phase(probe: &Probe, fleet: &mut Fleet, time: Duration) -> Result<Phase> {
    let (marched, visible) = tokio::join!(fleet.march(RATE, time), probe.follow(time, Commit::Async));
    let sizes = Sizes::read(&probe.owner, probe.table.name).await?;
    Ok(Phase { visible: visible?, rate: marched?.rate, sizes })
}

impl Phase {
    /// The last tenth apart: what grows shows there.
    fn summary(&self) -> Value {
        json!({
            "visible_ms": self.visible.summary(),
            "last_tenth_p50_ms": rounded(self.visible.between(0.9, 1.0).median()),
            "commits_per_second": rounded(Some(self.rate)),
            "sizes": self.sizes.summary(),
        })
    }
}

/// Of the slowest in a hundred.
fn tail(a: &Sample, b: &Sample) -> Option<f64> {
    Some(a.quantile(0.99)? / b.quantile(0.99)?)
}
