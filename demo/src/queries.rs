//! The stream tables of the demo: their names, queries and schedules.
//!
//! Invariant: a table comes after every stream table that it reads.

use std::time::Instant;

use crate::server::{Result, Server};
use crate::text::{grouped, milliseconds};

/// A stream table of the demo.
pub struct StreamTable {
    pub name: &'static str,
    pub query: &'static str,
    pub schedule: &'static str,
}

/// As soon as a commit lands.
const AT_ONCE: &str = "0s";
/// Never older than a second.
const WITHIN_A_SECOND: &str = "1s";

macro_rules! stream_table {
    ($name:literal, $schedule:expr) => {
        StreamTable { name: $name, query: include_str!(concat!("../queries/", $name, ".sql")), schedule: $schedule }
    };
}

pub const STREAM_TABLES: [StreamTable; 10] = [
    stream_table!("q1", AT_ONCE),
    stream_table!("q3", AT_ONCE),
    stream_table!("q5", AT_ONCE),
    stream_table!("q6", AT_ONCE),
    stream_table!("q10", WITHIN_A_SECOND),
    stream_table!("q12", AT_ONCE),
    stream_table!("q14", WITHIN_A_SECOND),
    stream_table!("q18", WITHIN_A_SECOND),
    stream_table!("region_revenue", AT_ONCE),
    stream_table!("priority_totals", WITHIN_A_SECOND),
];

/// Creates and fills all of them.
pub async fn create(server: &Server) -> Result<()> {
    let client = server.connect().await?;
    for table in &STREAM_TABLES {
        let started = Instant::now();
        client
            .execute(
                "select pgtrickle.create_stream_table($1, $2, schedule => $3)",
                &[&table.name, &table.query, &table.schedule],
            )
            .await?;
        let filled = started.elapsed();
        let rows: i64 = client.query_one(&format!("select count(*) from {}", table.name), &[]).await?.get(0);
        println!(
            "demo: created {} ({}): {} rows in {}",
            table.name,
            table.schedule,
            grouped(rows.unsigned_abs()),
            milliseconds(filled)
        );
    }
    Ok(())
}
