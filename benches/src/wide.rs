//! Wide queries: what does a refresh cost when many inputs of one query change at once, and what does it cost to make a
//! stream table that reads many tables?
//!
//! Key figures are scalar subqueries over one table, so that one inserted row changes all of them; a star has a change in
//! each of its dimensions; q9 is that query of TPC-DS, over sales of the size that scale 1 has.

use std::fmt::Write;
use std::time::Instant;

use serde_json::json;

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, rounded, within};
use crate::server::Server;
use crate::session::{BY_HAND, Session};
use crate::timing::{Timed, Timings, milliseconds};

/// Those of TPC-DS at scale 1.
const ROWS: u32 = 2_880_404;
const ROUNDS: u32 = 50;
const WARM_UP: u32 = 10;
const DIMENSIONS: u32 = 9;
/// Tables of a chain of joins, and milliseconds that its creation may take.
const CHAINS: [(u32, f64); 2] = [(17, 300.0), (50, 3000.0)];

struct Wide {
    name: &'static str,
    query: String,
    /// Milliseconds of the refresh call.
    target_ms: f64,
    timings: Timings,
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let (rows, rounds) = (options.rows.unwrap_or(ROWS), options.rounds.unwrap_or(ROUNDS));
    let session = set_up(server, rows).await?;
    for (tables, target) in CHAINS {
        report.add(creation(&session, tables, target).await?);
    }
    let wide = |name, query, target_ms| Wide { name, query, target_ms, timings: Timings::default() };
    let mut all = [wide("figures", figures(), 5.0), wide("star", star(), 20.0), wide("q9", q9(), 20.0)];
    for wide in &all {
        session.create_as(wide.name, &wide.query, BY_HAND, "DIFFERENTIAL").await?;
    }
    server.outside.batch_execute("checkpoint").await?;
    let writer = server.session("wide").await?;
    let timed = Timed::over(session).await?;
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            all.iter_mut().for_each(|wide| wide.timings = Timings::default());
        }
        writer.batch(&changes(rows + 1 + round, round)).await?;
        for wide in &mut all {
            timed.refresh(wide.name, &mut wide.timings).await?;
        }
    }
    for wide in &all {
        timed.session.equal(wide.name, &wide.query).await?;
        report.add(json!({
            "view": wide.name,
            "rows": rows,
            "refresh": wide.timings.summary(),
            "target": { "client_async_p50_ms": wide.target_ms },
            "met": within(wide.timings.client_async.median(), wide.target_ms),
        }));
    }
    Ok(())
}

async fn set_up(server: &Server, rows: u32) -> Result<Session> {
    let session = server.session("wide").await?;
    session.batch("create schema if not exists wide").await?;
    session.client.execute("select set_config('bench.rows', $1, false)", &[&rows.to_string()]).await?;
    session.batch(include_str!("../sql/wide.sql")).await?;
    session.batch("vacuum analyze").await?;
    Ok(session)
}

/// Creates a stream table over so many tables, again and again.
async fn creation(session: &Session, tables: u32, target: f64) -> Result<serde_json::Value> {
    let (query, mut took) = (chain(tables), Sample::default());
    for _ in 0..5 {
        let began = Instant::now();
        let call = "select pgtrickle.create_stream_table('chain', $1, schedule => $2, refresh_mode => 'DIFFERENTIAL')";
        session.client.execute(call, &[&query, &BY_HAND]).await?;
        took.push(milliseconds(began));
        session.equal("chain", &query).await?;
        session.batch("select pgtrickle.drop_stream_table('chain')").await?;
    }
    Ok(json!({
        "view": format!("chain of {tables}"),
        "create_ms": took.summary(),
        "target": { "create_p50_ms": target },
        "met": within(took.median(), target),
        "worst_ms": rounded(took.max()),
    }))
}

/// One row more for the key figures, and another name in each dimension.
fn changes(id: u32, round: u32) -> String {
    let mut statements = format!("insert into sales values ({id}, {}, 1.5, 2.5);", round % 100 + 1);
    for d in 1..=DIMENSIONS {
        let at = (round * DIMENSIONS + d) % 50 + 1;
        _ = write!(statements, "update d{d} set name = 'round {round}' where id = {at};");
    }
    format!("begin; {statements} commit")
}

fn figures() -> String {
    let figure = |k: u32| format!("(select count(*) from sales where id % {k} = 0) as every_{k}");
    format!("select {}", (1..=15).map(figure).collect::<Vec<_>>().join(", "))
}

fn star() -> String {
    let names = (1..=DIMENSIONS).map(|d| format!("d{d}.name as name{d}")).collect::<Vec<_>>().join(", ");
    let joins = (1..=DIMENSIONS).map(|d| format!("join d{d} on d{d}.id = f.d{d}")).collect::<Vec<_>>().join(" ");
    format!("select f.id, {names} from facts f {joins}")
}

/// TPC-DS q9, with thresholds of which some are passed.
fn q9() -> String {
    let bucket = |n: u32| {
        let of =
            |what: &str| format!("(select {what} from sales where quantity between {} and {})", n * 20 - 19, n * 20);
        let (count, discount, paid) = (of("count(*)"), of("avg(discount)"), of("avg(paid)"));
        format!("case when {count} > {} then {discount} else {paid} end as bucket{n}", n * 74_129)
    };
    format!("select {} from reason where id = 1", (1..=5).map(bucket).collect::<Vec<_>>().join(", "))
}

fn chain(tables: u32) -> String {
    let joins = (2..=tables).map(|n| format!("join link{n} on link{n}.id = link{}.next", n - 1));
    let values = (1..=tables).map(|n| format!("link{n}.v as v{n}")).collect::<Vec<_>>().join(", ");
    format!("select link1.id, {values} from link1 {}", joins.collect::<Vec<_>>().join(" "))
}
