//! A recursion: what does it cost to move a leaf, and a subtree, of a tree of N nodes?
//!
//! Every node has ten children, as in org charts, categories and bills of materials. A leaf moves to
//! another parent; a node of the third level moves with all that is below it, a thousand nodes or more.

use serde_json::json;

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::sample::within;
use crate::server::Server;
use crate::session::{BY_HAND, Session, Table};
use crate::timing::{Timed, Timings};

const NODES: u32 = 100_000;
const ROUNDS: u32 = 100;
const WARM_UP: u32 = 10;

const TABLES: [Table; 2] = [
    Table { name: "tree", query: include_str!("../sql/views/tree.sql"), schedule: BY_HAND, mode: "DIFFERENTIAL" },
    Table { name: "below", query: include_str!("../sql/views/below.sql"), schedule: BY_HAND, mode: "DIFFERENTIAL" },
];

/// What moves, and milliseconds of the refresh call.
const MOVES: [(&str, f64); 2] = [("leaf", 3.0), ("subtree", 30.0)];

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let (nodes, rounds) = (options.rows.unwrap_or(NODES), options.rounds.unwrap_or(ROUNDS));
    if nodes < 20_000 {
        return Err("fewer than 20000 nodes have no subtree of a thousand".into());
    }
    let session = set_up(server, nodes).await?;
    let sizes = session.sizes().await?;
    let writer = server.session("tree").await?;
    let timed = Timed::over(session).await?;
    let mut timings = MOVES.map(|_| TABLES.map(|_| Timings::default()));
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            timings = MOVES.map(|_| TABLES.map(|_| Timings::default()));
        }
        for (kind, timings) in timings.iter_mut().enumerate() {
            writer.batch(&moved(kind, round, nodes)).await?;
            for (table, timings) in TABLES.iter().zip(timings) {
                timed.refresh(table.name, timings).await?;
            }
        }
    }
    for table in &TABLES {
        timed.session.history(table, "DIFFERENTIAL", rounds * 2).await?;
        timed.session.exact(table).await?;
    }
    report.add(json!({ "rows": nodes, "bytes": sizes }));
    for ((kind, target), timings) in MOVES.iter().zip(&timings) {
        for (table, timings) in TABLES.iter().zip(timings) {
            report.add(json!({
                "view": table.name,
                "change": format!("move_{kind}"),
                "rows": nodes,
                "refresh": timings.summary(),
                "target": { "client_async_p50_ms": target },
                "met": within(timings.client_async.median(), *target),
            }));
        }
    }
    Ok(())
}

async fn set_up(server: &Server, nodes: u32) -> Result<Session> {
    let session = server.session("tree").await?;
    session.batch("create schema if not exists tree").await?;
    session.client.execute("select set_config('bench.rows', $1, false)", &[&nodes.to_string()]).await?;
    session.batch(include_str!("../sql/tree.sql")).await?;
    session.batch("vacuum analyze nodes").await?;
    for table in &TABLES {
        session.create(table).await?;
    }
    server.outside.batch_execute("checkpoint").await?;
    Ok(session)
}

/// One node gets another parent.
fn moved(kind: usize, round: u32, nodes: u32) -> String {
    let (node, parent) = match MOVES[kind].0 {
        // Leaves from the end, below the parents of other leaves.
        "leaf" => (nodes - round, nodes / 10 - 1 - round),
        // A node of the third level, below another of the second.
        _ => (12 + round % 80, 2 + (round % 80 / 10 + 1 + round / 80) % 10),
    };
    format!("update nodes set parent = {parent} where id = {node}")
}
