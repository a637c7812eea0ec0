//! Many commits: the throughput of writers that saturate the machine, without a stream table, with one with schedule `'0s'`, and
//! with its capture alone; the rate that they reach of 2,000 commits a second, and how soon these become visible.
//!
//! The order book is there twice: one is read by a join-and-aggregate stream table, the other by none. Clients change
//! single rows of the one and the other by turns in one run.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::dataset::Dataset;
use crate::fleet::Fleet;
use crate::meter::Meter;
use crate::options::Options;
use crate::probe::Probe;
use crate::report::Report;
use crate::sample::{Sample, ratio, rounded, within};
use crate::server::Server;
use crate::timing::Commit;

const ROWS: u32 = 1_000_000;
const CLIENTS: [u32; 3] = [1, 4, 16];
/// Of each number of clients.
const ROUNDS: u32 = 5;
const SLICE: Duration = Duration::from_secs(3);
/// What one side did must be over before the other is measured.
const PAUSE: Duration = Duration::from_millis(500);
/// The second part: commits a second, for so many seconds.
const RATE: u32 = 2_000;
const SECONDS: u32 = 20;

const TARGET_KEPT: f64 = 0.9;
const TARGET_P99_MS: f64 = 50.0;
/// A machine that falls short of the rate without stream tables, too, says nothing about them.
const REACHED: f64 = 0.98;

/// The order book that is read by a stream table, its twin, and how many clients they have had.
struct Books<'a> {
    server: &'a Server,
    tracked: Dataset,
    untracked: Dataset,
    probe: Probe,
    lanes: u32,
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let rows = options.rows.unwrap_or(ROWS);
    let (tracked, untracked) = (Dataset::new("book", rows)?, Dataset::new("twin", rows)?);
    untracked.load(server).await?;
    let probe = Probe::over(server, tracked).await?;
    let mut books = Books { server, tracked, untracked, probe, lanes: 0 };
    for commit in Commit::BOTH {
        for clients in CLIENTS {
            throughput(&mut books, clients, commit, options.rounds.unwrap_or(ROUNDS), report).await?;
        }
    }
    let time = options.time(SECONDS);
    for commit in Commit::BOTH {
        for clients in CLIENTS {
            visibility(&mut books, clients, commit, time, report).await?;
        }
    }
    Ok(())
}

impl Books<'_> {
    /// As many clients of the one as of the other.
    async fn fleets(&mut self, clients: u32, commit: Commit) -> Result<(Fleet, Fleet)> {
        let lanes = self.lanes..self.lanes + clients;
        self.lanes = lanes.end;
        let tracked = Fleet::over(self.server, self.tracked, lanes.clone(), commit).await?;
        Ok((tracked, Fleet::over(self.server, self.untracked, lanes, commit).await?))
    }
}

/// Clients that wait for nothing but their answers.
async fn throughput(
    books: &mut Books<'_>,
    clients: u32,
    commit: Commit,
    rounds: u32,
    report: &mut Report,
) -> Result<()> {
    let (mut tracked, mut untracked) = books.fleets(clients, commit).await?;
    let (mut with, mut without, mut busy) = (Sample::default(), Sample::default(), Sample::default());
    // Writers that are captured while no worker refreshes.
    let mut captured = Sample::default();
    tracked.rush(PAUSE).await?;
    untracked.rush(PAUSE).await?;
    for round in 0..rounds {
        for turn in 0..3 {
            sleep(PAUSE).await;
            match (round + turn) % 3 {
                0 => {
                    let before = Meter::read(books.server, &books.probe.owner).await?;
                    with.push(tracked.rush(SLICE).await?);
                    let after = Meter::read(books.server, &books.probe.owner).await?;
                    busy.push(after.since(&before).cpu / SLICE.as_secs_f64() / 1000.0);
                }
                1 => {
                    books.probe.owner.one("select pgtrickle.drain()").await?;
                    captured.push(tracked.rush(SLICE).await?);
                    books.probe.owner.one("select pgtrickle.undrain()").await?;
                    books.probe.verify().await?;
                }
                _ => without.push(untracked.rush(SLICE).await?),
            }
        }
    }
    books.probe.verify().await?;
    let kept = ratio(&with, &without);
    report.add(json!({
        "rows": books.tracked.rows,
        "clients": clients,
        "synchronous_commit": commit.setting(),
        "tracked_per_second": rounded(with.median()),
        "untracked_per_second": rounded(without.median()),
        "kept": rounded(kept),
        "kept_without_refreshes": rounded(ratio(&captured, &without)),
        "workers_cpus": rounded(busy.median()),
        "rounds": rounds,
    }));
    Ok(())
}

/// Clients that commit at a rate, whatever happens.
async fn visibility(
    books: &mut Books<'_>,
    clients: u32,
    commit: Commit,
    time: Duration,
    report: &mut Report,
) -> Result<()> {
    let (mut tracked, mut untracked) = books.fleets(clients, commit).await?;
    let alone = untracked.march(RATE, time).await?;
    sleep(PAUSE).await;
    let before = Meter::read(books.server, &books.probe.owner).await?;
    let (marched, visible) = tokio::join!(tracked.march(RATE, time), books.probe.follow(time, commit));
    let work = Meter::read(books.server, &books.probe.owner).await?.since(&before);
    let (marched, visible) = (marched?, visible?);
    books.probe.verify().await?;
    let (reached, kept) = (REACHED * f64::from(RATE), marched.rate / alone.rate);
    report.add(json!({
        "rows": books.tracked.rows,
        "clients": clients,
        "synchronous_commit": commit.setting(),
        "wanted_per_second": RATE,
        "tracked_per_second": rounded(Some(marched.rate)),
        "untracked_per_second": rounded(Some(alone.rate)),
        "possible_untracked": alone.rate >= reached,
        "kept": rounded(Some(kept)),
        "visible_ms": visible.summary(),
        "tracked_answer_ms": marched.answered.summary(),
        "untracked_answer_ms": alone.answered.summary(),
        "workers_cpus": rounded(Some(work.cpu / time.as_secs_f64() / 1000.0)),
        "target": { "p99_ms": TARGET_P99_MS, "kept": TARGET_KEPT },
        "met": kept >= TARGET_KEPT && within(visible.quantile(0.99), TARGET_P99_MS),
    }));
    Ok(())
}
