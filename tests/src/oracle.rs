//! Drives stream tables through random batches of changes and compares them after every refresh.

use std::time::{Duration, Instant};

use crate::exact::{self, Equality};
use crate::home::Home;
use crate::session::{Failure, Session};
use crate::{Database, Dice, shrink, world};

/// One stream table under test.
#[derive(Clone)]
pub struct Subject {
    pub name: String,
    pub sql: String,
    pub equality: Equality,
    pub incremental: bool,
    /// Left to the workers; the others are refreshed by hand.
    pub by_worker: bool,
}

/// A database with tables, stream tables, and the log of what was done to them.
pub struct Oracle {
    pub database: Database,
    pub session: Session,
    pub subjects: Vec<Subject>,
    pub setup: String,
    pub home: Home,
    log: Vec<String>,
    /// What went wrong. A stream table that failed is dropped, so that the others go on.
    pub faults: Vec<String>,
}

/// Shrinking takes a while: the first failures are worth it.
const SHRUNK: usize = 3;

/// The session's settings: results must not depend on those of the workers.
pub const SETTINGS: &str =
    "set timezone = 'America/New_York'; set datestyle = 'SQL, DMY'; set search_path = public, ext;";

/// The same, for tables that live anywhere.
fn settings(home: &Home) -> String {
    format!("{SETTINGS} set search_path = {};", home.path())
}

impl Subject {
    pub fn creation(&self, schedule: &str) -> String {
        let mode = if self.incremental { "DIFFERENTIAL" } else { "AUTO" };
        format!("select pgtrickle.create_stream_table('{}', $q${}$q$, '{schedule}', '{mode}')", self.name, self.sql)
    }
}

/// Runs one logged entry; an error undoes the entry's transaction, as the same error would on replay.
pub async fn replay(session: &Session, entry: &str) -> Result<(), Failure> {
    let Err(failure) = session.attempt(entry).await else {
        return Ok(());
    };
    session.run("rollback").await;
    // Invalid values and taken keys are expected, broken statements and internal errors are not.
    let expected =
        !entry.starts_with("select") && ["22", "23", "40"].iter().any(|class| failure.code.starts_with(class));
    if expected { Ok(()) } else { Err(failure) }
}

/// Makes the tables, with what the server supports; returns the statements.
pub async fn make_world(session: &Session) -> String {
    make_world_at(session, &Home::PLAIN).await
}

async fn make_world_at(session: &Session, home: &Home) -> String {
    let icu = session.holds("select exists (select from pg_collation where collprovider = 'i')").await;
    let setup = format!("{}\n{}", world::setup(icu, home), settings(home));
    session.run(&setup).await;
    setup
}

pub fn refresh_of(subject: &Subject) -> String {
    format!("select pgtrickle.refresh_stream_table('{}')", subject.name)
}

impl Oracle {
    pub async fn new(test: &str, dice: &mut Dice) -> Oracle {
        let database = Database::fresh(test).await;
        let session = database.connect().await;
        let home = Home::any(dice);
        println!("{test}: {home:?}");
        let setup = make_world_at(&session, &home).await;
        let mut oracle = Oracle { database, session, subjects: vec![], setup, home, log: vec![], faults: vec![] };
        for entry in world::fill(dice) {
            oracle.act(entry).await;
        }
        oracle
    }

    pub async fn add(&mut self, subject: Subject) {
        let subject = Subject { sql: self.home.place(&subject.sql), ..subject };
        // Every other one that is refreshed by hand shows a moment of its own.
        let number = self.subjects.len();
        let own = if number.is_multiple_of(2) { "1h".to_owned() } else { format!("{number}m") };
        let creation = subject.creation(if subject.by_worker { "0s" } else { &own });
        if let Err(failure) = self.session.attempt(&creation).await {
            return self.faults.push(format!("{failure}\nin: {creation}"));
        }
        self.subjects.push(subject.clone());
        self.compare(&subject, "creation").await;
    }

    pub async fn act(&mut self, entry: String) {
        let outcome = replay(&self.session, &entry).await;
        self.log.push(entry);
        if let Err(failure) = outcome {
            let entry = self.log[self.log.len() - 1].clone();
            let refreshed = self.subjects.iter().find(|subject| entry.contains(&refresh_of(subject))).cloned();
            match refreshed {
                Some(subject) => self.fault(&subject, format!("{failure}\nin: {entry}")).await,
                None => panic!("{failure}\nin: {entry}"),
            }
        }
    }

    async fn fault(&mut self, subject: &Subject, what: String) {
        let small = match self.faults.len() < SHRUNK {
            true => shrink::shrink(&self.database, self, &subject.name).await,
            false => String::new(),
        };
        println!("{}: {what}\n{}\n{small}\n", subject.name, subject.sql);
        self.faults.push(format!("{}: {what}\n{}", subject.name, subject.sql));
        self.session.run(&format!("select pgtrickle.drop_stream_table('{}', cascade => true)", subject.name)).await;
        let left = exact::stream_tables(&self.session).await;
        self.subjects.retain(|subject| left.contains(&subject.name));
    }

    /// One batch: transactions, then refreshes and comparisons.
    pub async fn batch(&mut self, dice: &mut Dice) {
        for _ in 0..1 + dice.below(4) {
            let entry = match dice.percent(12) && !self.subjects.is_empty() {
                true => self.refreshing_transaction(dice),
                false => world::transaction(dice),
            };
            self.act(entry).await;
        }
        for subject in self.subjects.clone() {
            if !subject.by_worker && dice.percent(60) && self.has(&subject) {
                self.act(refresh_of(&subject)).await;
                self.compare(&subject, "refresh").await;
            }
        }
        self.await_workers().await;
    }

    /// Transactions that write and read stream tables live, in any isolation level, with refreshes and other writers between
    /// them; how many reads there were.
    pub async fn read_live(&mut self, dice: &mut Dice) -> usize {
        let mut reads = 0;
        let subjects: Vec<Subject> = (0..8).map(|_| dice.pick(&self.subjects).clone()).collect();
        for subject in &subjects {
            if dice.percent(85) {
                self.act(refresh_of(subject)).await;
            }
        }
        // What follows a TRUNCATE is read as the query.
        let keeps_rows = |statement: &String| !statement.contains("truncate") || statement.len().is_multiple_of(10);
        for _ in 0..1 + dice.below(3) {
            let transaction = world::transaction(dice);
            if keeps_rows(&transaction) {
                self.act(transaction).await;
            }
        }
        let level = dice.pick(&["read committed", "read committed", "repeatable read", "serializable"]).to_owned();
        let mut entry = format!("begin isolation level {level}");
        self.session.run(&entry).await;
        for _ in 0..1 + dice.below(5) {
            let statement = match dice.below(8) {
                0 => format!("savepoint s;\n{};\nrollback to s", world::statement(dice)),
                1 => format!("savepoint s;\n{};\nrelease s", world::statement(dice)),
                2 => refresh_of(dice.pick(&subjects)),
                3 => "select".to_owned(),
                _ => world::statement(dice),
            };
            if !keeps_rows(&statement) {
                continue;
            }
            entry = format!("{entry};\n{statement}");
            if let Err(failure) = self.session.attempt(&statement).await {
                assert!(
                    ["22", "23", "40"].iter().any(|class| failure.code.starts_with(class)),
                    "{failure}\nin: {entry}"
                );
                self.session.run("rollback").await;
                return reads;
            }
            for _ in 0..3 {
                let subject = dice.pick(&subjects).clone();
                let query = exact::definition(&self.session, &subject.name).await;
                let found =
                    self.session.attempt_column(&exact::differing(&subject.name, &query, subject.equality)).await;
                match found {
                    Ok(found) if found.is_empty() => {}
                    Ok(found) => {
                        let what = format!("read live, it is not its query:\n{}\nin: {entry}", found.join("\n"));
                        println!("{}: {what}\n{}", subject.name, subject.sql);
                        self.faults.push(format!("{}: {what}\n{}", subject.name, subject.sql));
                    }
                    // The query itself fails.
                    Err(failure) if failure.code.starts_with("22") => {
                        self.session.run("rollback").await;
                        return reads;
                    }
                    Err(failure) => panic!("{failure}\nreading {}: {}\nin: {entry}", subject.name, subject.sql),
                }
                reads += 1;
            }
        }
        self.session.run(if dice.percent(50) { "commit" } else { "rollback" }).await;
        reads
    }

    /// Refreshes and compares everything.
    pub async fn refresh_all(&mut self) {
        for subject in self.subjects.clone() {
            if self.has(&subject) {
                self.act(refresh_of(&subject)).await;
                self.compare(&subject, "refresh").await;
            }
        }
    }

    fn has(&self, subject: &Subject) -> bool {
        self.subjects.iter().any(|other| other.name == subject.name)
    }

    /// A transaction that writes, refreshes, and writes again, with a savepoint around one of the two.
    fn refreshing_transaction(&self, dice: &mut Dice) -> String {
        let refresh = refresh_of(dice.pick(&self.subjects));
        let (one, two, three) = (world::statement(dice), world::statement(dice), world::statement(dice));
        match dice.below(3) {
            0 => format!("begin;\n{one};\n{refresh};\n{two};\ncommit"),
            1 => format!("begin;\n{one};\nsavepoint s;\n{two};\n{refresh};\nrollback to s;\n{three};\ncommit"),
            _ => format!(
                "begin;\nsavepoint s;\n{one};\nrelease s;\n{refresh};\n{two};\n{refresh};\nsavepoint t;\n{three};\nrollback to t;\ncommit"
            ),
        }
    }

    async fn await_workers(&mut self) {
        let names: Vec<String> =
            self.subjects.iter().filter(|s| s.by_worker).map(|s| format!("'{}'::regclass", s.name)).collect();
        if names.is_empty() {
            return;
        }
        // The status shows names as the search path of its caller does.
        let stale = format!(
            "select count(*) = 0 from pgtrickle.pgt_status() where name::regclass in ({}) and {}",
            names.join(", "),
            exact::is_stale(&self.session).await
        );
        self.session.wait_until(&stale).await;
        for subject in self.subjects.clone() {
            if subject.by_worker {
                self.compare(&subject, "the workers' refresh").await;
            }
        }
    }

    async fn compare(&mut self, subject: &Subject, after: &str) {
        if !self.has(subject) {
            return;
        }
        let found = exact::differences(&self.session, &subject.name, subject.equality).await;
        if !found.is_empty() {
            self.fault(subject, format!("is not its query after {after}:\n{}", found.join("\n"))).await;
        }
    }

    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// Checks that there were no faults, no failed refresh, and no recomputation of an incremental table.
    pub async fn finish(self) {
        assert!(self.faults.is_empty(), "{} failures:\n{}", self.faults.len(), self.faults.join("\n"));
        let mut errors = exact::errors(&self.session).await;
        // A tick is the victim of a deadlock with a TRUNCATE of several of its sources, and is retried.
        errors.retain(|error| !error.ends_with("deadlock detected"));
        assert!(errors.is_empty(), "refreshes failed:\n{}", errors.join("\n"));
        for subject in self.subjects.iter().filter(|subject| subject.incremental) {
            let count = |action: &str| {
                format!(
                    "select count(*) from pgtrickle.pgt_refresh_history h join pgtrickle.pgt_stream_tables s using (pgt_id)
                      where s.pgt_relid = '{}'::regclass and action = '{action}'",
                    subject.name
                )
            };
            let full = self.session.number(&count("FULL")).await;
            assert!(full <= 1, "{} was recomputed {full} times: {}", subject.name, subject.sql);
        }
        self.database.close().await;
    }
}

/// Batches until the budget is spent; how many.
pub async fn run(oracle: &mut Oracle, dice: &mut Dice, budget: Duration) -> usize {
    let started = Instant::now();
    let mut batches = 0;
    while batches == 0 || started.elapsed() < budget {
        oracle.batch(dice).await;
        batches += 1;
    }
    oracle.refresh_all().await;
    batches
}
