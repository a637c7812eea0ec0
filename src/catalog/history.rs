//! `pgt_refresh_history`: one row per refresh that did work or failed.

use std::time::Duration;

use ivm::choice::{Choice, Way};
use monitor::Micros;
pub use monitor::tables::Action;
use monitor::tables::{Cause, Ended, Expected, Refreshed};

use crate::error::{Error, Kind, Result};
use crate::pg::spi::Session;

/// One attempt to refresh one stream table.
#[derive(Debug, Default)]
pub struct Refresh {
    pub id: i32,
    pub action: Action,
    /// Rows of the stream table.
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
    /// Change rows read.
    pub delta_rows: i64,
    pub duration_ms: f64,
    /// The time of its snapshot.
    pub snapshot: Micros,
    /// The expected times, where the refresh had a choice.
    pub choice: Option<Choice>,
    /// Sources with change rows that the refresh has read: every consumer may have read them now.
    pub consumed: Vec<i32>,
    /// Why the refresh failed; with an action, why the table was computed from the start.
    pub error: Option<Error>,
    /// It was not attempted: a source failed, or another transaction holds a lock that it needs.
    pub skipped: bool,
}

impl Refresh {
    /// A refresh that found nothing to do. The history does not record it.
    pub fn unchanged(id: i32) -> Refresh {
        Refresh { id, ..Refresh::default() }
    }

    pub fn failed(id: i32, error: Error, took: Duration) -> Refresh {
        Refresh { duration_ms: took.as_secs_f64() * 1e3, error: Some(error), ..Refresh::unchanged(id) }
    }

    /// Whether the table was brought up to date by a change or a recomputation.
    pub fn is_applied(&self) -> bool {
        self.action != Action::NoData
    }

    /// Whether it was attempted in vain, or not at all.
    pub fn is_failed(&self) -> bool {
        self.error.is_some() && !self.is_applied()
    }

    /// As it is counted in shared memory.
    pub fn counted(&self) -> Refreshed {
        let count = |rows: i64| rows.max(0) as u64;
        let micros = |ms: f64| (ms * 1e3) as Micros;
        let ended = match &self.error {
            Some(_) if self.skipped => Ended::Skipped,
            Some(error) if self.is_failed() => Ended::Failed(cause(error.kind()), sqlstate(error)),
            _ => Ended::Done(self.action),
        };
        Refreshed {
            ended,
            inserted: count(self.inserted),
            updated: count(self.updated),
            deleted: count(self.deleted),
            change_rows: count(self.delta_rows),
            took: micros(self.duration_ms),
            snapshot: self.snapshot,
            expected: self.choice.map(|it| Expected { delta: micros(it.delta_ms), full: micros(it.full_ms) }),
        }
    }

    /// Rows of the stream table that it changed.
    pub fn changed(&self) -> i64 {
        self.inserted + self.updated + self.deleted
    }
}

fn sqlstate(error: &Error) -> [u8; 5] {
    error.sqlstate().as_bytes().try_into().unwrap_or(*b"XX000")
}

fn cause(kind: Kind) -> Cause {
    match kind {
        Kind::User => Cause::Data,
        Kind::Schema => Cause::Definition,
        Kind::Transient => Cause::Transient,
        Kind::Bug => Cause::Internal,
    }
}

/// How many rows of each stream table are retained.
const RETAINED: i64 = 1000;
/// After this many rows of the history, those of the table just refreshed are pruned; a prime, so that tables which are
/// refreshed alternately are all pruned.
const PRUNE_INTERVAL: i64 = 499;

pub fn insert(session: &Session, refresh: &Refresh) -> Result<()> {
    let row = session.one(
        "insert into pgtrickle.pgt_refresh_history
                (pgt_id, started_at, action, rows_inserted, rows_updated, rows_deleted, delta_rows, duration_ms, error,
                 delta_ms, full_ms, sqlstate)
         values ($1, clock_timestamp() - make_interval(secs => $7 / 1000), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         returning refresh_id",
        &[
            refresh.id.into(),
            refresh.action.as_str().into(),
            refresh.inserted.into(),
            refresh.updated.into(),
            refresh.deleted.into(),
            refresh.delta_rows.into(),
            refresh.duration_ms.into(),
            refresh.error.as_ref().map(Error::in_full).into(),
            refresh.choice.map(|choice| choice.delta_ms).into(),
            refresh.choice.map(|choice| choice.full_ms).into(),
            refresh.error.as_ref().map(Error::sqlstate).into(),
        ],
        |row| row.require::<i64>(1),
    )?;
    if row % PRUNE_INTERVAL == 0 { prune(session, refresh.id) } else { Ok(()) }
}

/// The choice of the last refresh of `id` that had one.
pub fn last_choice(session: &Session, id: i32) -> Result<Option<Choice>> {
    session.first(
        "select action, delta_ms, full_ms from pgtrickle.pgt_refresh_history
          where pgt_id = $1 and delta_ms is not null
          order by refresh_id desc limit 1",
        &[id.into()],
        |row| {
            let way = if row.require::<String>(1)? == Action::Full.as_str() { Way::Full } else { Way::Delta };
            Ok(Choice { way, delta_ms: row.require(2)?, full_ms: row.require(3)? })
        },
    )
}

/// Deletes all but the newest rows of a stream table.
fn prune(session: &Session, id: i32) -> Result<()> {
    session.run(
        "delete from pgtrickle.pgt_refresh_history
          where pgt_id = $1
            and refresh_id <= (select h.refresh_id from pgtrickle.pgt_refresh_history h
                                where h.pgt_id = $1 order by h.refresh_id desc offset $2 limit 1)",
        &[id.into(), RETAINED.into()],
    )
}
