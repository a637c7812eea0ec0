//! Steady writes for long, with twelve stream tables of mixed schedules: after some time nothing grows any more, but the sources
//! and what the queries make of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Result;
use crate::options::Options;
use crate::process;
use crate::report::Report;
use crate::sample::rounded;
use crate::server::Server;
use crate::session::Session;
use crate::shop::Shop;

const SECONDS: u32 = 600;
/// Commits a second.
const RATE: u32 = 700;
const SCHEDULES: [&str; 5] = ["0s", "0s", "1s", "10s", "1m"];
/// Looks at the server, over the whole time.
const LOOKS: u32 = 60;
/// The share of the time after which all is level.
const SETTLED: f64 = 1.0 / 6.0;
/// The last sixth against the sixth after that: how much more is still level.
const TARGET_RATIO: f64 = 1.25;

/// What is read of the server at one moment; counters since its start.
struct Look {
    second: u64,
    refreshes: f64,
    refreshing_ms: f64,
    change_buffer_bytes: f64,
    catalog_bytes: f64,
    bytes_per_row: f64,
    /// Of the process with the most.
    worker_bytes: f64,
}

impl Look {
    async fn at(session: &Session, began: Instant) -> Result<Look> {
        let query = "
            with tables as (
              select sum(pg_total_relation_size(relid)) as bytes,
                     sum((xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %s', relid::regclass), true, true, '')))[1]::text::bigint)
                       as rows,
                     sum(differential_count + full_count + reinitialize_count) as refreshes, sum(total_refresh_time) as ms
                from pgtrickle.pg_stat_stream_tables),
            catalog as (
              select sum(pg_total_relation_size(oid)) as bytes from pg_class
               where relnamespace = 'pgtrickle'::regnamespace and relkind = 'r')
            select t.refreshes::float8, t.ms::float8, b.bytes::float8, c.bytes::float8, (t.bytes / t.rows)::float8
              from tables t, catalog c, (select sum(bytes) as bytes from pgtrickle.change_buffer_sizes()) b";
        let row = session.one(query).await?;
        let workers = process::siblings(session.pid, "pg_trickle");
        let worker_bytes = workers.iter().filter_map(|worker| process::own_memory(worker.pid)).max();
        Ok(Look {
            second: began.elapsed().as_secs(),
            refreshes: row.get(0),
            refreshing_ms: row.get(1),
            change_buffer_bytes: row.get(2),
            catalog_bytes: row.get(3),
            bytes_per_row: row.get(4),
            worker_bytes: worker_bytes.unwrap_or_default() as f64,
        })
    }
}

/// A figure of consecutive looks.
type Figure = (&'static str, fn(&[Look]) -> f64);

const FIGURES: [Figure; 5] = [
    ("refresh_ms", |looks| {
        let [first, .., last] = looks else { return f64::NAN };
        (last.refreshing_ms - first.refreshing_ms) / (last.refreshes - first.refreshes)
    }),
    ("change_buffer_bytes", |looks| mean(looks, |look| look.change_buffer_bytes)),
    ("catalog_bytes", |looks| mean(looks, |look| look.catalog_bytes)),
    ("table_bytes_per_row", |looks| mean(looks, |look| look.bytes_per_row)),
    ("largest_worker_bytes", |looks| mean(looks, |look| look.worker_bytes)),
];

fn mean(looks: &[Look], figure: impl Fn(&Look) -> f64) -> f64 {
    looks.iter().map(figure).sum::<f64>() / looks.len() as f64
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let time = options.time(SECONDS);
    let mut shop = Shop::open(server, "soak", &SCHEDULES).await?;
    let watcher = server.session("soak").await?;
    let (commits, looks) = tokio::join!(shop.trade(RATE, time), watch(&watcher, time));
    let (commits, looks) = (commits?, looks?);
    shop.settle().await?;

    let sixth = ((looks.len() as f64 * SETTLED) as usize).max(2);
    let (early, late) = (&looks[sixth.min(looks.len() - sixth)..][..sixth], &looks[looks.len() - sixth..]);
    let mut line = json!({
        "seconds": time.as_secs(),
        "commits_per_second": rounded(Some(f64::from(commits) / time.as_secs_f64())),
        "target": { "last_to_early": TARGET_RATIO },
    });
    let mut met = true;
    for (name, figure) in FIGURES {
        let (early, late) = (figure(early), figure(late));
        met &= late <= early * TARGET_RATIO;
        line[name] = json!({ "early": rounded(Some(early)), "last": rounded(Some(late)) });
    }
    line["met"] = json!(met);
    line["series"] = looks.windows(2).map(series).collect();
    report.add(line);
    Ok(())
}

/// The second, then each figure between two looks.
fn series(looks: &[Look]) -> Value {
    let second = looks.last().map_or(0, |look| look.second);
    let figures = FIGURES.iter().map(|(_, figure)| rounded(Some(figure(looks))));
    [json!(second)].into_iter().chain(figures).collect()
}

/// Looks at the server again and again.
async fn watch(session: &Session, time: Duration) -> Result<Vec<Look>> {
    let (began, mut looks) = (Instant::now(), vec![]);
    while began.elapsed() < time {
        sleep(time / LOOKS).await;
        looks.push(Look::at(session, began).await?);
    }
    Ok(looks)
}
