//! Makes a failure small: the fewest logged entries after which one stream table still differs.
//!
//! Replays by hand, without workers; a failure that needs their timing does not shrink and says so.

use std::time::{Duration, Instant};

use crate::Database;
use crate::exact;
use crate::home::Home;
use crate::oracle::{Oracle, Subject, refresh_of, replay};
use crate::session::Session;

const PATIENCE: Duration = Duration::from_secs(60);

/// One attempt in a schema made anew.
struct Trial<'a> {
    session: Session,
    setup: &'a str,
    subjects: Vec<Subject>,
    failing: &'a Subject,
}

impl Trial<'_> {
    /// Whether the failing stream table differs, or fails to refresh, after these entries.
    async fn fails(&self, entries: &[String]) -> bool {
        for name in exact::stream_tables(&self.session).await.iter().rev() {
            self.session.run(&format!("select pgtrickle.drop_stream_table('{name}')")).await;
        }
        self.session.run(&Home::clear()).await;
        self.session.run(self.setup).await;
        for subject in &self.subjects {
            self.session.run(&subject.creation("1h")).await;
        }
        let last = refresh_of(self.failing);
        for entry in entries.iter().chain([&last]) {
            if replay(&self.session, entry).await.is_err() {
                return true;
            }
        }
        !exact::differences(&self.session, &self.failing.name, self.failing.equality).await.is_empty()
    }
}

/// The stream table and the other ones that it reads, by name.
fn needed(subjects: &[Subject], failing: &Subject) -> Vec<Subject> {
    let mut names = vec![failing.name.clone()];
    for subject in subjects.iter().rev() {
        let read = |name: &String| {
            let reader = subjects.iter().find(|other| other.name == *name).unwrap_or(failing);
            reader.name != subject.name && reader.sql.contains(&subject.name)
        };
        if names.iter().any(read) {
            names.push(subject.name.clone());
        }
    }
    let mut kept: Vec<Subject> = subjects.iter().filter(|subject| names.contains(&subject.name)).cloned().collect();
    if !kept.iter().any(|subject| subject.name == failing.name) {
        kept.push(failing.clone());
    }
    kept
}

/// Entries without the refreshes of stream tables that are not there; each is a line of its own.
fn relevant(log: &[String], subjects: &[Subject]) -> Vec<String> {
    let wanted = |line: &&str| {
        !line.contains("refresh_stream_table(") || subjects.iter().any(|subject| line.contains(&refresh_of(subject)))
    };
    log.iter().map(|entry| entry.lines().filter(wanted).collect::<Vec<_>>().join("\n")).collect()
}

/// A script that shows the difference of `failing`, or why there is none.
pub async fn shrink(database: &Database, oracle: &Oracle, failing: &str) -> String {
    let Some(failing) = oracle.subjects.iter().find(|subject| subject.name == failing) else {
        return "not shrunk: it differs from its creation on".to_owned();
    };
    let subjects = needed(&oracle.subjects, failing);
    let mut entries = relevant(oracle.log(), &subjects);
    let name = format!("{}_shrink", database.name);
    database.admin().await.run(&format!("create database {name}")).await;
    let session = database.connect_to(&name).await;
    session.run("create extension pg_trickle").await;
    let trial = Trial { session, setup: &oracle.setup, subjects, failing };
    if !trial.fails(&entries).await {
        return format!("not shrunk: {} entries replayed by hand give no failure", entries.len());
    }
    let started = Instant::now();
    let mut size = entries.len().div_ceil(2);
    while started.elapsed() < PATIENCE {
        let mut at = 0;
        let before = entries.len();
        while at < entries.len() && started.elapsed() < PATIENCE {
            let mut fewer = entries.clone();
            fewer.drain(at..(at + size).min(entries.len()));
            if trial.fails(&fewer).await { entries = fewer } else { at += size }
        }
        if size == 1 && entries.len() == before {
            break;
        }
        size = size.div_ceil(2);
    }
    script(&oracle.setup, &trial, &entries)
}

fn script(setup: &str, trial: &Trial, entries: &[String]) -> String {
    let mut lines = vec![setup.to_owned()];
    lines.extend(trial.subjects.iter().map(|subject| subject.creation("1h")));
    lines.extend(entries.iter().cloned());
    lines.push(refresh_of(trial.failing));
    lines.join(";\n")
}
