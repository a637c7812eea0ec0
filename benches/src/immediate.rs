//! What refresh mode IMMEDIATE costs the transactions that write, in the processor time of their backend and in transactions a second.
//!
//! Each statement runs over a table without a stream table, over one whose stream table workers refresh, and over those with an
//! aggregate and with a join that the writer maintains, in turns. Then sixteen clients write: one group, many groups, one side of a join.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::options::Options;
use crate::process;
use crate::report::Report;
use crate::sample::{Sample, rounded, within};
use crate::server::Server;
use crate::session::{BY_HAND, Session};

const ROWS: u32 = 100_000;
const GROUPS: u32 = 1000;
const ROUNDS: u32 = 20;
/// Executions of a statement in a round.
const TIMES: u32 = 100;
const BULK: u32 = 100_000;
const CLIENTS: usize = 16;

/// The tables; each has a copy of the rows.
const KINDS: [&str; 4] = ["plain", "deferred", "summed", "joined"];

/// Microseconds of one statement, above those over the plain table.
const ADDED_US: [(&str, &str, f64); 4] =
    [("summed", "insert", 10.0), ("summed", "update", 13.0), ("joined", "insert", 8.0), ("joined", "rekey", 16.0)];
/// Microseconds a row of a bulk statement.
const ADDED_BULK_US: [(&str, f64); 2] = [("insert", 0.6), ("update", 1.2)];
/// Shares of the throughput: of a plain update of one row in the same transaction, and of untracked writers.
const HOT: f64 = 0.9;
const MANY: f64 = 0.85;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let rows = options.rows.unwrap_or(ROWS);
    let session = server.session("public").await?;
    session
        .batch(&format!(
            "create table dim (g int primary key, name text not null);
             insert into dim select g, 'n' || g from generate_series(0, {GROUPS} - 1) g;
             create table hot (id int primary key, n bigint not null); insert into hot values (1, 0);
             create sequence ids start 10000000"
        ))
        .await?;
    for kind in KINDS {
        session
            .batch(&format!(
                "create table {kind} (id int primary key, g int not null, v int not null);
                 insert into {kind} select i, i % {GROUPS}, i from generate_series(1, {rows}) i;
                 create index on {kind} (g)"
            ))
            .await?;
    }
    session.batch("vacuum analyze").await?;
    session.create_as("sums_deferred", &sums("deferred"), BY_HAND, "AUTO").await?;
    session.create_as("sums", &sums("summed"), "calculated", "IMMEDIATE").await?;
    session.create_as("names", NAMES, "calculated", "IMMEDIATE").await?;
    statements(&session, options.rounds.unwrap_or(ROUNDS), rows, report).await?;
    bulk(&session, report).await?;
    crowd(server, options.time(5), report).await?;
    exact(&session).await
}

const NAMES: &str = "select j.id, j.v, d.name from joined j join dim d using (g)";

fn sums(table: &str) -> String {
    format!("select g, count(*) as n, sum(v) as s from {table} group by g")
}

async fn exact(session: &Session) -> Result<()> {
    session.equal("sums", &sums("summed")).await?;
    session.equal("names", NAMES).await
}

/// Microseconds of processor time for one of so many executions.
async fn time(session: &Session, statements: &[String]) -> Result<f64> {
    sleep(process::SETTLE).await;
    let before = process::cpu(session.pid).ok_or("the server is not on this machine")?;
    for statement in statements {
        session.batch(statement).await?;
    }
    sleep(process::SETTLE).await;
    let after = process::cpu(session.pid).ok_or("the server is not on this machine")?;
    Ok((after - before) * 1e3 / statements.len() as f64)
}

/// Statements that change one row.
async fn statements(session: &Session, rounds: u32, rows: u32, report: &mut Report) -> Result<()> {
    for operation in ["insert", "update", "rekey"] {
        let mut samples: [Sample; 4] = Default::default();
        for round in 0..rounds {
            // In another order each time: what runs after another one finds its caches.
            for turn in 0..KINDS.len() {
                let at = (round as usize + turn) % KINDS.len();
                let (kind, sample) = (KINDS[at], &mut samples[at]);
                let statement = |at: u32| {
                    let id = 1 + (round * TIMES + at) * 37 % rows;
                    match operation {
                        "insert" => format!("insert into {kind} values (nextval('ids'), {}, 1)", id % GROUPS),
                        "update" => format!("update {kind} set v = v + 1 where id = {id}"),
                        _ => format!("update {kind} set g = (g + 1) % {GROUPS} where id = {id}"),
                    }
                };
                sample.push(time(session, &(0..TIMES).map(statement).collect::<Vec<_>>()).await?);
            }
        }
        exact(session).await?;
        let plain = samples[0].median();
        for (kind, sample) in KINDS.iter().zip(&samples).skip(1) {
            let added = sample.median().zip(plain).map(|(median, plain)| median - plain);
            let target = ADDED_US.iter().find(|(of, by, _)| (of, by) == (kind, &operation)).map(|(_, _, us)| *us);
            report.add(json!({
                "statement": operation, "table": kind, "plain_us": rounded(plain), "added_us": rounded(added),
                "target": target, "met": target.map(|target| within(added, target)),
            }));
        }
    }
    Ok(())
}

async fn bulk(session: &Session, report: &mut Report) -> Result<()> {
    for (operation, target) in ADDED_BULK_US {
        let mut samples: [Sample; 2] = Default::default();
        for _ in 0..3 {
            for (kind, sample) in ["plain", "summed"].iter().zip(&mut samples) {
                let statement = match operation {
                    "insert" => format!(
                        "insert into {kind} select nextval('ids'), i % {GROUPS}, 1 from generate_series(1, {BULK}) i"
                    ),
                    _ => format!("update {kind} set v = v + 1 where id <= {BULK}"),
                };
                sample.push(time(session, &[statement]).await? / f64::from(BULK));
            }
        }
        let [plain, summed] = samples.map(|sample| sample.median());
        let added = summed.zip(plain).map(|(summed, plain)| summed - plain);
        report.add(json!({
            "bulk": operation, "rows": BULK, "plain_us_a_row": rounded(plain), "added_us_a_row": rounded(added),
            "target": target, "met": within(added, target),
        }));
    }
    exact(session).await
}

/// Sixteen clients, in turns.
async fn crowd(server: &Server, each: Duration, report: &mut Report) -> Result<()> {
    let mut rates: [Sample; 5] = Default::default();
    for _ in 0..3 {
        for (kind, rate) in rates.iter_mut().enumerate() {
            rate.push(throughput(server, kind, each).await?);
        }
    }
    let [plain, updated, hot, many, joined] = rates.map(|rate| rate.median());
    let share = |of: Option<f64>, all: Option<f64>| of.zip(all).map(|(of, all)| of / all);
    for (what, rate, share, target) in [
        ("one group, of a plain update of one row", hot, share(hot, updated), HOT),
        ("many groups, of untracked writers", many, share(many, plain), MANY),
        ("one side of a join, of untracked writers", joined, share(joined, plain), MANY),
    ] {
        report.add(json!({
            "clients": CLIENTS, "writers_of": what, "transactions_per_second": rounded(rate), "share": rounded(share),
            "target": target, "met": share.is_some_and(|share| share >= target),
        }));
    }
    Ok(())
}

/// Transactions a second of clients that insert: without a stream table, with an update of one row, into one group, into many
/// groups, into one side of a join.
async fn throughput(server: &Server, kind: usize, each: Duration) -> Result<f64> {
    let end = Instant::now() + each;
    let mut tasks = vec![];
    for at in 0..CLIENTS {
        let session = server.session("public").await?;
        tasks.push(tokio::spawn(async move {
            let mut count = 0_u32;
            while Instant::now() < end {
                let group = (at as u32 + count * 61) % GROUPS;
                let insert =
                    |table: &str, group: u32| format!("insert into {table} values (nextval('ids'), {group}, 1)");
                let statement = match kind {
                    0 => insert("plain", group),
                    1 => format!("begin; {}; update hot set n = n + 1 where id = 1; commit", insert("plain", group)),
                    2 => insert("summed", 7),
                    3 => insert("summed", group),
                    _ => insert("joined", group),
                };
                session.batch(&statement).await.map_err(|error| error.to_string())?;
                count += 1;
            }
            Ok::<u32, String>(count)
        }));
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await??;
    }
    Ok(f64::from(sum) / each.as_secs_f64())
}
