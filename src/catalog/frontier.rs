//! `pgt_frontiers`: what each stream table has seen, and how its refreshes go.
//!
//! Every refresh writes a new version of a row, and a long transaction retains all of them. A search by key reads each
//! version, so a backend caches the place (`ctid`) of each row and follows the updates from there. Under a snapshot that is the
//! row that a search would find; rows that are not found there are searched by key.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ivm::frontier::Frontier;
use ivm::sql::ident::QName;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::{ItemPointerData, Oid};

use crate::catalog::dependency;
use crate::error::{Error, Result};
use crate::pg::spi::{self, Row, Session};
use crate::pg::{failures, guard, object, relation};

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
}

pub fn insert(session: &Session, id: i32) -> Result<()> {
    session.run("insert into pgtrickle.pgt_frontiers (pgt_id) values ($1)", &[id.into()])
}

thread_local! {
    /// Where each row was last found.
    static PLACES: RefCell<BTreeMap<i32, ItemPointerData>> = const { RefCell::new(BTreeMap::new()) };
}

/// The cached places of the rows of these stream tables.
fn places(ids: &[i32]) -> Vec<ItemPointerData> {
    PLACES.with_borrow(|places| ids.iter().filter_map(|id| places.get(id)).copied().collect())
}

/// The id in this column; caches the place in the next one.
fn cache_place(row: &Row, column: i32) -> Result<i32> {
    let (id, place) = (row.require(column)?, row.require(column + 1)?);
    PLACES.with_borrow_mut(|places| places.insert(id, place));
    Ok(id)
}

/// Runs `f`, whose statements read cached places. A generic plan from when the table was small might scan it.
fn by_place<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    guard::with_settings(&[("enable_seqscan", "off")], f)
}

macro_rules! seen {
    ($condition:literal) => {
        concat!(
            "select frontier::text, own_xid::text, own_seq, reinitialize, data_timestamp, pgt_id, ctid, replaces
               from pgtrickle.pgt_frontiers where ",
            $condition
        )
    };
}

/// The rows of these stream tables.
pub fn get(session: &Session, ids: &[i32]) -> Result<BTreeMap<i32, Seen>> {
    let mut places = places(ids);
    let mut seen = BTreeMap::new();
    if !places.is_empty() {
        // Other processes may have updated the rows; and new versions are to find room on these pages.
        let table = object::oid(&QName::qualified("pgtrickle", "pgt_frontiers"))?;
        session.with_snapshot(|snapshot| relation::follow_updates(table, &mut places, snapshot));
        seen.extend(by_place(|| session.query(seen!("ctid = any ($1)"), &[places.into()], read))?);
    }
    // A cached place may hold another row by now.
    let wanted: BTreeSet<i32> = ids.iter().copied().collect();
    seen.retain(|id, _| wanted.contains(id));
    let rest: Vec<i32> = wanted.into_iter().filter(|id| !seen.contains_key(id)).collect();
    if !rest.is_empty() {
        seen.extend(session.query(seen!("pgt_id = any ($1)"), &[rest.into()], read)?);
    }
    Ok(seen)
}

fn read(row: &Row) -> Result<(i32, Seen)> {
    let own = row.get::<String>(2).and_then(|xid| xid.parse().ok()).zip(row.get::<i32>(3));
    let frontier = row.get::<String>(1).map(|text| Frontier::parse(&text)).transpose()?;
    let frontier = frontier.map(|frontier| frontier.with_own(own));
    Ok((
        cache_place(row, 6)?,
        Seen { frontier, moment: row.get(5), reinitialize: row.get(4), replaces: row.require(8)? },
    ))
}

/// A stream table that reads some source.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub id: i32,
    /// `None`: its next refresh recomputes it, so it needs no change rows.
    pub follows: Option<Frontier>,
}

/// The stream tables that read `source`.
pub fn of_source(session: &Session, source: i32) -> Result<Vec<Consumer>> {
    let seen = get(session, &dependency::readers(session, source)?)?;
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
                set frontier = $3::pg_snapshot, own_xid = $4::xid8, own_seq = $5,
                    data_timestamp = $6, reinitialize = null, replaces = false, consecutive_errors = 0,
                    last_error = null, last_sqlstate = null, refreshes = refreshes + 1,
                    rows_changed = rows_changed + ($2::bigint[])[array_position($1, pgt_id)]
              where ",
            $condition,
            " returning pgt_id, ctid"
        )
    };
}

/// Advances the frontier of refreshed stream tables, given with the numbers of their changed rows. `taken` becomes the data
/// timestamp: a time before the snapshot was taken.
pub fn advance(
    session: &Session,
    changed: &BTreeMap<i32, i64>,
    (frontier, taken): (&Frontier, TimestampWithTimeZone),
) -> Result<()> {
    let (own_xid, own_seq) = frontier.own().unzip();
    let (text, own_xid) = (frontier.to_string(), own_xid.map(|xid: u64| xid.to_string()));
    let move_all = |statement, changed: &BTreeMap<i32, i64>, places: Option<Vec<ItemPointerData>>| {
        let (ids, rows): (Vec<i32>, Vec<i64>) = changed.iter().unzip();
        let mut arguments = vec![
            ids.into(),
            rows.into(),
            text.as_str().into(),
            own_xid.as_deref().into(),
            own_seq.into(),
            taken.into(),
        ];
        arguments.extend(places.map(Into::into));
        session.query(statement, &arguments, |row| cache_place(row, 1))
    };
    let mut rest = changed.clone();
    let places = places(&changed.keys().copied().collect::<Vec<_>>());
    if !places.is_empty() {
        // Not by `pgt_id = any`: the planner would use its index instead of the place.
        let known = advance!("ctid = any ($7) and array_position($1, pgt_id) is not null");
        let moved = by_place(|| move_all(known, changed, Some(places)))?;
        moved.iter().for_each(|id| _ = rest.remove(id));
    }
    if !rest.is_empty() {
        move_all(advance!("pgt_id = any ($1)"), &rest, None)?;
    }
    Ok(())
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
