//! The server is stopped and started: how soon is the first commit after it visible?
//!
//! With few stream tables and with a thousand. The server is that of the URL, and must be one of this machine.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::crowd::{self, Crowd};
use crate::options::Options;
use crate::postmaster::Postmaster;
use crate::report::Report;
use crate::sample::{Sample, within};
use crate::server::Server;
use crate::session::Session;
use crate::timing::milliseconds;
use crate::watch::PATIENCE;

const TABLES: u32 = 1000;
const FEW: u32 = 10;
const ROUNDS: u32 = 5;
/// Between two attempts to connect.
const POLL: Duration = Duration::from_millis(2);

const TARGET_MS: f64 = 1000.0;

pub async fn run(server: &mut Server, options: &Options, report: &mut Report) -> Result<()> {
    let postmaster = Postmaster::of(server).await?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut crowd = Crowd::over(server).await?;
    for tables in [FEW, options.tables.unwrap_or(TABLES)] {
        crowd.grow(tables).await?;
        crowd.verify().await?;
        let mut restarts = Restarts::default();
        for round in 0..rounds {
            postmaster.stop()?;
            let began = Instant::now();
            postmaster.start()?;
            crowd.session = accepted(server, began).await?;
            let connected = Instant::now();
            restarts.accepted.push(milliseconds(began));
            crowd::change(&crowd.session, round % crowd.sources()).await?;
            restarts.from_accepted.push(milliseconds(connected));
            restarts.from_start.push(milliseconds(began));
            // Meanwhile it does its deferred work.
            restarts.second.push(crowd::change(&crowd.session, round % crowd.sources()).await?);
        }
        server.reconnect().await?;
        crowd.verify().await?;
        report.add(json!({
            "stream_tables": crowd.len(),
            "start_to_accepting_ms": restarts.accepted.summary(),
            "accepting_to_visible_ms": restarts.from_accepted.summary(),
            "start_to_visible_ms": restarts.from_start.summary(),
            "next_change_visible_ms": restarts.second.summary(),
            "target": { "accepting_to_visible_max_ms": TARGET_MS },
            "met": within(restarts.from_accepted.max(), TARGET_MS),
        }));
    }
    Ok(())
}

/// What restarts took.
#[derive(Default)]
struct Restarts {
    accepted: Sample,
    from_accepted: Sample,
    from_start: Sample,
    second: Sample,
}

/// A session as soon as there can be one.
async fn accepted(server: &Server, began: Instant) -> Result<Session> {
    loop {
        match server.session("public").await {
            Ok(session) => return Ok(session),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(POLL).await,
        }
    }
}
