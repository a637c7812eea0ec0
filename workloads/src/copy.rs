//! Rows on their way into a table, through COPY.

use std::fmt::Display;
use std::io::Cursor;
use std::pin::pin;

use futures_util::SinkExt;
use tokio_postgres::{Client, Error};

/// As much of a COPY as goes into one message.
const CHUNK: usize = 64 * 1024;

/// Sends rows in COPY's text form with `|` between the columns, or after each of them; how many there were.
pub async fn copy<R: Display>(client: &Client, table: &str, rows: impl IntoIterator<Item = R>) -> Result<u64, Error> {
    let statement = format!("copy {table} from stdin (delimiter '|')");
    let mut sink = pin!(client.copy_in::<_, Cursor<Vec<u8>>>(&statement).await?);
    let mut chunk = Vec::with_capacity(CHUNK + 1024);
    for row in rows {
        let line = row.to_string();
        // TPC-H ends each column with `|`, the last one too; COPY only separates them.
        chunk.extend_from_slice(line.strip_suffix('|').unwrap_or(&line).as_bytes());
        chunk.push(b'\n');
        if chunk.len() >= CHUNK {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK + 1024));
            sink.send(Cursor::new(full)).await?;
        }
    }
    sink.send(Cursor::new(chunk)).await?;
    sink.finish().await
}
