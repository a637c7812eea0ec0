//! Concurrent writers with savepoints, rollbacks and prepared transactions, whatever it is that they change.
//!
//! Invariant: a task that holds `commits` for writing freezes the committed state, and only that: open and prepared
//! transactions stay as they are, and refreshes continue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinHandle;

use crate::session::{Failure, HANG, Session};
use crate::{Database, Dice};

static NAMES: AtomicU64 = AtomicU64::new(0);

/// What all writers share.
#[derive(Default)]
pub struct Traffic {
    /// Held for reading during a commit.
    pub commits: RwLock<()>,
    pub stop: AtomicBool,
    pub finished: AtomicU64,
    pub committed: AtomicU64,
    pub contended: AtomicU64,
    /// What readers compared.
    pub compared: AtomicU64,
    prepared: Mutex<VecDeque<String>>,
}

/// What writers do.
pub trait Changes: Clone + Send + Sync + 'static {
    /// One change; false if it made only a part of it.
    fn change(&self, session: &Session, dice: &mut Dice) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Now and then a statement with an exclusive lock, for a transaction of its own.
    fn alone(&self, _dice: &mut Dice) -> Option<String> {
        None
    }

    /// Whether an error is expected: then the transaction is rolled back.
    fn is_expected(&self, failure: &Failure) -> bool {
        failure.is_contention()
    }
}

impl Traffic {
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Waits until so many transactions have finished.
    pub async fn wait_for(&self, transactions: u64) {
        let started = Instant::now();
        while self.finished.load(Relaxed) < transactions {
            assert!(started.elapsed() < HANG, "only {} transactions in {HANG:?}", self.finished.load(Relaxed));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends a transaction. Any writer may finish the prepared ones.
    async fn finish(&self, session: &Session, dice: &mut Dice) -> Result<(), Failure> {
        match dice.weighted(&[80, 8, 12]) {
            0 => {
                let _still = self.commits.read().await;
                session.attempt("commit").await?;
                self.committed.fetch_add(1, Relaxed);
            }
            1 => session.attempt("rollback").await?,
            _ => self.prepare(session).await?,
        }
        Ok(())
    }

    /// Prepares a transaction, which any writer may finish.
    pub async fn prepare(&self, session: &Session) -> Result<(), Failure> {
        // Names are per server, not per database, and outlive the session.
        let name = format!("traffic {} {}", std::process::id(), NAMES.fetch_add(1, Relaxed));
        session.attempt(&format!("prepare transaction '{name}'")).await?;
        self.prepared.lock().await.push_back(name);
        Ok(())
    }

    /// Commits or rolls back the oldest prepared transaction, once there are `more_than` others.
    pub async fn decide(&self, session: &Session, more_than: usize, commit: bool) -> Result<bool, Failure> {
        let name = {
            let mut waiting = self.prepared.lock().await;
            if waiting.len() <= more_than {
                return Ok(false);
            }
            waiting.pop_front()
        };
        if let Some(name) = name {
            let _still = self.commits.read().await;
            let verb = if commit { "commit" } else { "rollback" };
            session.attempt(&format!("{verb} prepared '{name}'")).await?;
            self.committed.fetch_add(commit as u64, Relaxed);
        }
        Ok(true)
    }

    /// After a crash: reads the prepared transactions from the server.
    pub async fn recover(&self, session: &Session) {
        let mut waiting = self.prepared.lock().await;
        *waiting = session.column("select gid from pg_prepared_xacts where database = current_database()").await.into();
    }

    async fn transaction(
        &self,
        changes: &impl Changes,
        session: &Session,
        dice: &mut Dice,
        level: &str,
    ) -> Result<(), Failure> {
        session.attempt(&format!("begin isolation level {level}")).await?;
        for _ in 0..1 + dice.below(3) {
            let undone = dice.percent(15);
            let kept = !undone && dice.percent(20);
            if undone || kept {
                session.attempt("savepoint s").await?;
            }
            let whole = changes.change(session, dice).await?;
            if undone {
                session.attempt("rollback to savepoint s").await?;
            } else if kept {
                session.attempt("release savepoint s").await?;
            }
            if !whole && !undone {
                // Another transaction has deleted half of a pair.
                return session.attempt("rollback").await;
            }
        }
        if dice.percent(3) {
            let pause = dice.pause(Duration::from_millis(60));
            tokio::time::sleep(pause).await;
        }
        self.finish(session, dice).await
    }

    async fn alone(&self, session: &Session, statement: &str) -> Result<(), Failure> {
        let _still = self.commits.read().await;
        session.attempt(statement).await?;
        self.committed.fetch_add(1, Relaxed);
        Ok(())
    }
}

/// Writes until the traffic stops; how many transactions. A lost connection ends it with the error.
pub async fn writer(
    changes: impl Changes,
    database: Arc<Database>,
    traffic: Arc<Traffic>,
    seed: u64,
) -> Result<u64, Failure> {
    let mut dice = Dice::new(seed);
    let session = database.try_connect().await?;
    // A prepared transaction holds its row locks for a while: better luck with other rows.
    session.attempt("set lock_timeout = '100ms'").await?;
    let mut count = 0;
    while !traffic.stopped() {
        let commit = dice.percent(75);
        traffic.decide(&session, 2, commit).await?;
        let outcome = match changes.alone(&mut dice) {
            Some(statement) => traffic.alone(&session, &statement).await,
            None => {
                let level = if dice.percent(30) { "repeatable read" } else { "read committed" };
                traffic.transaction(&changes, &session, &mut dice, level).await
            }
        };
        count += 1;
        traffic.finished.fetch_add(1, Relaxed);
        match outcome {
            Ok(()) => {}
            Err(failure) if changes.is_expected(&failure) => {
                traffic.contended.fetch_add(1, Relaxed);
                session.attempt("rollback").await?;
            }
            Err(failure) if failure.is_disconnect() => return Err(failure),
            Err(failure) => panic!("{failure}\nin a writer with seed {seed}"),
        }
    }
    Ok(count)
}

/// Concurrent tasks; each returns how much it did.
#[derive(Default)]
pub struct Workload {
    pub traffic: Arc<Traffic>,
    tasks: Vec<JoinHandle<Result<u64, Failure>>>,
}

impl Workload {
    pub fn add(&mut self, task: impl Future<Output = Result<u64, Failure>> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    pub fn add_writers(&mut self, count: u64, changes: impl Changes, database: &Arc<Database>, seed: u64) {
        for at in 0..count {
            self.add(writer(changes.clone(), database.clone(), self.traffic.clone(), seed ^ at));
        }
    }

    /// Whether all still work. One that ended by itself says why at the end.
    pub fn is_complete(&self) -> bool {
        !self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// What each did, in the order of their coming; `None` where a crash took the connection.
    pub async fn end(self) -> Vec<Option<u64>> {
        self.traffic.stop.store(true, Relaxed);
        let mut done = vec![];
        for task in self.tasks {
            match task.await.expect("no panic") {
                Ok(count) => done.push(Some(count)),
                Err(failure) if failure.is_disconnect() => done.push(None),
                Err(failure) => panic!("{failure}"),
            }
        }
        done
    }
}
