//! TPC-H data at scale factor 0.1.

use std::time::Instant;

use pg_trickle_workloads::tpch;

use crate::server::{Result, Server};
use crate::text::{grouped, milliseconds};

/// The scale factor: 866,602 rows, 600,572 of them line items.
pub const SCALE: f64 = 0.1;

/// Replaces schema `tpch` by a freshly loaded one, in a database that has the extension.
pub async fn prepare(server: &Server) -> Result<()> {
    let started = Instant::now();
    let client = server.connect().await?;
    client.batch_execute("create extension if not exists pg_trickle").await?;
    client.batch_execute("drop schema if exists tpch cascade; create schema tpch").await?;
    let rows = tpch::load(&client, SCALE).await?;
    let loaded = started.elapsed();
    client.batch_execute("vacuum analyze").await?;
    println!(
        "demo: loaded TPC-H at scale {SCALE}: {} rows with indexes in {}, with statistics in {}",
        grouped(rows),
        milliseconds(loaded),
        milliseconds(started.elapsed())
    );
    Ok(())
}
