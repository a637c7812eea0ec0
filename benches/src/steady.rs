//! Steady writes: do the change buffers and the catalog stay small, and refreshes as fast as at the start?
//!
//! First with the server's own vacuum, which frees what was consumed. Then for as long without it: what it costs to do
//! without, and no target, for all of PostgreSQL's tables grow then.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Result;
use crate::options::Options;
use crate::probe::Probe;
use crate::report::Report;
use crate::sample::{ratio, rounded, within};
use crate::server::Server;
use crate::sizes::Sizes;
use crate::traffic::{Seen, Traffic};

const SECONDS: u32 = 120;
/// Looks at the sizes, over the whole time.
const LOOKS: u32 = 60;

/// One minute's changes at this rate need more space than this if nothing is pruned.
const TARGET_BYTES: i64 = 8 << 20;
/// The end against the beginning.
const TARGET_RATIO: f64 = 1.5;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let time = options.time(SECONDS);
    let mut traffic = Traffic::over(server, options).await?;
    let vacuumed = spell(&mut traffic, time).await?;
    tell(&vacuumed, (time, "on"), report);
    server.autovacuum(false).await?;
    let left = spell(&mut traffic, time).await;
    server.autovacuum(true).await?;
    tell(&left?, (time, "off"), report);
    Ok(())
}

/// What was seen, and the sizes second by second.
type Spell = Seen<Vec<(u64, Sizes)>>;

async fn spell(traffic: &mut Traffic, time: Duration) -> Result<Spell> {
    let seen = traffic.flow(time, async |probe| watch(probe, time).await).await;
    traffic.probe.verify().await?;
    seen
}

/// Looks at the sizes again and again.
async fn watch(probe: &Probe, time: Duration) -> Result<Vec<(u64, Sizes)>> {
    let (began, mut seen) = (Instant::now(), vec![]);
    while began.elapsed() < time {
        sleep(time / LOOKS).await;
        seen.push((began.elapsed().as_secs(), Sizes::read(&probe.owner, probe.table.name).await?));
    }
    Ok(seen)
}

fn tell(spell: &Spell, (time, autovacuum): (Duration, &str), report: &mut Report) {
    let sizes = &spell.observed;
    let max = sizes.iter().fold(Sizes::default(), |max, (_, sizes)| max.max(*sizes));
    let last = sizes.last().map_or(Value::Null, |(_, sizes)| sizes.summary());
    let (first_tenth, last_tenth) = (spell.visible.between(0.0, 0.1), spell.visible.between(0.9, 1.0));
    let slower = ratio(&last_tenth, &first_tenth);
    let series: Vec<Value> =
        sizes.iter().map(|(second, sizes)| json!([second, sizes.pending_rows, sizes.buffers])).collect();
    let mut line = json!({
        "seconds": time.as_secs(),
        "autovacuum": autovacuum,
        "commits_per_second": rounded(Some(spell.rate)),
        "visible_ms": spell.visible.summary(),
        "visible_p50_ms": { "first_tenth": rounded(first_tenth.median()), "last_tenth": rounded(last_tenth.median()) },
        "max": max.summary(),
        "last": last,
        "second_pending_rows_and_buffer_bytes": series,
    });
    if autovacuum == "on" {
        line["target"] = json!({ "max_buffer_bytes": TARGET_BYTES, "last_to_first_tenth": TARGET_RATIO });
        line["met"] = json!(max.buffers <= TARGET_BYTES && within(slower, TARGET_RATIO));
    }
    report.add(line);
}
