//! What is written to the server's log for a commit, and for what: of writers alone, of writers whose changes are captured,
//! and of writers with twelve stream tables that follow at once.
//!
//! The shop is there three times and has its clients by turns in one run. `pg_waldump` says which record is about which
//! relation. There is no checkpoint meanwhile: images of whole pages are told apart, for they depend on how often there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::sample::rounded;
use crate::server::Server;
use crate::session::BY_HAND;
use crate::shop::Shop;
use crate::wal_records::{Count, Log, Records};

/// Commits a second: more than a refresh each, and few enough for one each.
const RATES: [u32; 2] = [700, 70];
const SECONDS: u32 = 10;
const ROUNDS: u32 = 3;
const WARM_UP: Duration = Duration::from_secs(4);
/// What one shop did must be over before another is measured: rows of the history wait for a second.
const PAUSE: Duration = Duration::from_millis(1500);

/// Bytes with stream tables against those without, page images apart.
const TARGET: f64 = 3.0;

/// A shop, and what was written for it.
struct Measured {
    name: &'static str,
    shop: Shop,
    commits: u32,
    seconds: f64,
    records: Records,
}

impl Measured {
    async fn open(server: &Server, name: &'static str, schedules: &[&str]) -> Result<Measured> {
        let shop = Shop::open(server, name, schedules).await?;
        Ok(Measured { name, shop, commits: 0, seconds: 0.0, records: Records::default() })
    }

    async fn trade(&mut self, log: &Log, server: &Server, (rate, time): (u32, Duration)) -> Result<()> {
        let from = server.log_position().await?;
        self.commits += self.shop.trade(rate, time).await?;
        self.seconds += time.as_secs_f64();
        sleep(PAUSE).await;
        self.records.add(log.between(server, from).await?);
        Ok(())
    }

    /// Forgets what was written.
    fn start_over(&mut self) {
        (self.commits, self.seconds, self.records) = (0, 0.0, Records::default());
    }

    fn per_commit(&self, count: &Count) -> Value {
        let each = |number: u64| rounded(Some(number as f64 / f64::from(self.commits)));
        json!({ "records": each(count.records), "bytes": each(count.bytes), "images": each(count.images) })
    }

    fn bytes(&self) -> f64 {
        self.records.total().bytes as f64 / f64::from(self.commits)
    }

    /// By what was written to, then by the kind of record; the largest first.
    fn tell(&self, report: &mut Report) {
        let mut parts: BTreeMap<&str, (Count, BTreeMap<&str, Count>)> = BTreeMap::new();
        for ((part, record), count) in &self.records.0 {
            let (all, records) = parts.entry(part).or_default();
            *all += *count;
            *records.entry(record).or_default() += *count;
        }
        let mut parts: Vec<_> = parts.into_iter().collect();
        parts.sort_by_key(|(_, (all, _))| std::cmp::Reverse(all.bytes));
        let told = parts.iter().map(|(part, (all, records))| {
            let mut told = self.per_commit(all);
            told["part"] = json!(part);
            told["of"] = records.iter().map(|(record, count)| ((*record).to_owned(), self.per_commit(count))).collect();
            told
        });
        report.add(json!({
            "shop": self.name,
            "commits_per_second": rounded(Some(f64::from(self.commits) / self.seconds)),
            "per_commit": self.per_commit(&self.records.total()),
            "parts": told.collect::<Vec<_>>(),
        }));
    }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let conf =
        "alter system set checkpoint_timeout = '1h'; alter system set max_wal_size = '16GB'; select pg_reload_conf()";
    for statement in conf.split(';') {
        server.outside.batch_execute(statement).await?;
    }
    let measured = measure(server, options, report).await;
    for setting in ["checkpoint_timeout", "max_wal_size"] {
        server.outside.batch_execute(&format!("alter system reset {setting}")).await?;
    }
    server.outside.batch_execute("select pg_reload_conf()").await?;
    measured
}

async fn measure(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let mut shops = [
        Measured::open(server, "untracked", &[]).await?,
        Measured::open(server, "captured", &[BY_HAND]).await?,
        Measured::open(server, "live", &["0s"]).await?,
    ];
    let log = Log::of(server).await?;
    server.outside.batch_execute("checkpoint").await?;
    for measured in &mut shops {
        measured.shop.trade(RATES[0], WARM_UP).await?;
        sleep(PAUSE).await;
    }
    for rate in RATES {
        shops.iter_mut().for_each(Measured::start_over);
        for _ in 0..options.rounds.unwrap_or(ROUNDS) {
            for measured in &mut shops {
                measured.trade(&log, server, (rate, options.time(SECONDS))).await?;
            }
        }
        let [untracked, captured, live] = &shops;
        live.shop.settle().await?;
        captured.shop.verify().await?;
        shops.iter().for_each(|measured| measured.tell(report));
        let ratio = live.bytes() / untracked.bytes();
        report.add(json!({
            "wanted_per_second": rate,
            "captured_to_untracked": rounded(Some(captured.bytes() / untracked.bytes())),
            "live_to_untracked": rounded(Some(ratio)),
            "target": { "live_to_untracked": TARGET },
            "met": ratio <= TARGET,
        }));
    }
    Ok(())
}
