//! Concurrent writers with savepoints, rollbacks and prepared transactions, whatever it is that they change.
//!
//! Invariant: who holds `commits` for writing keeps the committed state still, and only that: open and prepared
//! transactions stay as they are, and refreshes go on.

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
    /// Held for reading by who commits.
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
pub trait Deeds: Clone + Send + Sync + 'static {
    /// One change; false when it did only a part of what belongs together.
    fn deed(&self, session: &Session, dice: &mut Dice) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Now and then a statement that locks everybody out, for a transaction of its own.
    fn alone(&self, _dice: &mut Dice) -> Option<String> {
        None
    }

    /// Whether an error belongs to the game: then the transaction is undone.
    fn is_fair(&self, failure: &Failure) -> bool {
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

    /// Ends a transaction. Prepared ones are left to whichever writer comes by.
    async fn finish(&self, session: &Session, dice: &mut Dice) -> Result<(), Failure> {
        match dice.weighted(&[80, 8, 12]) {
            0 => {
                let _still = self.commits.read().await;
                session.attempt("commit").await?;
                self.committed.fetch_add(1, Relaxed);
            }
            1 => session.attempt("rollback").await?,
            _ => {
                // Names are the server's, not the database's, and outlive whoever gave them.
                let name = format!("traffic {} {}", std::process::id(), NAMES.fetch_add(1, Relaxed));
                session.attempt(&format!("prepare transaction '{name}'")).await?;
                self.prepared.lock().await.push_back(name);
            }
        }
        Ok(())
    }

    /// Decides the oldest prepared transaction, once there are `more_than` others.
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

    /// After a crash: what the server remembers is what there is to decide.
    pub async fn recover(&self, session: &Session) {
        let mut waiting = self.prepared.lock().await;
        *waiting = session.column("select gid from pg_prepared_xacts where database = current_database()").await.into();
    }

    async fn transaction(
        &self,
        deeds: &impl Deeds,
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
            let whole = deeds.deed(session, dice).await?;
            if undone {
                session.attempt("rollback to savepoint s").await?;
            } else if kept {
                session.attempt("release savepoint s").await?;
            }
            if !whole && !undone {
                // Half of a pair was taken by somebody else.
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

/// Writes until told to stop; how many transactions. A lost connection ends it with the error.
pub async fn writer(
    deeds: impl Deeds,
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
        let outcome = match deeds.alone(&mut dice) {
            Some(statement) => traffic.alone(&session, &statement).await,
            None => {
                let level = if dice.percent(30) { "repeatable read" } else { "read committed" };
                traffic.transaction(&deeds, &session, &mut dice, level).await
            }
        };
        count += 1;
        traffic.finished.fetch_add(1, Relaxed);
        match outcome {
            Ok(()) => {}
            Err(failure) if deeds.is_fair(&failure) => {
                traffic.contended.fetch_add(1, Relaxed);
                session.attempt("rollback").await?;
            }
            Err(failure) if failure.is_disconnect() => return Err(failure),
            Err(failure) => panic!("{failure}\nin a writer with seed {seed}"),
        }
    }
    Ok(count)
}

/// Those who work at the same time; each returns how much it did.
#[derive(Default)]
pub struct Crew {
    pub traffic: Arc<Traffic>,
    tasks: Vec<JoinHandle<Result<u64, Failure>>>,
}

impl Crew {
    pub fn add(&mut self, task: impl Future<Output = Result<u64, Failure>> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    pub fn add_writers(&mut self, count: u64, deeds: impl Deeds, database: &Arc<Database>, seed: u64) {
        for at in 0..count {
            self.add(writer(deeds.clone(), database.clone(), self.traffic.clone(), seed ^ at));
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
