//! Does a session wait for a call of another? While each function, and DDL of a source, runs over a large table, sessions write single rows of
//! the table and others read a stream table over it: how long did the slowest of their statements take?

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::dataset::{Dataset, views};
use crate::options::Options;
use crate::report::Report;
use crate::sample::rounded;
use crate::server::Server;
use crate::session::{Session, Table};
use crate::timing::milliseconds;

const ROWS: u32 = 1_000_000;
const ROUNDS: u32 = 3;
const WRITERS: u32 = 2;
/// Before and after each call, so that statements which it delays are over.
const MARGIN: Duration = Duration::from_millis(300);
/// No statement waits longer.
const TARGET_MS: f64 = 50.0;

/// A query of this number, as a literal: they differ in their rows.
fn query(number: usize) -> String {
    let all = "select customer_id, count(*) as n, sum(amount) as total from orders";
    format!("$query${all} where quantity > {number} group by customer_id$query$")
}

/// In this order: a later one uses what an earlier one made.
const CALLS: [(&str, &str); 20] = [
    ("nothing", "select pg_sleep(1)"),
    ("create", "select pgtrickle.create_stream_table('passing', query(0), '0s')"),
    ("create or replace", "select pgtrickle.create_or_replace_stream_table('passing', query(1), '0s')"),
    ("recompute", "select pgtrickle.refresh_stream_table('passing', recompute => true)"),
    ("refresh", "select pgtrickle.refresh_stream_table('passing')"),
    ("verify", "select pgtrickle.verify_stream_table('passing')"),
    ("explain", "select pgtrickle.explain_stream_table('passing', \"analyze\" => true)"),
    ("other query", "select pgtrickle.alter_stream_table('passing', query => query(2))"),
    ("other schedule", "select pgtrickle.alter_stream_table('passing', schedule => '1s')"),
    ("mode FULL", "select pgtrickle.alter_stream_table('passing', refresh_mode => 'FULL', schedule => '1h')"),
    ("mode AUTO", "select pgtrickle.alter_stream_table('passing', refresh_mode => 'AUTO', schedule => '0s')"),
    ("pause", "select pgtrickle.alter_stream_table('passing', status => 'PAUSED')"),
    ("resume", "select pgtrickle.resume_stream_table('passing')"),
    ("drain", "select pgtrickle.drain('10s')"),
    ("undrain", "select pgtrickle.undrain()"),
    ("wait", "select pgtrickle.wait_for_stream_table('passing')"),
    ("add column", "alter table orders add column extra integer"),
    ("drop column", "alter table orders drop column extra"),
    ("rename", "alter table passing rename to passed; alter table passed rename to passing"),
    ("drop", "select pgtrickle.drop_stream_table('passing')"),
];

/// The slowest statement since this was last asked, in milliseconds.
#[derive(Default)]
struct Slowest(Cell<f64>);

impl Slowest {
    async fn run(&self, session: &Session, statement: &str) -> Result<()> {
        let began = Instant::now();
        session.batch(statement).await?;
        self.0.set(self.0.get().max(milliseconds(began)));
        Ok(())
    }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("waits", options.rows.unwrap_or(ROWS))?;
    dataset.load(server).await?;
    let owner = server.session(dataset.schema).await?;
    let watched = Table { name: "watched", query: views::BY_KEY, schedule: "0s", mode: "DIFFERENTIAL" };
    owner.create(&watched).await?;
    let (written, read, over) = (Slowest::default(), Slowest::default(), Cell::new(false));

    let mut sessions = vec![];
    for _ in 0..WRITERS + 1 {
        let session = server.session(dataset.schema).await?;
        session.batch("set synchronous_commit = off").await?;
        sessions.push(session);
    }
    let write = async |session: &Session, writer: u32| {
        for n in 0.. {
            let order = dataset.open_order(n * WRITERS + writer);
            written.run(session, &format!("update orders set amount = amount + 1 where id = {order}")).await?;
            if over.get() {
                break;
            }
        }
        Ok::<(), crate::Error>(())
    };
    let watch = async |session: &Session| {
        while !over.get() {
            read.run(session, "select amount from watched where key = 7").await?;
            let passing = session.one("select to_regclass('passing') is not null").await?;
            if passing.get(0) {
                // It may be dropped, or have another name, in between.
                _ = read.run(session, "select total from passing where customer_id = 7").await;
            }
        }
        Ok::<(), crate::Error>(())
    };
    let call = async || {
        let mut worst = [(0_f64, 0_f64, 0_f64); CALLS.len()];
        for _ in 0..options.rounds.unwrap_or(ROUNDS) {
            for ((_, statement), worst) in CALLS.iter().zip(&mut worst) {
                sleep(MARGIN).await;
                written.0.set(0.0);
                read.0.set(0.0);
                let began = Instant::now();
                let named =
                    (0..3).fold(statement.to_string(), |text, n| text.replace(&format!("query({n})"), &query(n)));
                owner.batch(&named).await?;
                let took = milliseconds(began);
                sleep(MARGIN).await;
                *worst = (worst.0.max(took), worst.1.max(written.0.get()), worst.2.max(read.0.get()));
            }
        }
        over.set(true);
        Ok::<_, crate::Error>(worst)
    };
    let [first, second, reader] = &sessions[..] else { return Err("there are three sessions".into()) };
    let (worst, first, second, reader) = tokio::join!(call(), write(first, 0), write(second, 1), watch(reader));
    first?;
    second?;
    reader?;
    for ((name, _), (took, written, read)) in CALLS.iter().zip(worst?) {
        report.add(json!({
            "rows": dataset.rows,
            "call": name,
            "ms": rounded(Some(took)),
            "slowest_ms": { "writer": rounded(Some(written)), "reader": rounded(Some(read)) },
            "target_ms": TARGET_MS,
            "met": written <= TARGET_MS && read <= TARGET_MS,
        }));
    }
    owner.settled(&watched).await
}
