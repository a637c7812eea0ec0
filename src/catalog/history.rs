//! `pgt_refresh_history`: one row per refresh that did work or failed, or for those of a second.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ivm::choice::{Choice, Way};
use monitor::Micros;
pub use monitor::tables::Action;
use monitor::tables::{Ended, Expected, Refreshed};

use crate::catalog::frontier;
use crate::error::{Error, Result};
use crate::pg::spi::Session;
use crate::pg::{bgworker, counters};

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
    /// The time of its snapshot, which sees all transactions below `seen`.
    pub snapshot: Micros,
    pub seen: u64,
    /// The expected times, where the refresh had a choice.
    pub choice: Option<Choice>,
    /// The expected time of recomputing, where following the changes took several times as long in a mode without a choice.
    pub recompute_ms: Option<f64>,
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
            Some(error) if self.is_failed() => Ended::Failed(error.kind(), error.sqlstate()),
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

/// A row of the history: one refresh, or the sums of several that followed changes.
#[derive(Debug)]
pub struct Entry {
    refresh: Refresh,
    count: i32,
    /// When the first one began.
    began: Micros,
}

impl Entry {
    /// A refresh that has ended at `now`.
    pub fn new(refresh: Refresh, now: Micros) -> Entry {
        let began = began(&refresh, now);
        Entry { refresh, count: 1, began }
    }

    pub fn insert(&self, session: &Session) -> Result<()> {
        frontier::count(session, self.refresh.id, self.count, self.refresh.changed())?;
        insert(session, &self.refresh, self.count, self.began)
    }

    fn add(&mut self, next: Refresh) {
        let sum = &mut self.refresh;
        self.count += 1;
        sum.inserted += next.inserted;
        sum.updated += next.updated;
        sum.deleted += next.deleted;
        sum.delta_rows += next.delta_rows;
        sum.duration_ms += next.duration_ms;
        sum.choice = next.choice.or(sum.choice);
        sum.recompute_ms = next.recompute_ms.or(sum.recompute_ms);
    }
}

/// When a refresh began that has ended at `now`.
pub fn began(refresh: &Refresh, now: Micros) -> Micros {
    now - (refresh.duration_ms * 1e3) as Micros
}

/// How often a row is written for a stream table whose refreshes follow changes without an error.
const INTERVAL: Micros = 1_000_000;

/// Refreshes that have no row in the history yet. One that follows changes waits where the row of such a one was written less than
/// [`INTERVAL`] ago: all that end within that time get one row together. So the log grows with time and not with the refreshes.
#[derive(Debug, Default)]
pub struct Unwritten {
    last: BTreeMap<i32, Last>,
    /// Other processes refresh the same tables: they take turns to write.
    takes_turns: bool,
}

/// When the last row of a stream table was written, if the next one may wait, and what waits.
#[derive(Debug, Default)]
struct Last {
    written: Micros,
    next: Option<Entry>,
}

impl Last {
    /// Whether a row was written less than the interval ago, by this process or by another with which it takes turns.
    fn is_recent(&mut self, id: i32, now: Micros, takes_turns: bool) -> bool {
        if takes_turns && let Some(row) = counters::own_table(id) {
            self.written = row.recorded.load(Relaxed);
        }
        (0..INTERVAL).contains(&(now - self.written))
    }

    fn set_written(&mut self, id: i32, at: Micros, takes_turns: bool) {
        self.written = at;
        if takes_turns && let Some(row) = counters::own_table(id) {
            row.recorded.store(at, Relaxed);
        }
    }
}

impl Unwritten {
    /// Of one of several processes.
    pub fn in_turns() -> Unwritten {
        Unwritten { takes_turns: true, ..Unwritten::default() }
    }

    /// Takes refreshes that have ended at `now`, and returns what is to be written then.
    pub fn take(&mut self, refreshes: Vec<Refresh>, now: Micros) -> Vec<Entry> {
        let mut due = vec![];
        for refresh in refreshes.into_iter().filter(Refresh::is_applied) {
            let (id, takes_turns) = (refresh.id, self.takes_turns);
            let last = self.last.entry(id).or_default();
            let may_wait = refresh.action == Action::Differential && refresh.error.is_none();
            let waits = may_wait && last.is_recent(id, now, takes_turns);
            match &mut last.next {
                Some(next) if may_wait => next.add(refresh),
                None if waits => {
                    last.next = Some(Entry::new(refresh, now));
                }
                _ => {
                    due.extend(last.next.take());
                    due.push(Entry::new(refresh, now));
                    // After another action the next one is not to wait: the status shows the last one.
                    last.set_written(id, if may_wait { now } else { 0 }, takes_turns);
                }
            }
        }
        // The clock may have been set back.
        let takes_turns = self.takes_turns;
        self.last.retain(|id, last| {
            last.is_recent(*id, now, takes_turns)
                || last.next.take().is_some_and(|next| {
                    last.set_written(*id, now, takes_turns);
                    due.push(next);
                    true
                })
        });
        due
    }

    /// When something has to be written.
    pub fn due(&self) -> Option<Micros> {
        self.last.values().filter(|last| last.next.is_some()).map(|last| last.written + INTERVAL).min()
    }

    /// Everything, whenever it is due.
    pub fn all(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.last).into_values().filter_map(|last| last.next).collect()
    }
}

/// How many rows of each stream table are retained.
const RETAINED: i64 = 1000;
/// How old rows become, except for the last one of each stream table.
const RETAINED_DAYS: i32 = 7;
/// After this many rows of the history, those of the table just refreshed are pruned; a prime, so that tables which are
/// refreshed alternately are all pruned.
const PRUNE_INTERVAL: i64 = 499;

/// Writes a row for `count` refreshes, the first of which began at `began`; none for a stream table that was dropped since.
pub fn insert(session: &Session, refresh: &Refresh, count: i32, began: Micros) -> Result<()> {
    let row = session.first(
        "insert into pgtrickle.pgt_refresh_history
                (pgt_id, started_at, action, rows_inserted, rows_updated, rows_deleted, delta_rows, duration_ms, error,
                 delta_ms, full_ms, sqlstate, refreshes)
         select $1, to_timestamp($2), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
           from pgtrickle.pgt_stream_tables where pgt_id = $1
         returning refresh_id",
        &[
            refresh.id.into(),
            (began as f64 / 1e6).into(),
            refresh.action.as_str().into(),
            refresh.inserted.into(),
            refresh.updated.into(),
            refresh.deleted.into(),
            refresh.delta_rows.into(),
            (refresh.duration_ms / f64::from(count)).into(),
            refresh.error.as_ref().map(Error::in_full).into(),
            refresh.choice.map(|choice| choice.delta_ms).into(),
            refresh.choice.map(|choice| choice.full_ms).or(refresh.recompute_ms).into(),
            refresh.error.as_ref().map(Error::sqlstate).into(),
            count.into(),
        ],
        |row| row.require::<i64>(1),
    )?;
    if row.is_some_and(|row| row % PRUNE_INTERVAL == 0) {
        prune(session, refresh.id)?;
    }
    if counters::database().is_some_and(|row| row.prunes_history(bgworker::now())) {
        prune_old(session)
    } else {
        Ok(())
    }
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
            Ok(Choice { way, delta_ms: row.require(2)?, full_ms: row.require(3)?, tries: false })
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

/// Deletes what is too old. The rows are about in the order of their times, so that no others are read.
fn prune_old(session: &Session) -> Result<()> {
    session.run(
        "delete from pgtrickle.pgt_refresh_history h
          where refresh_id < (select n.refresh_id from pgtrickle.pgt_refresh_history n
                               where n.started_at > now() - make_interval(days => $1) order by n.refresh_id limit 1)
            and exists (select from pgtrickle.pgt_refresh_history n
                         where n.pgt_id = h.pgt_id and n.refresh_id > h.refresh_id)",
        &[RETAINED_DAYS.into()],
    )
}
