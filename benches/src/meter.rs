//! The server's work between two moments: transactions, log, and processor time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Result;
use crate::process::{self, Process};
use crate::sample::rounded;
use crate::server::Server;
use crate::session::Session;

/// The background writer logs the running transactions every 15 s while there is anything new in the log,
/// and sessions report their transactions to the statistics within 10 s.
const REST: Duration = Duration::from_secs(16);
const ATTEMPTS: u32 = 8;

/// What the server has done so far.
pub struct Meter {
    transactions: i64,
    log: i64,
    processes: Vec<(Process, Option<u64>, Option<f64>)>,
}

/// What it did between two moments.
pub struct Work {
    pub transactions: i64,
    pub log: i64,
    pub wake_ups: u64,
    /// Milliseconds of processor time.
    pub cpu: f64,
    /// Each of our processes.
    pub workers: Vec<Value>,
}

impl Meter {
    /// Asks in another database, so that asking is not counted.
    pub async fn read(server: &Server, session: &Session) -> Result<Meter> {
        let query = "select xact_commit + xact_rollback from pg_stat_database where datname = $1";
        let transactions = server.outside.query_one(query, &[&server.database()]).await?.get(0);
        let processes = process::siblings(session.pid, "pg_trickle")
            .into_iter()
            .map(|process| {
                let pid = process.pid;
                (process, process::voluntary_switches(pid), process::cpu(pid))
            })
            .collect();
        Ok(Meter { transactions, log: server.log_position().await?, processes })
    }

    pub fn since(&self, before: &Meter) -> Work {
        let (mut wake_ups, mut all) = (0, 0.0);
        let mut workers = vec![];
        for (process, switches, cpu) in &self.processes {
            let old = before.processes.iter().find(|(other, ..)| other.pid == process.pid);
            let woken = difference(*switches, old.and_then(|old| old.1));
            wake_ups += woken.unwrap_or(0);
            // What a new process took, it took since then.
            let busy = cpu.map(|new| new - old.and_then(|old| old.2).unwrap_or(0.0));
            all += busy.unwrap_or(0.0);
            workers.push(
                json!({ "process": process.title, "wake_ups": woken, "cpu_ms": rounded(busy), "new": old.is_none() }),
            );
        }
        Work {
            transactions: self.transactions - before.transactions,
            log: self.log - before.log,
            wake_ups,
            cpu: all,
            workers,
        }
    }
}

fn difference(new: Option<u64>, old: Option<u64>) -> Option<u64> {
    Some(new? - old?)
}

impl Work {
    /// Nothing was done, by workers that are there.
    pub fn is_none(&self) -> bool {
        !self.workers.is_empty() && (self.transactions, self.log, self.wake_ups) == (0, 0, 0)
    }

    pub fn summary(&self) -> Value {
        json!({
            "transactions": self.transactions,
            "wal_bytes": self.log,
            "wake_ups": self.wake_ups,
            "cpu_ms": rounded(Some(self.cpu)),
            "workers": self.workers,
        })
    }
}

/// The work of an idle server. Autovacuum must be off, and the clock starts when the server itself has
/// become idle, so that all that is counted is caused by pg_trickle.
pub async fn idle(server: &Server, session: &Session, time: Duration) -> Result<Work> {
    at_rest(server).await?;
    let before = Meter::read(server, session).await?;
    sleep(time).await;
    Ok(Meter::read(server, session).await?.since(&before))
}

/// Waits until the log has not grown for a while.
async fn at_rest(server: &Server) -> Result<()> {
    server.outside.batch_execute("checkpoint").await?;
    let mut position = server.log_position().await?;
    for _ in 0..ATTEMPTS {
        sleep(REST).await;
        let later = server.log_position().await?;
        if later == position {
            return Ok(());
        }
        position = later;
    }
    eprintln!("bench: the log did not stop growing: what follows shows it");
    Ok(())
}
