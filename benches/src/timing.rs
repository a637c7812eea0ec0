//! One call, timed four ways.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_postgres::Statement;

use crate::Result;
use crate::process;
use crate::sample::Sample;
use crate::session::Session;

/// What one kind of call took.
#[derive(Default)]
pub struct Timings {
    /// Between two readings of the server's clock, without the commit.
    pub server: Sample,
    /// Sent to answered, commit included, by what the session waits for at commit.
    pub client_async: Sample,
    pub client_sync: Sample,
    /// The backend's processor time, commit included.
    pub cpu: Sample,
}

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, PartialEq)]
pub enum Commit {
    Async,
    Sync,
}

impl Commit {
    pub const BOTH: [Commit; 2] = [Commit::Async, Commit::Sync];

    /// As `synchronous_commit` spells it.
    pub fn setting(self) -> &'static str {
        match self {
            Commit::Async => "off",
            Commit::Sync => "on",
        }
    }
}

impl Timings {
    pub fn summary(&self) -> Value {
        json!({
            "server_ms": self.server.summary(),
            "client_async_ms": self.client_async.summary(),
            "client_sync_ms": self.client_sync.summary(),
            "cpu_ms": self.cpu.summary(),
        })
    }

    fn client(&mut self, commit: Commit) -> &mut Sample {
        match commit {
            Commit::Async => &mut self.client_async,
            Commit::Sync => &mut self.client_sync,
        }
    }
}

/// A session that runs only the timed calls.
pub struct Timed {
    pub session: Session,
    refresh: Statement,
    plain: Statement,
    commit: Commit,
}

impl Timed {
    pub async fn over(session: Session) -> Result<Timed> {
        let refresh = session.client.prepare("select bench_refresh($1)").await?;
        let plain = session.client.prepare("select pgtrickle.refresh_stream_table($1)").await?;
        let mut timed = Timed { session, refresh, plain, commit: Commit::Sync };
        timed.commit(Commit::Async).await?;
        Ok(timed)
    }

    /// From here on commits are of this kind.
    pub async fn commit(&mut self, commit: Commit) -> Result<()> {
        if self.commit != commit {
            self.session.batch(&format!("set synchronous_commit = {}", commit.setting())).await?;
            self.commit = commit;
        }
        Ok(())
    }

    /// Refreshes a stream table.
    pub async fn refresh(&self, name: &str, timings: &mut Timings) -> Result<()> {
        sleep(process::SETTLE).await;
        let before = process::cpu(self.session.pid);
        let began = Instant::now();
        let row = self.session.client.query_one(&self.refresh, &[&name]).await?;
        let elapsed = milliseconds(began);
        sleep(process::SETTLE).await;
        timings.server.push(row.get(0));
        timings.client(self.commit).push(elapsed);
        if let (Some(before), Some(after)) = (before, process::cpu(self.session.pid)) {
            timings.cpu.push(after - before);
        }
        Ok(())
    }

    /// Refreshes a stream table as its users do, at once; milliseconds from sent to answered.
    pub async fn refresh_plainly(&self, name: &str) -> Result<f64> {
        let began = Instant::now();
        self.session.client.query_one(&self.plain, &[&name]).await?;
        Ok(milliseconds(began))
    }

    /// Runs a statement that returns nothing; there is no server's clock to read.
    pub async fn run(&self, statement: &str, timings: &mut Timings) -> Result<()> {
        sleep(process::SETTLE).await;
        let before = process::cpu(self.session.pid);
        let began = Instant::now();
        self.session.batch(statement).await?;
        let elapsed = milliseconds(began);
        sleep(process::SETTLE).await;
        timings.client(self.commit).push(elapsed);
        if let (Some(before), Some(after)) = (before, process::cpu(self.session.pid)) {
            timings.cpu.push(after - before);
        }
        Ok(())
    }
}

pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
