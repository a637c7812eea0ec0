//! The proof: each stream table against its query.
//!
//! Law: `T except all Q` and `Q except all T` are both empty, T and Q read in one snapshot.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::queries::{STREAM_TABLES, StreamTable};
use crate::server::{Result, Server};
use crate::status;
use crate::text::{grouped, milliseconds};
use crate::writers::Tally;

/// What the comparison found.
#[derive(Clone, Copy, PartialEq)]
pub enum Comparison {
    Exact,
    Different,
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Comparison::Exact => "exact",
            Comparison::Different => "not exact",
        })
    }
}

/// After this time the demo refreshes by hand: it is a report, not an error.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Waits until everything is fresh, compares everything, and says the last line.
pub async fn check(server: &Server, written: &Tally) -> Result<Comparison> {
    let client = server.connect().await?;
    settle(&client).await?;
    refresh(&client).await?;
    let found = compare(client).await?;
    println!("demo: {} stream tables, {} changes, {found}", STREAM_TABLES.len(), grouped(written.changes()));
    Ok(found)
}

/// Waits until the workers have refreshed everything after the last commit, and prints how long they took.
async fn settle(client: &Client) -> Result<()> {
    let last_commit: String = client.query_one("select clock_timestamp()::text", &[]).await?.get(0);
    let started = Instant::now();
    loop {
        let old = status::older_than(client, &last_commit).await?;
        if old.is_empty() {
            println!("demo: writers stopped; all stream tables fresh within {}", milliseconds(started.elapsed()));
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            println!(
                "demo: writers stopped; after {} the workers have not refreshed {}",
                milliseconds(started.elapsed()),
                old.join(", ")
            );
            return Ok(());
        }
        sleep(POLL).await;
    }
}

async fn refresh(client: &Client) -> Result<()> {
    for table in &STREAM_TABLES {
        client.execute("select pgtrickle.refresh_stream_table($1)", &[&table.name]).await?;
    }
    Ok(())
}

async fn compare(mut client: Client) -> Result<Comparison> {
    let snapshot =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    let mut found = Comparison::Exact;
    for table in &STREAM_TABLES {
        if compare_one(&snapshot, table).await? == Comparison::Different {
            found = Comparison::Different;
        }
    }
    snapshot.commit().await?;
    Ok(found)
}

async fn compare_one(snapshot: &Transaction<'_>, table: &StreamTable) -> Result<Comparison> {
    let comparison = format!(
        r"
with expected as materialized (
{query}
),
only_in_table as (table {name} except all table expected),
only_in_query as (table expected except all table {name})
select 'table' as side, count(*), (array_agg(t::text))[1:3]
from only_in_table t
union all
select 'query', count(*), (array_agg(q::text))[1:3]
from only_in_query q",
        name = table.name,
        query = table.query,
    );
    let mut found = Comparison::Exact;
    for row in snapshot.query(&comparison, &[]).await? {
        let (side, count): (&str, i64) = (row.get(0), row.get(1));
        if count > 0 {
            found = Comparison::Different;
            println!("demo: {}: {count} rows only in the {side}", table.name);
            for example in row.get::<_, Vec<String>>(2) {
                println!("demo:     {example}");
            }
        }
    }
    Ok(found)
}
