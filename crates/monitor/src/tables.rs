//! What is counted of one stream table.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64};

use serde::Serialize;

use crate::Micros;
use crate::counter::Counter;
use crate::histogram::Recent;
use crate::messages::Messages;
use crate::rows::Row;
use crate::text::{Name, Text};
use crate::version::Version;

/// Sources whose edges are shown; a stream table may read more.
pub const SOURCES: usize = 16;

/// What a refresh did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    #[default]
    NoData,
    Differential,
    Full,
    Reinitialize,
}

/// In the order in which they are counted.
pub const ACTIONS: [Action; 4] = [Action::Differential, Action::Full, Action::Reinitialize, Action::NoData];

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::NoData => "NO_DATA",
            Action::Full => "FULL",
            Action::Differential => "DIFFERENTIAL",
            Action::Reinitialize => "REINITIALIZE",
        }
    }
}

/// Why a refresh failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Data or privileges.
    Data,
    /// An object that the definition names was changed.
    Definition,
    /// It is retried: a conflict, or a lack of resources.
    Transient,
    Internal,
}

/// In the order in which they are counted.
pub const CAUSES: [Cause; 4] = [Cause::Data, Cause::Definition, Cause::Transient, Cause::Internal];

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Data => "data",
            Cause::Definition => "definition",
            Cause::Transient => "transient",
            Cause::Internal => "internal",
        }
    }
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done(Action),
    Failed(Cause, [u8; 5]),
    /// It was not attempted.
    Skipped,
}

/// The times that mode AUTO expected of following the changes and of recomputing, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub delta: Micros,
    pub full: Micros,
}

/// One refresh of one stream table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refreshed {
    pub ended: Ended,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    pub change_rows: u64,
    pub took: Micros,
    /// The time of its snapshot.
    pub snapshot: Micros,
    /// Where there was a choice.
    pub expected: Option<Expected>,
}

/// Counts by [`Action`] of mode AUTO's choices, of the time that was expected, and of the time that they took.
#[repr(C)]
#[derive(Default)]
struct Choices {
    count: Counter,
    expected: Counter,
    took: Counter,
}

/// What the catalog says of a stream table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    pub relation: u32,
    pub schema: String,
    pub name: String,
    pub status: String,
    pub mode: String,
    /// Every refresh recomputes.
    pub recomputes: bool,
    /// Its rows depend on the clock, or it is refreshed by its schedule alone.
    pub is_timed: bool,
    /// The greatest age of its data by its schedule.
    pub target: Option<Micros>,
    pub sources: Vec<i32>,
}

#[repr(C)]
#[derive(Default)]
pub struct TableRow {
    version: Version,
    relation: AtomicU32,
    flags: AtomicU32,
    /// -1 for none.
    target: AtomicI64,
    schema: Name,
    name: Name,
    status: Text<2>,
    mode: Text<2>,
    sources: [AtomicI32; SOURCES],
    refreshes: [Counter; ACTIONS.len()],
    errors: [Counter; CAUSES.len()],
    skipped: Counter,
    inserted: Counter,
    updated: Counter,
    deleted: Counter,
    change_rows: Counter,
    missed: Counter,
    took: Counter,
    delta: Choices,
    full: Choices,
    lag: Recent,
    duration: Recent,
    last_took: AtomicI64,
    /// The time of the snapshot of the last refresh; 0 for none.
    snapshot: AtomicI64,
    /// The time of the oldest change that it does not show; 0 where it shows all.
    behind_since: AtomicI64,
    errors_in_a_row: AtomicU32,
    /// The SQLSTATE of the last refresh; 0 if it succeeded.
    sqlstate: AtomicU64,
    /// About its failures.
    pub messages: Messages,
}

const RECOMPUTES: u32 = 1;
const IS_TIMED: u32 = 2;

/// What a [`TableRow`] holds. Times are in seconds.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    pub described: Described,
    /// In the order of [`ACTIONS`].
    pub refreshes: [u64; ACTIONS.len()],
    /// In the order of [`CAUSES`].
    pub errors: [u64; CAUSES.len()],
    pub skipped: u64,
    pub rows: Changed,
    pub change_rows: u64,
    pub missed: u64,
    pub took: f64,
    pub delta: Chosen,
    pub full: Chosen,
    pub lag: Option<crate::histogram::Quantiles>,
    pub duration: Option<crate::histogram::Quantiles>,
    pub last_took: Option<f64>,
    pub snapshot: Option<Micros>,
    pub behind_since: Option<Micros>,
    pub errors_in_a_row: u32,
    pub sqlstate: Option<String>,
}

/// Rows of a stream table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// How often mode AUTO chose one of its two ways, with the seconds that these refreshes were expected to take and took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Chosen {
    pub count: u64,
    pub expected: f64,
    pub took: f64,
}

impl Choices {
    fn add(&self, expected: Micros, took: Micros) {
        self.count.add(1);
        self.expected.add(expected.max(0) as u64);
        self.took.add(took.max(0) as u64);
    }

    fn read(&self) -> Chosen {
        Chosen { count: self.count.get(), expected: seconds(self.expected.get()), took: seconds(self.took.get()) }
    }

    fn counters(&self) -> [&Counter; 3] {
        [&self.count, &self.expected, &self.took]
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn at(time: &AtomicI64) -> Option<Micros> {
    Some(time.load(Relaxed)).filter(|time| *time != 0)
}

impl Row for TableRow {
    fn clear(&self) {
        self.describe(&Described::default());
        self.reset();
        self.snapshot.store(0, Relaxed);
        self.behind_since.store(0, Relaxed);
        self.errors_in_a_row.store(0, Relaxed);
        self.sqlstate.store(0, Relaxed);
        _ = self.messages.end(String::new);
    }
}

impl TableRow {
    /// Takes over what the catalog says. Where another process does so at the same moment, its description stays.
    pub fn describe(&self, described: &Described) {
        let flags = if described.recomputes { RECOMPUTES } else { 0 } | if described.is_timed { IS_TIMED } else { 0 };
        self.version.try_write(|| {
            self.relation.store(described.relation, SeqCst);
            self.flags.store(flags, SeqCst);
            self.target.store(described.target.unwrap_or(-1), SeqCst);
            self.schema.set(&described.schema);
            self.name.set(&described.name);
            self.status.set(&described.status);
            self.mode.set(&described.mode);
            let sources = described.sources.iter().copied().chain(std::iter::repeat(0));
            self.sources.iter().zip(sources).for_each(|(slot, source)| slot.store(source, SeqCst));
        });
    }

    /// Counts a refresh that ended at `now`.
    pub fn refreshed(&self, refresh: &Refreshed, now: Micros) {
        match refresh.ended {
            Ended::Skipped => return self.skipped.add(1),
            Ended::Failed(cause, sqlstate) => {
                self.errors[position(&CAUSES, cause)].add(1);
                self.errors_in_a_row.fetch_add(1, Relaxed);
                self.sqlstate.store(sqlstate.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), Relaxed);
            }
            Ended::Done(action) => {
                self.refreshes[position(&ACTIONS, action)].add(1);
                self.errors_in_a_row.store(0, Relaxed);
                self.sqlstate.store(0, Relaxed);
                self.snapshot.fetch_max(refresh.snapshot, Relaxed);
                let way = if action == Action::Full { &self.full } else { &self.delta };
                if let Some(Expected { delta, full }) = refresh.expected {
                    way.add(if action == Action::Full { full } else { delta }, refresh.took);
                }
            }
        }
        self.inserted.add(refresh.inserted);
        self.updated.add(refresh.updated);
        self.deleted.add(refresh.deleted);
        self.change_rows.add(refresh.change_rows);
        self.took.add(refresh.took.max(0) as u64);
        if refresh.ended != Ended::Done(Action::NoData) {
            self.last_took.store(refresh.took.max(1), Relaxed);
            self.duration.add(refresh.took, now);
        }
    }

    /// Counts changes that became visible at `now`, the oldest of them this long after its commit.
    pub fn shown(&self, lag: Micros, now: Micros) {
        self.lag.add(lag, now);
    }

    /// Counts changes that became visible after their deadline.
    pub fn missed(&self) {
        self.missed.add(1);
    }

    /// Since when it does not show every change.
    pub fn set_behind(&self, since: Option<Micros>) {
        self.behind_since.store(since.unwrap_or(0), Relaxed);
    }

    /// Sets everything that is counted to zero.
    pub fn reset(&self) {
        let single =
            [&self.skipped, &self.inserted, &self.updated, &self.deleted, &self.change_rows, &self.missed, &self.took];
        let all = self.refreshes.iter().chain(&self.errors).chain(single);
        all.chain(self.delta.counters()).chain(self.full.counters()).for_each(Counter::clear);
        self.lag.clear();
        self.duration.clear();
        self.last_took.store(0, Relaxed);
    }

    pub fn read(&self, now: Micros) -> Counted {
        let counts = |counters: &[Counter; 4]| std::array::from_fn(|index| counters[index].get());
        Counted {
            described: self.version.read(|| self.description()).unwrap_or_default(),
            refreshes: counts(&self.refreshes),
            errors: counts(&self.errors),
            skipped: self.skipped.get(),
            rows: Changed { inserted: self.inserted.get(), updated: self.updated.get(), deleted: self.deleted.get() },
            change_rows: self.change_rows.get(),
            missed: self.missed.get(),
            took: seconds(self.took.get()),
            delta: self.delta.read(),
            full: self.full.read(),
            lag: self.lag.quantiles(now),
            duration: self.duration.quantiles(now),
            last_took: at(&self.last_took).map(|took| seconds(took as u64)),
            snapshot: at(&self.snapshot),
            behind_since: at(&self.behind_since),
            errors_in_a_row: self.errors_in_a_row.load(Relaxed),
            sqlstate: Some(self.sqlstate.load(Relaxed)).filter(|word| *word != 0).map(sqlstate),
        }
    }

    fn description(&self) -> Described {
        let flags = self.flags.load(SeqCst);
        Described {
            relation: self.relation.load(SeqCst),
            schema: self.schema.get(),
            name: self.name.get(),
            status: self.status.get(),
            mode: self.mode.get(),
            recomputes: flags & RECOMPUTES != 0,
            is_timed: flags & IS_TIMED != 0,
            target: Some(self.target.load(SeqCst)).filter(|target| *target >= 0),
            sources: self.sources.iter().map(|source| source.load(SeqCst)).filter(|source| *source != 0).collect(),
        }
    }
}

fn position<T: PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|other| *other == one).unwrap_or(0)
}

fn sqlstate(word: u64) -> String {
    word.to_be_bytes()[3..].iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Refreshed = Refreshed {
        ended: Ended::Done(Action::Differential),
        inserted: 1,
        updated: 2,
        deleted: 3,
        change_rows: 9,
        took: 500,
        snapshot: 77,
        expected: Some(Expected { delta: 400, full: 900 }),
    };

    #[test]
    fn every_refresh_is_counted_once() {
        let row = TableRow::default();
        row.refreshed(&DONE, 1000);
        row.refreshed(&Refreshed { ended: Ended::Done(Action::Full), took: 1000, snapshot: 70, ..DONE }, 1000);
        row.refreshed(&Refreshed { ended: Ended::Skipped, ..DONE }, 1000);
        row.refreshed(&Refreshed { ended: Ended::Failed(Cause::Data, *b"22012"), inserted: 0, ..DONE }, 1000);
        let read = row.read(1000);
        assert_eq!(read.refreshes, [1, 1, 0, 0]);
        assert_eq!((read.errors, read.skipped, read.errors_in_a_row), ([1, 0, 0, 0], 1, 1));
        assert_eq!(read.rows, Changed { inserted: 2, updated: 6, deleted: 9 });
        assert_eq!((read.change_rows, read.took, read.snapshot), (27, 0.002, Some(77)));
        assert_eq!(read.delta, Chosen { count: 1, expected: 0.0004, took: 0.0005 });
        assert_eq!(read.full, Chosen { count: 1, expected: 0.0009, took: 0.001 });
        assert_eq!(read.sqlstate.as_deref(), Some("22012"));
        row.refreshed(&DONE, 1000);
        assert_eq!((row.read(1000).sqlstate, row.read(1000).errors_in_a_row), (None, 0));
        row.reset();
        assert_eq!((row.read(1000).refreshes, row.read(1000).snapshot), ([0; 4], Some(77)));
    }

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let row = TableRow::default();
        let described = Described {
            relation: 1,
            schema: "public".to_owned(),
            name: "ü".repeat(31),
            status: "SUSPENDED".to_owned(),
            mode: "DIFFERENTIAL".to_owned(),
            recomputes: true,
            is_timed: false,
            target: Some(0),
            sources: vec![3, 4],
        };
        row.describe(&described);
        assert_eq!(row.read(0).described, described);
        row.clear();
        assert_eq!(row.read(0).described, Described::default());
    }
}
