//! `pgt_frontiers`: what each stream table has seen, and how its refreshes go. What those have seen that are refreshed together
//! is in one row of [`ticks`].

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ivm::frontier::Frontier;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;

use crate::catalog::dependency;
use crate::catalog::places::{self, Places, Twice};
use crate::catalog::ticks::{self, Next, Tick};
use crate::error::{Error, Result};
use crate::pg::failures;
use crate::pg::spi::{self, Row, Session};

/// One row.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `None`: the table was never filled.
    pub frontier: Option<Frontier>,
    /// The data timestamp: the current time for the queries of the last refresh.
    pub moment: Option<TimestampWithTimeZone>,
    /// Why the next refresh must recompute the table, if so.
    pub reinitialize: Option<String>,
    /// The rows of the table are those of an earlier definition.
    pub replaces: bool,
    /// The number of the frontier.
    number: i64,
    /// A refresh changes nothing but the frontier: the row has no error and no reason to recompute.
    is_settled: bool,
    /// The rows of `pgt_ticks` that are about the table.
    pub ticks: Vec<Rc<Tick>>,
}

pub fn insert(session: &Session, id: i32) -> Result<()> {
    session.run("insert into pgtrickle.pgt_frontiers (pgt_id) values ($1)", &[id.into()])
}

thread_local! {
    static PLACES: Places = const { Places::of("pgt_frontiers") };
}

macro_rules! seen {
    ($condition:literal) => {
        concat!(
            "select pgt_id, ctid, frontier::text, own_xid::text, own_seq, data_timestamp, reinitialize, replaces, number, ticks,
                    frontier is not null and reinitialize is null and not replaces and consecutive_errors = 0
                      and last_error is null and last_sqlstate is null
               from pgtrickle.pgt_frontiers where ",
            $condition
        )
    };
}
const GET: Twice = Twice { by_place: seen!("ctid = any ($1)"), by_id: seen!("pgt_id = any ($1)") };

/// The rows of these stream tables. The session has a snapshot.
pub fn get(session: &Session, ids: &[i32]) -> Result<BTreeMap<i32, Seen>> {
    let found = places::get(&PLACES, session, &GET, ids, read)?;
    let named: BTreeSet<i32> = found.values().flat_map(|(_, ticks)| ticks.iter().copied()).collect();
    let ticks = ticks::get(session, &named.into_iter().collect::<Vec<_>>())?;
    let latest = |(id, (mut seen, named)): (i32, (Seen, Vec<i32>))| {
        for name in named {
            let tick = ticks.get(&name).ok_or(Error::Bug("a tick that a stream table names is there"))?;
            let Next { number, frontier, moment } = &tick.next;
            if *number > seen.number {
                (seen.number, seen.frontier, seen.moment) = (*number, Some(frontier.clone()), Some(*moment));
            }
            seen.ticks.push(Rc::clone(tick));
        }
        Ok((id, seen))
    };
    found.into_iter().map(latest).collect()
}

fn read(row: &Row) -> Result<(Seen, Vec<i32>)> {
    let seen = Seen {
        frontier: ticks::read_frontier(row, 3)?,
        moment: row.get(6),
        reinitialize: row.get(7),
        replaces: row.require(8)?,
        number: row.require(9)?,
        is_settled: row.require(11)?,
        ticks: vec![],
    };
    Ok((seen, row.require(10)?))
}

/// A stream table that reads some source.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub id: i32,
    /// `None`: its next refresh recomputes it, so it needs no change rows.
    pub follows: Option<Frontier>,
}

/// The stream tables that read `source` and are refreshed by workers.
pub fn of_source(session: &Session, source: i32) -> Result<Vec<Consumer>> {
    let seen = get(session, &dependency::deferred_readers(session, source)?)?;
    let follows = |seen: Seen| seen.frontier.filter(|_| seen.reinitialize.is_none());
    Ok(seen.into_iter().map(|(id, seen)| Consumer { id, follows: follows(seen) }).collect())
}

/// The recorded milliseconds per unit of the planner's cost.
pub fn rates(session: &Session, id: i32) -> Result<Vec<Option<f64>>> {
    let found = session.first("select rates from pgtrickle.pgt_frontiers where pgt_id = $1", &[id.into()], |row| {
        Ok(row.get::<Vec<Option<f64>>>(1))
    })?;
    Ok(found.flatten().unwrap_or_default())
}

macro_rules! advance {
    ($condition:literal) => {
        concat!(
            "update pgtrickle.pgt_frontiers
                set number = $2, frontier = $3::pg_snapshot, own_xid = $4::xid8, own_seq = $5, data_timestamp = $6,
                    reinitialize = null, replaces = false, consecutive_errors = 0, last_error = null, last_sqlstate = null
              where ",
            $condition,
            " returning pgt_id, ctid"
        )
    };
}
/// Not by `pgt_id = any` too: the planner would use its index instead of the place.
const ADVANCE: Twice = Twice {
    by_place: advance!("ctid = any ($7) and array_position($1, pgt_id) is not null"),
    by_id: advance!("pgt_id = any ($1)"),
};

/// Advances the frontier of these stream tables, which were refreshed together, except that the rows of those `alone` depend on
/// the time. `moment` becomes the data timestamp: a time before the snapshot was taken.
pub fn advance(
    session: &Session,
    seen: &BTreeMap<i32, Seen>,
    (refreshed, alone): (&BTreeSet<i32>, &BTreeSet<i32>),
    (frontier, moment): (Frontier, TimestampWithTimeZone),
) -> Result<()> {
    let of = |id: &i32| seen.get(id);
    let number = 1 + refreshed.iter().filter_map(of).map(|seen| seen.number).max().unwrap_or(0);
    let next = Next { number, frontier, moment };
    let shares = |id: &i32| !alone.contains(id) && of(id).is_some_and(|seen| seen.is_settled);
    let (together, each): (Vec<i32>, Vec<i32>) = refreshed.iter().copied().partition(shares);
    let named = together.iter().filter_map(|id| Some((*id, &of(id)?.ticks[..]))).collect();
    ticks::advance(session, &named, &next)?;
    if !each.is_empty() {
        places::update(&PLACES, session, &ADVANCE, &each, || next.values())?;
    }
    Ok(())
}

macro_rules! count {
    ($condition:literal) => {
        concat!(
            "update pgtrickle.pgt_frontiers set refreshes = refreshes + $2, rows_changed = rows_changed + $3
              where ",
            $condition,
            " returning pgt_id, ctid"
        )
    };
}
const COUNT: Twice = Twice {
    by_place: count!("ctid = any ($4) and array_position($1, pgt_id) is not null"),
    by_id: count!("pgt_id = any ($1)"),
};

/// Counts refreshes of a stream table, and the rows that they changed.
pub fn count(session: &Session, id: i32, refreshes: i32, rows: i64) -> Result<()> {
    places::update(&PLACES, session, &COUNT, &[id], || vec![i64::from(refreshes).into(), rows.into()]).map(drop)
}

/// Records the milliseconds per unit of the planner's cost.
pub fn set_rates(session: &Session, id: i32, rates: Vec<Option<f64>>) -> Result<()> {
    session.run("update pgtrickle.pgt_frontiers set rates = $2 where pgt_id = $1", &[id.into(), rates.into()])
}

/// Records that the table was unchanged until `moment`.
pub fn advance_data_timestamp(session: &Session, id: i32, moment: TimestampWithTimeZone) -> Result<()> {
    session.run("update pgtrickle.pgt_frontiers set data_timestamp = $2 where pgt_id = $1", &[id.into(), moment.into()])
}

/// Makes the next refresh recompute the table; the first reason is retained. The recorded rates no longer apply.
pub fn reinitialize(session: &Session, id: i32, reason: &str) -> Result<()> {
    session.run(
        "update pgtrickle.pgt_frontiers set reinitialize = coalesce(reinitialize, $2), rates = null where pgt_id = $1",
        &[id.into(), reason.into()],
    )
}

/// The same, where the rows of the table are those of an earlier definition.
pub fn reinitialize_redefined(session: &Session, id: i32, reason: &str) -> Result<()> {
    reinitialize(session, id, reason)?;
    session.run("update pgtrickle.pgt_frontiers set replaces = true where pgt_id = $1", &[id.into()])
}

/// Makes the next refresh recompute a table that follows changes, and shows the reason as its last error. Never waits: false
/// if another transaction has locked the row, or the table does not follow changes.
pub fn try_reinitialize(session: &Session, id: i32, reason: &str) -> Result<bool> {
    let rows = session.execute(
        "update pgtrickle.pgt_frontiers f
            set reinitialize = $2, rates = null, last_error = concat_ws('; ', f.last_error, $2),
                last_error_at = clock_timestamp()
           from (select pgt_id from pgtrickle.pgt_frontiers
                  where pgt_id = $1 and frontier is not null and reinitialize is null
                    for update skip locked) free
          where f.pgt_id = free.pgt_id",
        &[id.into(), reason.into()],
    )?;
    Ok(rows > 0)
}

/// Records a failure; returns the number of consecutive failures that count towards suspension.
pub fn record_failure(session: &Session, id: i32, error: &Error, counts: bool) -> Result<i32> {
    let found = session.first(
        "update pgtrickle.pgt_frontiers
            set consecutive_errors = consecutive_errors + $3, last_error = $2, last_sqlstate = $4,
                last_error_at = clock_timestamp()
          where pgt_id = $1
      returning consecutive_errors",
        &[id.into(), error.in_full().into(), i32::from(counts).into(), error.sqlstate().into()],
        |row| row.require(1),
    )?;
    Ok(found.unwrap_or(0))
}

/// The error of the last refresh, if it failed: the message for its owner and members of pg_read_all_stats, for other roles
/// the SQLSTATE.
pub fn last_error(session: &Session, id: i32, role: Oid) -> Result<Option<String>> {
    let found = session.first(
        "select case when f.last_sqlstate is null or pg_has_role($2, c.relowner, 'usage')
                       or pg_has_role($2, 'pg_read_all_stats', 'usage') then f.last_error
                     else 'SQLSTATE ' || f.last_sqlstate end
           from pgtrickle.pgt_frontiers f
           join pgtrickle.pgt_stream_tables s using (pgt_id)
           join pg_class c on c.oid = s.pgt_relid::oid
          where f.pgt_id = $1",
        &[id.into(), role.into()],
        |row| Ok(row.get(1)),
    )?;
    Ok(found.flatten())
}

/// Whether `role` may read the messages of errors of a stream table, which may hold values of rows: its owner and members of
/// pg_read_all_stats may.
pub fn shows_messages(session: &Session, id: i32, role: Oid) -> Result<bool> {
    let found = session.first(
        "select pg_has_role($2, c.relowner, 'usage') or pg_has_role($2, 'pg_read_all_stats', 'usage')
           from pgtrickle.pgt_stream_tables s join pg_class c on c.oid = s.pgt_relid::oid
          where s.pgt_id = $1",
        &[id.into(), role.into()],
        |row| row.require(1),
    )?;
    Ok(found.unwrap_or(false))
}

/// Resets the count of failures.
pub fn clear_errors(session: &Session, id: i32) -> Result<()> {
    failures::forget(id);
    session.run(
        "update pgtrickle.pgt_frontiers set consecutive_errors = 0, last_error = null, last_sqlstate = null where pgt_id = $1",
        &[id.into()],
    )
}

/// Counts a missed deadline for each of these stream tables: a change became visible later than its schedule allows.
pub fn record_missed_deadlines(ids: &[i32]) -> Result<()> {
    spi::connect(None, |session| {
        let update = "update pgtrickle.pgt_frontiers set missed = missed + 1 where pgt_id = any ($1)";
        session.run(update, &[ids.to_vec().into()])
    })
}
