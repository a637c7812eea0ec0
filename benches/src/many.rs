//! A thousand stream tables over a hundred tables: what one more, one changed row, and no change at all cost.
//!
//! The same is measured with a few tables first.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::crowd::Crowd;
use crate::meter::{self, Meter};
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, rounded};
use crate::server::Server;

const TABLES: u32 = 1000;
const FEW: u32 = 50;
const SECONDS: u32 = 60;
/// Tables that are created and dropped, and changes of each source after its first.
const ROUNDS: u32 = 20;
/// Sources that are changed, at most.
const CHANGED: u32 = 10;

/// Of one processor.
const TARGET_CPU_PERCENT: f64 = 1.0;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut crowd = Crowd::over(server).await?;
    for tables in [FEW, options.tables.unwrap_or(TABLES).max(FEW)] {
        let before = Meter::read(server, &crowd.session).await?;
        let had = crowd.len();
        let created = crowd.grow(tables).await?;
        crowd.verify().await?;
        let work = Meter::read(server, &crowd.session).await?.since(&before);
        report.add(json!({
            "stream_tables": crowd.len(),
            "create_ms": created.summary(),
            "create_p50_ms": {
                "first_tenth": rounded(created.between(0.0, 0.1).median()),
                "last_tenth": rounded(created.between(0.9, 1.0).median()),
            },
            "workers_cpu_ms_for_each": rounded(Some(work.cpu / f64::from(crowd.len() - had).max(1.0))),
        }));
        report.add(costs(server, &mut crowd, rounds).await?);
    }
    let seconds = options.seconds.unwrap_or(SECONDS);
    server.autovacuum(false).await?;
    let work = meter::idle(server, &crowd.session, Duration::from_secs(seconds.into())).await;
    server.autovacuum(true).await?;
    let work = work?;
    let percent = work.cpu / f64::from(seconds) / 10.0;
    crowd.verify().await?;
    report.add(json!({
        "stream_tables": crowd.len(),
        "idle_seconds": seconds,
        "did": work.summary(),
        "cpu_percent": rounded(Some(percent)),
        "target": { "cpu_percent": TARGET_CPU_PERCENT, "wal_bytes": 0, "wake_ups": 0 },
        "met": work.is_none() && percent < TARGET_CPU_PERCENT,
    }));
    Ok(())
}

/// One changed row, and one table that is created and dropped.
async fn costs(server: &Server, crowd: &mut Crowd, rounds: u32) -> Result<Value> {
    let (mut first, mut next) = (Sample::default(), Sample::default());
    // Those that were created last are the ones that no worker knows yet.
    let sources = crowd.sources() - crowd.sources().min(CHANGED)..crowd.sources();
    for source in sources.clone() {
        first.push(crowd.change(source).await?);
    }
    let before = Meter::read(server, &crowd.session).await?;
    for source in sources.clone().cycle().take((sources.len() as u32 * rounds) as usize) {
        next.push(crowd.change(source).await?);
    }
    let changing = Meter::read(server, &crowd.session).await?;
    let (mut came, mut went) = (Sample::default(), Sample::default());
    for _ in 0..rounds {
        let (create, drop) = crowd.come_and_go().await?;
        came.push(create);
        went.push(drop);
    }
    let passing = Meter::read(server, &crowd.session).await?.since(&changing);
    crowd.verify().await?;
    Ok(json!({
        "stream_tables": crowd.len(),
        "first_change_visible_ms": first.summary(),
        "next_changes_visible_ms": next.summary(),
        "workers_cpu_ms_for_a_change": rounded(Some(changing.since(&before).cpu / next.len() as f64)),
        "create_ms": came.summary(),
        "drop_ms": went.summary(),
        "workers_cpu_ms_for_both": rounded(Some(passing.cpu / f64::from(rounds))),
    }))
}
