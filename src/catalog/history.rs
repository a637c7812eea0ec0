//! `pgt_refresh_history`: one row per refresh that did work or failed.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::pg::spi::Session;

/// What a refresh did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    NoData,
    Full,
    Differential,
    Reinitialize,
}

/// Where there was a choice, what following the changes and what recomputing was expected to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    pub delta_ms: f64,
    pub full_ms: f64,
}

/// One refresh: rows of the stream table changed, change rows read, time taken.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub action: Action,
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
    pub delta_rows: i64,
    pub duration_ms: f64,
    pub expected: Option<Expected>,
    pub error: Option<Failure>,
}

/// An error as the catalog keeps it. The message may hold values of rows; the code is for everybody.
#[derive(Clone, Debug)]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        Failure { sqlstate: error.sqlstate(), message: error.in_full() }
    }
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

impl Refresh {
    /// A refresh that failed after `took`.
    pub fn failed(error: &Error, took: Duration) -> Refresh {
        Refresh { duration_ms: took.as_secs_f64() * 1e3, error: Some(error.into()), ..Refresh::nothing() }
    }

    /// Rows of the stream table that it changed.
    pub fn changed(&self) -> i64 {
        self.inserted + self.updated + self.deleted
    }

    /// A refresh that found nothing to do: it leaves no trace.
    pub fn nothing() -> Refresh {
        Refresh {
            action: Action::NoData,
            inserted: 0,
            updated: 0,
            deleted: 0,
            delta_rows: 0,
            duration_ms: 0.0,
            expected: None,
            error: None,
        }
    }
}

/// How many refreshes of each stream table are kept.
const KEPT: i64 = 1000;
/// Every so many rows the table that is refreshed is cleaned up; a prime, so that tables which take turns all
/// come up.
const BETWEEN: i64 = 499;

pub fn insert(session: &Session, id: i32, refresh: &Refresh) -> Result<()> {
    let ids = session.query(
        "insert into pgtrickle.pgt_refresh_history
                (pgt_id, started_at, action, rows_inserted, rows_updated, rows_deleted, delta_rows, duration_ms, error,
                 delta_cost, full_cost, sqlstate)
         values ($1, clock_timestamp() - make_interval(secs => $7 / 1000), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         returning refresh_id",
        &[
            id.into(),
            refresh.action.as_str().into(),
            refresh.inserted.into(),
            refresh.updated.into(),
            refresh.deleted.into(),
            refresh.delta_rows.into(),
            refresh.duration_ms.into(),
            refresh.error.as_ref().map(|error| error.message.as_str()).into(),
            refresh.expected.map(|expected| expected.delta_ms).into(),
            refresh.expected.map(|expected| expected.full_ms).into(),
            refresh.error.as_ref().map(|error| error.sqlstate.as_str()).into(),
        ],
        |row| row.require::<i64>(1),
    )?;
    if ids.iter().any(|row| row % BETWEEN == 0) {
        prune(session, id)?;
    }
    Ok(())
}

/// The last refresh of `id` that had a choice: what it did, and what it expected.
pub fn last_choice(session: &Session, id: i32) -> Result<Option<(String, Expected)>> {
    let rows = session.query(
        "select action, delta_cost, full_cost from pgtrickle.pgt_refresh_history
          where pgt_id = $1 and delta_cost is not null
          order by refresh_id desc limit 1",
        &[id.into()],
        |row| Ok((row.require(1)?, Expected { delta_ms: row.require(2)?, full_ms: row.require(3)? })),
    )?;
    Ok(rows.into_iter().next())
}

/// Keeps the newest rows of a stream table.
fn prune(session: &Session, id: i32) -> Result<u64> {
    session.execute(
        "delete from pgtrickle.pgt_refresh_history
          where pgt_id = $1
            and refresh_id <= (select h.refresh_id from pgtrickle.pgt_refresh_history h
                                where h.pgt_id = $1 order by h.refresh_id desc offset $2 limit 1)",
        &[id.into(), KEPT.into()],
    )
}
