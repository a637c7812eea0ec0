//! The exporter: what a scrape of a thousand stream tables costs, and what ten scrapes a second cost everybody else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::crowd::Crowd;
use crate::dataset::Dataset;
use crate::fleet::Fleet;
use crate::meter;
use crate::options::Options;
use crate::probe::Probe;
use crate::process;
use crate::report::Report;
use crate::sample::{Sample, ratio, rounded};
use crate::server::Server;
use crate::timing::Commit;

const TABLES: u32 = 1000;
const ROWS: u32 = 100_000;
const SCRAPES: u32 = 100;
const IDLE_SECONDS: u32 = 60;
/// Pairs of slices, with scrapes and without.
const ROUNDS: u32 = 10;
const SLICE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(300);
const SCRAPES_PER_SECOND: u32 = 10;
const CLIENTS: u32 = 4;

const TARGET_CPU_MS: f64 = 15.0;
const TARGET_BYTES: usize = 2 << 20;
/// Of the median age of commits when they are seen, and of the writers' commits a second.
const TARGET_RATIO: f64 = 1.03;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    listen(server, &format!("127.0.0.1:{port}")).await?;
    let result = measure(server, options, port, report).await;
    listen(server, "").await?;
    result
}

async fn listen(server: &Server, address: &str) -> Result<()> {
    server.outside.batch_execute(&format!("alter system set pg_trickle.metrics_listen = '{address}'")).await?;
    server.outside.batch_execute("select pg_reload_conf()").await?;
    Ok(())
}

async fn measure(server: &Server, options: &Options, port: u16, report: &mut Report) -> Result<()> {
    let mut crowd = Crowd::over(server).await?;
    crowd.grow(options.tables.unwrap_or(TABLES)).await?;
    crowd.verify().await?;
    single(port, crowd.session.pid, crowd.len(), report).await?;

    let seconds = options.seconds.unwrap_or(IDLE_SECONDS);
    server.autovacuum(false).await?;
    let work = meter::idle(server, &crowd.session, Duration::from_secs(seconds.into())).await;
    server.autovacuum(true).await?;
    let work = work?;
    report.add(json!({
        "idle_seconds": seconds,
        "did": work.summary(),
        "target": { "transactions": 0, "wal_bytes": 0, "wake_ups": 0 },
        "met": work.is_none(),
    }));
    others(server, options, port, report).await
}

/// Scrapes one after the other, with nothing else to do.
async fn single(port: u16, sibling: i32, tables: u32, report: &mut Report) -> Result<()> {
    let started = Instant::now();
    while scrape(port).is_err() {
        if started.elapsed() > Duration::from_secs(30) {
            return Err("the exporter does not answer".into());
        }
        sleep(PAUSE).await;
    }
    let found = process::siblings(sibling, "pg_trickle exporter").pop().ok_or("there is no exporter")?;
    let bytes = scrape(port)?;
    let before = process::cpu(found.pid);
    let mut answered = Sample::default();
    for _ in 0..SCRAPES {
        let began = Instant::now();
        scrape(port)?;
        answered.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    sleep(process::SETTLE).await;
    let cpu = process::cpu(found.pid).zip(before).map(|(after, before)| (after - before) / f64::from(SCRAPES));
    report.add(json!({
        "stream_tables": tables,
        "cpu_ms_for_a_scrape": rounded(cpu),
        "bytes": bytes,
        "answered_ms": answered.summary(),
        "target": { "cpu_ms": TARGET_CPU_MS, "bytes": TARGET_BYTES },
        "met": cpu.is_some_and(|cpu| cpu <= TARGET_CPU_MS) && bytes <= TARGET_BYTES,
    }));
    Ok(())
}

/// The lag of commits and the throughput of writers, with scrapes and without by turns.
async fn others(server: &Server, options: &Options, port: u16, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let probe = Probe::over(server, dataset).await?;
    let mut fleet = Fleet::over(server, dataset, 0..CLIENTS, Commit::Async).await?;
    fleet.rush(SLICE).await?;
    let (mut lag, mut plain_lag) = (Sample::default(), Sample::default());
    let (mut rate, mut plain_rate) = (Sample::default(), Sample::default());
    for round in 0..options.rounds.unwrap_or(ROUNDS) {
        for turn in 0..2 {
            let scraped = (round + turn) % 2 == 0;
            let scraper = scraped.then(|| Scraper::start(port));
            let seen = probe.follow(SLICE, Commit::Async).await?.median();
            sleep(PAUSE).await;
            let commits = fleet.rush(SLICE).await?;
            if let Some(scraper) = scraper {
                scraper.stop()?;
            }
            sleep(PAUSE).await;
            let (lags, rates) = if scraped { (&mut lag, &mut rate) } else { (&mut plain_lag, &mut plain_rate) };
            lags.push(seen.ok_or("nothing was seen")?);
            rates.push(commits);
        }
    }
    probe.verify().await?;
    let (lag_ratio, slowdown) = (ratio(&lag, &plain_lag), ratio(&plain_rate, &rate));
    let met = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio <= TARGET_RATIO);
    report.add(json!({
        "scrapes_per_second": SCRAPES_PER_SECOND,
        "visible_p50_ms": rounded(lag.median()),
        "without_scrapes_ms": rounded(plain_lag.median()),
        "lag_ratio": rounded(lag_ratio),
        "commits_per_second": rounded(rate.median()),
        "without_scrapes_per_second": rounded(plain_rate.median()),
        "slowdown": rounded(slowdown),
        "target": { "ratio": TARGET_RATIO },
        "met": met(lag_ratio) && met(slowdown),
    }));
    Ok(())
}

/// Bytes of the metrics.
fn scrape(port: u16) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = vec![];
    stream.read_to_end(&mut answer)?;
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(answer.len()),
        false => Err(std::io::Error::other("the exporter refuses")),
    }
}

/// A thread that scrapes at a steady pace.
struct Scraper {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Scraper {
    fn start(port: u16) -> Scraper {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                scrape(port)?;
                std::thread::sleep(Duration::from_secs(1) / SCRAPES_PER_SECOND);
            }
            Ok(())
        });
        Scraper { ends, thread }
    }

    fn stop(self) -> Result<()> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the scraper panicked")??;
        Ok(())
    }
}
