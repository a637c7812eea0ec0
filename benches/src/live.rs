//! What a live read costs, in the processor time of its backend: against the stored rows, against the query, and for writers beside it.
//!
//! Two stream tables on a schedule of hours: counts, sums and maxima of groups, and a join. Prepared statements, reads of the compared kinds
//! in turns.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_postgres::Statement;

use crate::Result;
use crate::options::Options;
use crate::process;
use crate::report::Report;
use crate::sample::{self, Sample, rounded, within};
use crate::server::Server;
use crate::session::Session;

const ROWS: u32 = 1_000_000;
const ROUNDS: u32 = 30;
const WRITERS: usize = 16;
const READERS: usize = 2;
/// Of a reader between two reads.
const PAUSE: Duration = Duration::from_millis(10);

const AGG: &str = "select grp, count(*) as n, sum(v) as s, max(v) as mx from fact group by grp";
const JN: &str = "select o.id, o.cust, c.name, c.tier, o.amount from ord o join cust c on c.id = o.cust";

/// Microseconds of a point read with nothing pending, with five changes pending and with the same again, above the plain table.
const NOTHING_US: f64 = 4.0;
const FIRST_US: f64 = 60.0;
const AGAIN_US: f64 = 6.0;
/// Times the plain table: reading all of it with nothing pending, and with a hundred changes.
const FULL_NOTHING: f64 = 1.03;
const FULL_HUNDRED: f64 = 1.1;
/// Microseconds for each of ten thousand changes.
const CHANGE_US: f64 = 2.0;
/// The share of their throughput that writers keep beside readers.
const WRITERS_KEEP: f64 = 0.9;

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    server.autovacuum(false).await?;
    let result = measure(server, options, report).await;
    server.autovacuum(true).await?;
    result
}

async fn measure(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let rows = options.rows.unwrap_or(ROWS);
    let session = server.session("public").await?;
    session
        .batch(&format!(
            "create table fact (id int primary key, grp int, v int);
             insert into fact select i, i % {groups}, i % 1000 from generate_series(1, {rows}) i;
             create index on fact (grp, v);
             create table cust (id int primary key, name text, tier int);
             insert into cust select i, 'c' || i, i % 5 from generate_series(1, {custs}) i;
             create table ord (id int primary key, cust int not null, amount int);
             insert into ord select i, 1 + i % {custs}, i from generate_series(1, {orders}) i;
             create index on ord (cust)",
            groups = rows / 10,
            custs = rows / 50,
            orders = rows / 2
        ))
        .await?;
    session.batch("vacuum analyze").await?;
    session.create_as("agg", AGG, "1h", "AUTO").await?;
    session.create_as("jn", JN, "2h", "AUTO").await?;
    session.batch("create index on agg (grp); select pgtrickle.alter_stream_table('agg', live => true)").await?;
    session.batch("select pgtrickle.alter_stream_table('jn', live => true)").await?;
    session.batch("vacuum analyze").await?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let writer = server.session("public").await?;
    reads(server, &writer, ("agg", AGG, "where grp = 77"), (rounds, report)).await?;
    reads(server, &writer, ("jn", JN, "where id = 77"), (rounds, report)).await?;
    beside_writers(server, &writer, options, report).await
}

/// A session that reads one statement, with the settings of one kind of reading.
struct Reader {
    session: Session,
    point: Statement,
    full: Statement,
}

impl Reader {
    async fn new(server: &Server, reads: &str, from: &str, place: &str) -> Result<Reader> {
        let session = server.session("public").await?;
        session
            .batch(&format!("set pg_trickle.reads = '{reads}'; set max_parallel_workers_per_gather = 0; set jit = off"))
            .await?;
        let point = session.client.prepare(&format!("select * from {from} t {place}")).await?;
        let full = session.client.prepare(&format!("select count(*), count(t) from {from} t")).await?;
        Ok(Reader { session, point, full })
    }

    /// Microseconds of processor time for one of so many executions.
    async fn time(&self, statement: &Statement, times: u32) -> Result<f64> {
        sleep(process::SETTLE).await;
        let before = process::cpu(self.session.pid).ok_or("the server is not on this machine")?;
        for _ in 0..times {
            self.session.client.query(statement, &[]).await?;
        }
        sleep(process::SETTLE).await;
        let after = process::cpu(self.session.pid).ok_or("the server is not on this machine")?;
        Ok((after - before) * 1e3 / f64::from(times))
    }
}

/// Reads of one stream table: with nothing pending, with few and with many changes.
async fn reads(
    server: &Server,
    writer: &Session,
    (name, query, place): (&str, &str, &str),
    (rounds, report): (u32, &mut Report),
) -> Result<()> {
    let stored = Reader::new(server, "stored", name, place).await?;
    let live = Reader::new(server, "auto", name, place).await?;
    let base = Reader::new(server, "stored", &format!("({query})"), place).await?;
    for pending in [0, 5, 100, 10_000] {
        writer.batch(&format!("select pgtrickle.refresh_stream_table('{name}')")).await?;
        let mut samples: [Sample; 6] = Default::default();
        let rounds = if pending > 1000 { rounds.div_ceil(6) } else { rounds };
        for _ in 0..rounds {
            if pending > 0 {
                writer.batch(&format!("select pgtrickle.refresh_stream_table('{name}')")).await?;
                changes(writer, name, pending).await?;
                // The first read compiles the programs, that of another round computes the changes.
                samples[0].push(live.time(&live.point, 1).await?);
            }
            for (at, (reader, statement, times)) in [
                (&stored, &stored.point, 200),
                (&live, &live.point, 200),
                (&base, &base.point, 20),
                (&stored, &stored.full, 1),
                (&live, &live.full, 1),
            ]
            .into_iter()
            .enumerate()
            {
                if pending == 0 || at != 2 || name == "jn" {
                    samples[at + 1].push(reader.time(statement, times).await?);
                }
            }
        }
        exact(&live.session, name, query).await?;
        report.add(summary(name, pending, &samples));
    }
    Ok(())
}

/// So many changed rows, each committed by itself if they are few.
async fn changes(writer: &Session, name: &str, count: u32) -> Result<()> {
    let update = match name {
        "agg" => "update fact set v = v + 1 where id",
        _ => "update ord set amount = amount + 1 where id",
    };
    if count > 1000 {
        return writer.batch(&format!("{update} in (select 37 * i from generate_series(1, {count}) i)")).await;
    }
    for number in 1..=count {
        writer.batch(&format!("{update} = 37 * {number}")).await?;
    }
    Ok(())
}

/// Read live, the stream table is its query.
async fn exact(session: &Session, name: &str, query: &str) -> Result<()> {
    session.equal(name, query).await
}

fn summary(name: &str, pending: u32, samples: &[Sample; 6]) -> Value {
    let [first, stored, live, base, stored_full, live_full] = samples;
    let (plain, again) = (stored.median(), live.median());
    let above = |sample: Option<f64>| Some(sample? - plain?);
    let ratio = sample::ratio(live_full, stored_full);
    let per_change = above(first.median()).map(|us| us / f64::from(pending.max(1)));
    let (target, met) = match pending {
        0 => (
            json!({ "again_us": NOTHING_US, "full_ratio": FULL_NOTHING }),
            within(above(again), NOTHING_US) && within(ratio, FULL_NOTHING),
        ),
        5 => (
            json!({ "first_us": FIRST_US, "again_us": AGAIN_US }),
            within(above(first.median()), FIRST_US) && within(above(again), AGAIN_US),
        ),
        100 => (json!({ "full_ratio": FULL_HUNDRED }), within(ratio, FULL_HUNDRED)),
        _ => (json!({ "first_us_per_change": CHANGE_US }), within(per_change, CHANGE_US)),
    };
    json!({
        "stream_table": name,
        "pending": pending,
        "point_plain_us": rounded(plain),
        "point_query_us": rounded(base.median()),
        "point_above_plain": {
            "first_us": rounded(above(first.median())), "again_us": rounded(above(again)),
            "first_us_per_change": rounded(per_change),
        },
        "full_plain_us": rounded(stored_full.median()),
        "full_ratio": rounded(ratio),
        "target": target,
        "met": met,
    })
}

/// Sixteen writers of one group: with capture alone, and beside live readers of it.
async fn beside_writers(server: &Server, session: &Session, options: &Options, report: &mut Report) -> Result<()> {
    let time = options.time(5);
    let (mut alone, mut beside, mut read) = (Sample::default(), Sample::default(), Sample::default());
    for _ in 0..3 {
        alone.push(throughput(server, 0, time).await?.0);
        let (commits, reads) = throughput(server, READERS, time).await?;
        beside.push(commits);
        read.push(reads);
    }
    exact(session, "agg", AGG).await?;
    let kept = sample::ratio(&beside, &alone);
    report.add(json!({
        "writers": WRITERS, "readers": READERS, "transactions_per_second": rounded(alone.median()),
        "reads_per_second": rounded(read.median()), "kept_beside_readers": rounded(kept),
        "target": WRITERS_KEEP,
        "met": kept.is_some_and(|kept| kept >= WRITERS_KEEP),
    }));
    Ok(())
}

/// Commits a second of writers of one group, and reads a second of so many readers of it, which pause between reads.
async fn throughput(server: &Server, readers: usize, time: Duration) -> Result<(f64, f64)> {
    let end = Instant::now() + time;
    let mut tasks = vec![];
    for at in 0..WRITERS + readers {
        let session = server.session("public").await?;
        session.batch("set synchronous_commit = off").await?;
        let statement = match at < WRITERS {
            true => format!("update fact set v = v + 1 where id = {}", 77 + 100_000 * (at % 10)),
            false => "select * from agg where grp = 77".to_owned(),
        };
        tasks.push(tokio::spawn(async move {
            let mut count = 0_u64;
            while Instant::now() < end {
                session.batch(&statement).await.map_err(|error| error.to_string())?;
                count += 1;
                if at >= WRITERS {
                    sleep(PAUSE).await;
                }
            }
            Ok::<u64, String>(count)
        }));
    }
    let mut counts = [0, 0];
    for (at, task) in tasks.into_iter().enumerate() {
        counts[usize::from(at >= WRITERS)] += task.await??;
    }
    let [commits, reads] = counts.map(|count| count as f64 / time.as_secs_f64());
    Ok((commits, reads))
}
