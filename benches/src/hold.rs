//! A transaction that has written to the source stays open: are the others' commits visible as soon as before?
//!
//! Clients commit at a steady rate all the time; nothing but the open transaction tells the three phases apart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, ratio, rounded, within};
use crate::server::Server;
use crate::sizes::Sizes;
use crate::traffic::{RATE, Seen, Traffic};

/// Of each phase.
const SECONDS: u32 = 60;

/// So much later than before is still "as fresh as before".
const TARGET_RATIO: f64 = 1.5;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let time = options.time(SECONDS);
    let mut traffic = Traffic::over(server, options).await?;
    let dataset = traffic.dataset;
    let before = phase(&mut traffic, time).await?;

    let holder = server.session(dataset.schema).await?;
    holder.batch(&format!("begin; update orders set amount = amount + 1 where id = {}", dataset.rows)).await?;
    let during = phase(&mut traffic, time).await?;
    // Whatever the open transaction delays, the table shows the committed rows.
    traffic.probe.owner.exact(&traffic.probe.table).await?;
    holder.batch("commit").await?;
    let after = phase(&mut traffic, time).await?;
    traffic.probe.verify().await?;

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

/// The latencies over some time, and the sizes at its end.
struct Phase {
    visible: Sample,
    rate: f64,
    sizes: Sizes,
}

async fn phase(traffic: &mut Traffic, time: Duration) -> Result<Phase> {
    let Seen { rate, visible, .. } = traffic.flow(time, async |_| Ok(())).await?;
    let sizes = Sizes::read(&traffic.probe.owner, traffic.probe.table.name).await?;
    Ok(Phase { visible, rate, sizes })
}

impl Phase {
    /// The last tenth separately: growth shows there.
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
