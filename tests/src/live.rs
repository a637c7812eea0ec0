//! Readers of stream tables that are exact for every statement: those that are read with their pending changes, and those in refresh
//! mode IMMEDIATE.
//!
//! **Law:** every stream table is its query in every snapshot and transaction, whatever writers, refreshes and crashes go on.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::dag::Dag;
use crate::exact::{self, Equality};
use crate::oracle::SETTINGS;
use crate::session::{Failure, Session};
use crate::traffic::Traffic;
use crate::{Dice, world};

/// TRUNCATE ignores snapshots: these locks exclude it before one is taken.
const LOCK: &str =
    "lock table items, docs, keyless, ref, link, folded, parts, base, pairs, tagged, tags_bag in access share mode";
const LEVELS: [&str; 4] = ["read committed", "read committed", "repeatable read", "serializable"];
/// Those of a standby.
const LEVELS_OF_STANDBY: [&str; 2] = ["read committed", "repeatable read"];

/// A stream table, and the query that finds how it differs from its own.
pub struct Fact {
    name: String,
    comparison: String,
}

pub async fn facts(session: &Session, dag: &Dag) -> Vec<Fact> {
    let mut facts = vec![];
    for node in &dag.nodes {
        facts.push(Fact::of(session, &node.name, node.equality).await);
    }
    facts
}

impl Fact {
    pub async fn of(session: &Session, name: &str, equality: Equality) -> Fact {
        let query = exact::definition(session, name).await;
        Fact { name: name.to_owned(), comparison: exact::differing(name, &query, equality) }
    }

    /// A query that reads both.
    pub fn read(&self) -> &str {
        &self.comparison
    }

    /// How the stream table differs from its query for the session now.
    pub async fn differences(&self, session: &Session) -> Result<Vec<String>, Failure> {
        Ok(session.try_rows(&self.comparison).await?.concat().into_iter().flatten().collect())
    }
}

/// Reads, and writes between its reads unless the server is a standby, until the traffic stops; how many reads there were.
pub async fn reader(
    (session, reads): (Session, &str),
    traffic: Arc<Traffic>,
    facts: Arc<Vec<Fact>>,
    seed: u64,
) -> Result<u64, Failure> {
    session.attempt(SETTINGS).await?;
    session.attempt(&format!("set pg_trickle.reads = '{reads}'; set lock_timeout = '1s'")).await?;
    let is_standby = session.holds("select pg_is_in_recovery()").await;
    let levels = if is_standby { &LEVELS_OF_STANDBY[..] } else { &LEVELS };
    let mut dice = Dice::new(seed);
    let mut compared = 0;
    while !traffic.stopped() {
        let commit = dice.percent(50);
        if !is_standby {
            traffic.decide(&session, 1, commit).await?;
        }
        let writes = !is_standby && dice.percent(50);
        let level = *dice.pick(levels);
        match transaction(&session, (&traffic, &facts), (level, writes), &mut dice).await {
            Ok(count) => {
                compared += count;
                traffic.compared.fetch_add(count, Relaxed);
            }
            // Random values are invalid, and taken keys.
            Err(failure) if failure.is_contention() || is_of_values(&failure) => session.attempt("rollback").await?,
            Err(failure) => return Err(failure),
        }
    }
    Ok(compared)
}

fn is_of_values(failure: &Failure) -> bool {
    ["22", "23"].iter().any(|class| failure.code.starts_with(class))
}

async fn transaction(
    session: &Session,
    (traffic, facts): (&Traffic, &[Fact]),
    (level, writes): (&str, bool),
    dice: &mut Dice,
) -> Result<u64, Failure> {
    session.attempt(&format!("begin isolation level {level}; {LOCK}")).await?;
    let mut compared = 0;
    for _ in 0..1 + dice.below(4) {
        let fact = dice.pick(facts);
        let change = loop {
            let change = world::statement(dice);
            if !change.starts_with("truncate") {
                break change;
            }
        };
        let found = match dice.below(4) {
            0 if writes => {
                session.attempt(&format!("declare c cursor for {}; {change}", fact.comparison)).await?;
                let found = session.try_rows("fetch all from c").await?;
                session.attempt("close c").await?;
                found.concat().into_iter().flatten().collect()
            }
            1 if writes => {
                session.attempt(&format!("savepoint s; {change}")).await?;
                let found = fact.differences(session).await?;
                session.attempt("rollback to s").await?;
                found
            }
            2 if writes => {
                session.attempt(&change).await?;
                fact.differences(session).await?
            }
            _ => fact.differences(session).await?,
        };
        assert!(found.is_empty(), "{}, read in {level}, is not its query:\n{}", fact.name, found.join("\n"));
        compared += 1;
    }
    match dice.below(4) {
        0 if writes => {
            let _still = traffic.commits.read().await;
            session.attempt("commit").await?;
        }
        1 if writes => traffic.prepare(session).await?,
        _ => session.attempt("rollback").await?,
    }
    Ok(compared)
}
