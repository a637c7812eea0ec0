//! TPC-H data at scale factor 0.1, generated here and loaded through COPY.
//!
//! Law: rows enter bare tables; keys, indexes and statistics follow.

use std::fmt::Display;
use std::io::Cursor;
use std::pin::pin;
use std::time::Instant;

use futures_util::SinkExt;
use tokio_postgres::Client;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

use crate::server::{Result, Server};
use crate::text::{grouped, milliseconds};

/// The scale factor: 866,602 rows, 600,572 of them line items.
pub const SCALE: f64 = 0.1;

const TABLES: &str = include_str!("../sql/tables.sql");
const KEYS: &str = include_str!("../sql/keys.sql");

/// As much of a COPY as goes into one message.
const CHUNK: usize = 64 * 1024;

/// Replaces schema `tpch` by a freshly loaded one, in a database that has the extension.
pub async fn prepare(server: &Server) -> Result<()> {
    let started = Instant::now();
    let client = server.connect().await?;
    client.batch_execute("create extension if not exists pg_trickle").await?;
    client.batch_execute("drop schema if exists tpch cascade; create schema tpch").await?;
    client.batch_execute(TABLES).await?;
    let rows = copy_all(&client).await?;
    let copied = started.elapsed();
    client.batch_execute(KEYS).await?;
    client.batch_execute("vacuum analyze").await?;
    println!(
        "demo: loaded TPC-H at scale {SCALE}: {} rows in {}, with indexes and statistics in {}",
        grouped(rows),
        milliseconds(copied),
        milliseconds(started.elapsed())
    );
    Ok(())
}

async fn copy_all(client: &Client) -> Result<u64> {
    let mut rows = 0;
    rows += copy(client, "region", RegionGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "nation", NationGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "part", PartGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "supplier", SupplierGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "partsupp", PartSuppGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "customer", CustomerGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "orders", OrderGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "lineitem", LineItemGenerator::new(SCALE, 1, 1).iter()).await?;
    Ok(rows)
}

/// Sends rows in the generator's own text form, which is COPY's with `|` between the columns.
async fn copy<R: Display>(client: &Client, table: &str, rows: impl Iterator<Item = R>) -> Result<u64> {
    let statement = format!("copy {table} from stdin (delimiter '|')");
    let mut sink = pin!(client.copy_in::<_, Cursor<Vec<u8>>>(&statement).await?);
    let mut chunk = Vec::with_capacity(CHUNK + 1024);
    for row in rows {
        let line = row.to_string();
        // The generator ends each column with `|`, the last one too; COPY only separates them.
        chunk.extend_from_slice(line.strip_suffix('|').unwrap_or(&line).as_bytes());
        chunk.push(b'\n');
        if chunk.len() >= CHUNK {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK + 1024));
            sink.send(Cursor::new(full)).await?;
        }
    }
    sink.send(Cursor::new(chunk)).await?;
    Ok(sink.finish().await?)
}
