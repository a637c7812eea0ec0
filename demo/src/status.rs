//! What the extension says about the stream tables of the demo.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::{Client, Row};

use crate::queries::STREAM_TABLES;
use crate::server::Result;

/// One stream table, in this moment.
pub struct Figures {
    pub name: String,
    pub schedule: String,
    pub rows: u64,
    pub rows_changed: u64,
    pub refreshes: u64,
    pub staleness: Option<Duration>,
    pub last: Option<Refresh>,
    pub error: Option<String>,
}

/// The most recent refresh of a stream table.
pub struct Refresh {
    pub action: String,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    pub duration: Duration,
}

const STATUS: &str = r"
select s.name,
       s.schedule,
       s.rows_changed,
       s.refreshes,
       extract(epoch from s.staleness)::float8 as staleness,
       coalesce(s.last_error, case when s.consecutive_errors > 0 then s.status end) as error,
       h.action,
       h.rows_inserted,
       h.rows_updated,
       h.rows_deleted,
       h.duration_ms
from pgtrickle.pgt_status() s
left join lateral pgtrickle.get_refresh_history(s.name, 1) h on true";

/// Reads the figures of all stream tables of the demo, in the order in which they were created.
pub async fn read(client: &Client) -> Result<Vec<Figures>> {
    let rows = row_counts(client).await?;
    let mut by_name: HashMap<String, Figures> = client
        .query(STATUS, &[])
        .await?
        .iter()
        .map(|row| figures(row, &rows))
        .map(|figures| (figures.name.clone(), figures))
        .collect();
    Ok(STREAM_TABLES.iter().filter_map(|table| by_name.remove(table.name)).collect())
}

/// The names of stream tables that may not yet show what was committed before `moment`.
pub async fn older_than(client: &Client, moment: &str) -> Result<Vec<String>> {
    let rows = client
        .query(
            r"
select s.name
from pgtrickle.pgt_status() s
where (s.data_timestamp >= $1::text::timestamptz or s.staleness <= interval '0') is not true",
            &[&moment],
        )
        .await?;
    Ok(rows.iter().map(|row| bare(row.get(0))).collect())
}

async fn row_counts(client: &Client) -> Result<HashMap<String, u64>> {
    let counts = STREAM_TABLES
        .iter()
        .map(|table| format!("select '{0}', count(*) from {0}", table.name))
        .collect::<Vec<_>>()
        .join(" union all ");
    let rows = client.query(&counts, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), count(row.get(1)))).collect())
}

fn figures(row: &Row, rows: &HashMap<String, u64>) -> Figures {
    let name = bare(row.get("name"));
    Figures {
        rows: rows.get(&name).copied().unwrap_or_default(),
        name,
        schedule: row.get("schedule"),
        rows_changed: count(row.get("rows_changed")),
        refreshes: count(row.get("refreshes")),
        staleness: seconds(row.get("staleness")),
        last: refresh(row),
        error: row.get("error"),
    }
}

fn refresh(row: &Row) -> Option<Refresh> {
    let milliseconds: Option<f64> = row.get("duration_ms");
    Some(Refresh {
        action: row.get::<_, Option<String>>("action")?,
        inserted: count(row.get("rows_inserted")),
        updated: count(row.get("rows_updated")),
        deleted: count(row.get("rows_deleted")),
        duration: seconds(milliseconds.map(|ms| ms / 1e3)).unwrap_or_default(),
    })
}

/// A name without the schema that may stand before it.
fn bare(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

fn count(number: Option<i64>) -> u64 {
    number.unwrap_or_default().unsigned_abs()
}

fn seconds(number: Option<f64>) -> Option<Duration> {
    number.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}
