//! What is counted of one stream table.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32};

use serde::{Serialize, Serializer};

use crate::cell::{Cell, Counter, Name, Optional, Text, Versioned, cells};
use crate::histogram::Recent;
use crate::messages::Messages;
use crate::rows::Row;
use crate::shown::Shown;
use crate::{Micros, in_seconds};

/// Sources whose edges are shown; a stream table may read more.
const SOURCES: usize = 16;

/// What a refresh did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    #[default]
    NoData,
    Differential,
    Full,
    Reinitialize,
}

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

/// How a failed refresh is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An error of data or privileges: counts towards suspension.
    User,
    /// A name or type changed: the table is recomputed.
    Schema,
    /// Retried after a pause: a conflict, or a lack of resources.
    Transient,
    Bug,
}

/// How a refresh ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Done(Action),
    /// With the SQLSTATE.
    Failed(Kind, String),
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

cells! {
    /// What the catalog says of a stream table.
    DescribedCells => Described {
        #[serde(skip)]
        relation: AtomicU32,
        schema: Name,
        name: Name,
        status: Text<2>,
        mode: Text<2>,
        /// Every refresh recomputes.
        recomputes: AtomicBool,
        /// Its rows depend on the clock, or it is refreshed by its schedule alone.
        #[serde(skip)]
        is_timed: AtomicBool,
        /// The greatest age of its data by its schedule.
        #[serde(serialize_with = "in_seconds")]
        target: Optional,
        sources: [AtomicI32; SOURCES],
    }

    /// How its refreshes left it.
    StateCells => State {
        /// The time of the snapshot of the last refresh.
        #[serde(skip)]
        snapshot: Optional,
        /// The time of the oldest change that it does not show.
        #[serde(skip)]
        behind_since: Optional,
        consecutive_errors: AtomicU32,
        /// Of the last refresh, if it failed.
        #[serde(serialize_with = "or_null")]
        sqlstate: Text<1>,
    }

    /// What its refreshes did since the start of the server, or the last reset. Times are in microseconds, in seconds as JSON.
    CountedCells => Counted {
        refreshes: RefreshesCells,
        /// Refreshes that were not attempted.
        skipped: Counter,
        errors_by_kind: ErrorsCells,
        /// Refreshes that showed a change after its deadline.
        missed: Counter,
        rows: RowsCells,
        change_rows: Counter,
        /// Of the last refresh that had something to do.
        #[serde(serialize_with = "in_seconds")]
        last_duration: Optional,
        #[serde(serialize_with = "in_seconds")]
        total_duration: AtomicI64,
        delta_choices: ChoicesCells,
        full_choices: ChoicesCells,
    }

    /// Refreshes by what they did.
    RefreshesCells => Refreshes {
        differential: Counter,
        full: Counter,
        reinitialize: Counter,
        no_data: Counter,
    }

    /// Failed refreshes by their cause.
    ErrorsCells => Errors {
        data: Counter,
        definition: Counter,
        transient: Counter,
        internal: Counter,
    }

    /// Rows of a stream table that refreshes changed.
    RowsCells => Rows {
        inserted: Counter,
        updated: Counter,
        deleted: Counter,
    }

    /// How often mode AUTO chose one of its two ways, with the times that these refreshes were expected to take and took.
    ChoicesCells => Choices {
        count: Counter,
        #[serde(serialize_with = "in_seconds")]
        expected: AtomicI64,
        #[serde(serialize_with = "in_seconds")]
        took: AtomicI64,
    }
}

fn or_null<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    Some(text).filter(|text| !text.is_empty()).serialize(serializer)
}

/// The ids of sources; 0 for none.
impl<const N: usize> Cell for [AtomicI32; N] {
    type Value = Vec<i32>;

    fn get(&self) -> Vec<i32> {
        self.iter().map(Cell::get).filter(|source| *source != 0).collect()
    }

    fn set(&self, sources: &Vec<i32>) {
        let sources = sources.iter().chain(std::iter::repeat(&0));
        self.iter().zip(sources).for_each(|(slot, source)| slot.set(source));
    }
}

impl RefreshesCells {
    fn of(&self, action: Action) -> &Counter {
        match action {
            Action::Differential => &self.differential,
            Action::Full => &self.full,
            Action::Reinitialize => &self.reinitialize,
            Action::NoData => &self.no_data,
        }
    }
}

impl ErrorsCells {
    pub fn of(&self, kind: Kind) -> &Counter {
        match kind {
            Kind::User => &self.data,
            Kind::Schema => &self.definition,
            Kind::Transient => &self.transient,
            Kind::Bug => &self.internal,
        }
    }
}

impl ChoicesCells {
    fn add(&self, expected: Micros, took: Micros) {
        self.count.add(1);
        self.expected.fetch_add(expected.max(0), Relaxed);
        self.took.fetch_add(took, Relaxed);
    }
}

#[repr(C)]
#[derive(Default)]
pub struct TableRow {
    pub described: Versioned<DescribedCells>,
    pub state: StateCells,
    /// The transactions whose changes it shows.
    pub shown: Shown,
    pub counted: CountedCells,
    /// From the commit of a change until it is visible.
    pub lag: Recent,
    /// Of refreshes that had something to do.
    pub duration: Recent,
    /// About its failures.
    pub messages: Messages,
    /// About refreshes that follow changes where recomputing would be much faster.
    pub slow: Messages,
    /// When a process last wrote a row of its history for others to follow at a distance.
    pub recorded: AtomicI64,
}

impl Row for TableRow {
    fn clear(&self) {
        self.recorded.store(0, Relaxed);
        self.described.clear();
        self.state.clear();
        self.shown.clear();
        self.reset();
        [&self.messages, &self.slow].into_iter().for_each(|messages| _ = messages.end(String::new));
    }
}

impl TableRow {
    /// Counts a refresh that ended at `now`.
    pub fn refreshed(&self, refresh: &Refreshed, now: Micros) {
        let (state, counted) = (&self.state, &self.counted);
        let took = refresh.took.max(0);
        match &refresh.ended {
            Ended::Skipped => return counted.skipped.add(1),
            Ended::Failed(kind, sqlstate) => {
                counted.errors_by_kind.of(*kind).add(1);
                state.consecutive_errors.fetch_add(1, Relaxed);
                state.sqlstate.set(sqlstate);
            }
            Ended::Done(action) => {
                counted.refreshes.of(*action).add(1);
                state.consecutive_errors.clear();
                state.sqlstate.clear();
                state.snapshot.raise(refresh.snapshot);
                match (refresh.expected, action) {
                    (None, _) => {}
                    (Some(expected), Action::Full) => counted.full_choices.add(expected.full, took),
                    (Some(expected), _) => counted.delta_choices.add(expected.delta, took),
                }
            }
        }
        counted.rows.inserted.add(refresh.inserted);
        counted.rows.updated.add(refresh.updated);
        counted.rows.deleted.add(refresh.deleted);
        counted.change_rows.add(refresh.change_rows);
        counted.total_duration.fetch_add(took, Relaxed);
        if refresh.ended != Ended::Done(Action::NoData) {
            counted.last_duration.set(&Some(took));
            self.duration.add(took, now);
        }
    }

    /// Sets everything that is counted to zero.
    pub fn reset(&self) {
        self.counted.clear();
        self.lag.clear();
        self.duration.clear();
    }
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
        row.refreshed(&Refreshed { ended: Ended::Failed(Kind::User, "22012".to_owned()), inserted: 0, ..DONE }, 1000);
        let expected = Counted {
            refreshes: Refreshes { differential: 1, full: 1, ..Refreshes::default() },
            skipped: 1,
            errors_by_kind: Errors { data: 1, ..Errors::default() },
            missed: 0,
            rows: Rows { inserted: 2, updated: 6, deleted: 9 },
            change_rows: 27,
            last_duration: Some(500),
            total_duration: 2000,
            delta_choices: Choices { count: 1, expected: 400, took: 500 },
            full_choices: Choices { count: 1, expected: 900, took: 1000 },
        };
        assert_eq!(row.counted.get(), expected);
        let state = State { snapshot: Some(77), behind_since: None, ..State::default() };
        assert_eq!(row.state.get(), State { consecutive_errors: 1, sqlstate: "22012".to_owned(), ..state.clone() });
        row.refreshed(&DONE, 1000);
        assert_eq!(row.state.get(), state);
        row.reset();
        assert_eq!((row.counted.get(), row.state.get()), (Counted::default(), state));
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
        row.described.set(&described);
        assert_eq!(row.described.get(), described);
        row.clear();
        assert_eq!(row.described.get(), Described::default());
    }
}
