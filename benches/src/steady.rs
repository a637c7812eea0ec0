//! Steady writes: do the change buffers and the catalog stay small, and refreshes as fast as at the start?
//!
//! First with the server's own vacuum, then for as long without it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

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
const SECONDS: u32 = 120;
const CLIENTS: u32 = 4;
const RATE: u32 = 500;
/// Looks at the sizes, over the whole time.
const LOOKS: u32 = 60;

/// What is kept of one minute's changes at this rate, without anything that cleans up, is more than this.
const TARGET_BYTES: i64 = 8 << 20;
/// The end beside the beginning.
const TARGET_RATIO: f64 = 1.5;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let time = Duration::from_secs(options.seconds.unwrap_or(SECONDS).into());
    let probe = Probe::over(server, dataset).await?;
    let mut fleet = Fleet::over(server, dataset, 0..CLIENTS, Commit::Async).await?;
    let vacuumed = spell(&probe, &mut fleet, time).await?;
    tell(&vacuumed, "on", report);
    server.autovacuum(false).await?;
    let left = spell(&probe, &mut fleet, time).await;
    server.autovacuum(true).await?;
    tell(&left?, "off", report);
    Ok(())
}

/// What was seen over some time.
struct Spell {
    seconds: u64,
    rate: f64,
    visible: Sample,
    sizes: Vec<(u64, Sizes)>,
}

async fn spell(probe: &Probe, fleet: &mut Fleet, time: Duration) -> Result<Spell> {
    let follow = probe.follow(time, Commit::Async);
    let (marched, visible, sizes) = tokio::join!(fleet.march(RATE, time), follow, watch(probe, time));
    probe.verify().await?;
    Ok(Spell { seconds: time.as_secs(), rate: marched?.rate, visible: visible?, sizes: sizes? })
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

fn tell(spell: &Spell, autovacuum: &str, report: &mut Report) {
    let max = spell.sizes.iter().fold(Sizes::default(), |max, (_, sizes)| max.max(*sizes));
    let last = spell.sizes.last().map_or(Value::Null, |(_, sizes)| sizes.summary());
    let (first_tenth, last_tenth) = (spell.visible.between(0.0, 0.1), spell.visible.between(0.9, 1.0));
    let slower = ratio(&last_tenth, &first_tenth);
    let series: Vec<Value> =
        spell.sizes.iter().map(|(second, sizes)| json!([second, sizes.pending_rows, sizes.buffers])).collect();
    report.add(json!({
        "seconds": spell.seconds,
        "autovacuum": autovacuum,
        "commits_per_second": rounded(Some(spell.rate)),
        "visible_ms": spell.visible.summary(),
        "visible_p50_ms": { "first_tenth": rounded(first_tenth.median()), "last_tenth": rounded(last_tenth.median()) },
        "max": max.summary(),
        "last": last,
        "second_pending_rows_and_buffer_bytes": series,
        "target": { "max_buffer_bytes": TARGET_BYTES, "last_to_first_tenth": TARGET_RATIO },
        "met": max.buffers <= TARGET_BYTES && within(slower, TARGET_RATIO),
    }));
}
