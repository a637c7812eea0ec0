//! Two writers at work: orders are placed, changed, delivered and deleted.
//!
//! Law: a row change counts when, and only when, its transaction has committed: nothing that was
//! rolled back, to a savepoint or entirely, is in the tally.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use pg_trickle_workloads::Dice;
use pg_trickle_workloads::tpch::OrderStream;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel};

use crate::desk::{Change, Desk, Outcome};
use crate::load::SCALE;
use crate::server::{Result, Server};

/// The writers and how each of them sees the others.
const ISOLATION: [IsolationLevel; 2] = [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead];

/// What all writers have done so far.
#[derive(Default)]
pub struct Tally {
    commits: AtomicU64,
    rollbacks: AtomicU64,
    changes: AtomicU64,
}

impl Tally {
    pub fn commits(&self) -> u64 {
        self.commits.load(Relaxed)
    }

    pub fn rollbacks(&self) -> u64 {
        self.rollbacks.load(Relaxed)
    }

    /// Rows inserted, updated and deleted by committed transactions.
    pub fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }
}

/// The running writers.
pub struct Writers {
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Writers {
    pub async fn start(server: &Server) -> Result<Writers> {
        let mut writers = Writers { tally: Arc::default(), stop: Arc::default(), tasks: Vec::new() };
        for (part, isolation) in (1..).zip(ISOLATION) {
            let client = server.connect().await?;
            let writer = Writer {
                desk: Desk::open(&client, OrderStream::new(SCALE, part, ISOLATION.len() as i32)).await?,
                client,
                isolation,
                dice: Dice(part as u64),
                tally: writers.tally.clone(),
            };
            let task = writer.work(writers.stop.clone());
            writers.tasks.push(tokio::spawn(task));
        }
        Ok(writers)
    }

    pub fn count(&self) -> usize {
        self.tasks.len()
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Has a writer ended by itself? Only an error makes it do so.
    pub fn failed(&self) -> bool {
        self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// Lets every writer finish its transaction, and reports what they have done.
    pub async fn stop(self) -> Result<Arc<Tally>> {
        self.stop.store(true, Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok(self.tally)
    }
}

struct Writer {
    client: Client,
    isolation: IsolationLevel,
    desk: Desk,
    dice: Dice,
    tally: Arc<Tally>,
}

impl Writer {
    async fn work(mut self, stop: Arc<AtomicBool>) -> Result<()> {
        while !stop.load(Relaxed) {
            let change = Change::choose(&mut self.dice);
            match self.transaction(change).await {
                Ok(Outcome::Done(changes)) => {
                    self.tally.commits.fetch_add(1, Relaxed);
                    self.tally.changes.fetch_add(changes, Relaxed);
                }
                Ok(Outcome::Regretted) => {
                    self.tally.rollbacks.fetch_add(1, Relaxed);
                }
                Err(error) if lost_to_the_other_writer(&error) => {
                    self.tally.rollbacks.fetch_add(1, Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn transaction(&mut self, change: Change) -> std::result::Result<Outcome, tokio_postgres::Error> {
        let mut transaction = self.client.build_transaction().isolation_level(self.isolation).start().await?;
        let outcome = self.desk.perform(change, &mut transaction, &mut self.dice).await?;
        match outcome {
            Outcome::Done(_) => transaction.commit().await?,
            Outcome::Regretted => transaction.rollback().await?,
        }
        Ok(outcome)
    }
}

/// Whether the transaction is the victim of a deadlock or a conflict: then it is rolled back, and the writer continues.
fn lost_to_the_other_writer(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
}
