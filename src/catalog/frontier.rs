//! `pgt_frontiers`: what each stream table has seen, and how its refreshes fare.
//!
//! A row moves with every tick, and while some transaction stays open all versions that it ever had are kept. Who
//! searches it by its key meets each of them; a backend that knows its place goes there. What is found there under a
//! snapshot is the row that a search would find, and whatever is not there is searched.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ivm::frontier::Frontier;
use ivm::sql::ident::QName;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::{ItemPointerData, Oid};

use crate::catalog::dependency;
use crate::error::{Error, Result};
use crate::pg::spi::{Row, Session};
use crate::pg::{failures, guard, object, relation};

/// One row: `None` means never filled.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub frontier: Option<Frontier>,
    /// What time it was to the table's queries.
    pub moment: Option<TimestampWithTimeZone>,
    /// Why the next refresh must start over.
    pub reinitialize: Option<String>,
    /// The rows of the table are those of another definition.
    pub replaces: bool,
}

pub fn insert(session: &Session, id: i32) -> Result<()> {
    session.execute("insert into pgtrickle.pgt_frontiers (pgt_id) values ($1)", &[id.into()])?;
    Ok(())
}

thread_local! {
    /// Where the rows were found last.
    static PLACES: RefCell<BTreeMap<i32, ItemPointerData>> = const { RefCell::new(BTreeMap::new()) };
}

/// Where the rows of some of these stream tables may be.
fn places(ids: &[i32]) -> Vec<ItemPointerData> {
    PLACES.with_borrow(|places| ids.iter().filter_map(|id| places.get(id)).copied().collect())
}

/// The stream table of a row of which this column and the next tell it and its place.
fn placed(row: &Row, column: i32) -> Result<i32> {
    let (id, place) = (row.require(column)?, row.require(column + 1)?);
    PLACES.with_borrow_mut(|places| places.insert(id, place));
    Ok(id)
}

/// Runs `f`, whose statements go to known places. A plan may be older than the growth of a table that was tiny then.
fn by_place<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    guard::with_settings(&[("enable_seqscan", "off")], f)
}

/// Makes room for later versions where the rows are.
fn clear(places: &[ItemPointerData]) -> Result<()> {
    let table = object::oid(&QName::qualified("pgtrickle", "pgt_frontiers"))?;
    relation::clear_pages(table, places);
    Ok(())
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

/// What these stream tables have seen.
pub fn get(session: &Session, ids: &[i32]) -> Result<BTreeMap<i32, Seen>> {
    let places = places(ids);
    let mut seen = BTreeMap::new();
    if !places.is_empty() {
        clear(&places)?;
        seen.extend(by_place(|| session.query(seen!("ctid = any ($1)"), &[places.into()], read))?);
    }
    // In the place of a row that has moved there may be another.
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
    Ok((placed(row, 6)?, Seen { frontier, moment: row.get(5), reinitialize: row.get(4), replaces: row.require(8)? }))
}

/// A stream table that reads some source.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub id: i32,
    /// `None`: it was never filled or must start over, so its next refresh needs no change rows.
    pub follows: Option<Frontier>,
}

/// The stream tables that read `source`.
pub fn of_source(session: &Session, source: i32) -> Result<Vec<Consumer>> {
    let seen = get(session, &dependency::readers(session, source)?)?;
    let follows = |seen: Seen| seen.frontier.filter(|_| seen.reinitialize.is_none());
    Ok(seen.into_iter().map(|(id, seen)| Consumer { id, follows: follows(seen) }).collect())
}

/// What refreshes took, as it was last written down.
pub fn rates(session: &Session, id: i32) -> Result<Vec<Option<f64>>> {
    let rows = session.query("select rates from pgtrickle.pgt_frontiers where pgt_id = $1", &[id.into()], |row| {
        Ok(row.get::<Vec<Option<f64>>>(1))
    })?;
    Ok(rows.into_iter().next().flatten().unwrap_or_default())
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

/// Moves the frontier of stream tables that refreshes have changed, each with the number of its changed rows. The data is
/// as old as the snapshot, which was taken no earlier than `taken`, however long that took.
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
        session.query(statement, &arguments, |row| placed(row, 1))
    };
    let mut rest = changed.clone();
    let places = places(&changed.keys().copied().collect::<Vec<_>>());
    if !places.is_empty() {
        // By a search for the place, not for the id: the planner would rather search by what is unique.
        let known = advance!("ctid = any ($7) and array_position($1, pgt_id) is not null");
        let moved = by_place(|| move_all(known, changed, Some(places)))?;
        moved.iter().for_each(|id| _ = rest.remove(id));
    }
    if !rest.is_empty() {
        move_all(advance!("pgt_id = any ($1)"), &rest, None)?;
    }
    Ok(())
}

/// Writes down what refreshes take.
pub fn set_rates(session: &Session, id: i32, rates: Vec<Option<f64>>) -> Result<()> {
    session.execute("update pgtrickle.pgt_frontiers set rates = $2 where pgt_id = $1", &[id.into(), rates.into()])?;
    Ok(())
}

/// Says that nothing came or went until `moment`.
pub fn stand_still(session: &Session, id: i32, moment: TimestampWithTimeZone) -> Result<()> {
    session.execute(
        "update pgtrickle.pgt_frontiers set data_timestamp = $2 where pgt_id = $1",
        &[id.into(), moment.into()],
    )?;
    Ok(())
}

/// Asks for a new start at the next refresh; the first reason stays. What refreshes took says nothing of what
/// comes then.
pub fn reinitialize(session: &Session, id: i32, reason: &str) -> Result<()> {
    session.execute(
        "update pgtrickle.pgt_frontiers set reinitialize = coalesce(reinitialize, $2), rates = null where pgt_id = $1",
        &[id.into(), reason.into()],
    )?;
    Ok(())
}

/// The same where also the rows of the table are not to be trusted: they are those of another definition.
pub fn replace(session: &Session, id: i32, reason: &str) -> Result<()> {
    reinitialize(session, id, reason)?;
    session.execute("update pgtrickle.pgt_frontiers set replaces = true where pgt_id = $1", &[id.into()])?;
    Ok(())
}

/// The stream tables that read `source` and follow its changes, but are not refreshed: they or what they read are
/// paused or suspended. With their relations.
pub fn idle_of_source(session: &Session, source: i32) -> Result<Vec<(i32, Oid)>> {
    session.query(
        "with recursive idle(pgt_id) as (
           select pgt_id from pgtrickle.pgt_stream_tables where status <> 'ACTIVE'
           union
           select d.pgt_id
             from idle i
             join pgtrickle.pgt_stream_tables u on u.pgt_id = i.pgt_id
             join pgtrickle.pgt_sources s on s.relid::oid = u.pgt_relid::oid
             join pgtrickle.pgt_dependencies d on d.source_id = s.source_id
         )
         select t.pgt_id, t.pgt_relid::oid
           from idle
           join pgtrickle.pgt_stream_tables t using (pgt_id)
           join pgtrickle.pgt_frontiers f using (pgt_id)
           join pgtrickle.pgt_dependencies d using (pgt_id)
          where d.source_id = $1 and f.frontier is not null and f.reinitialize is null",
        &[source.into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

/// Asks for a new start of a table that follows changes, and shows the reason as an error. Never waits: false where
/// somebody else is at work on the row, and where there is nothing to ask for.
pub fn give_up(session: &Session, id: i32, reason: &str) -> Result<bool> {
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

/// Records a failure; the number of failures in a row that count towards suspension.
pub fn failed(session: &Session, id: i32, error: &Error, counts: bool) -> Result<i32> {
    let rows = session.query(
        "update pgtrickle.pgt_frontiers
            set consecutive_errors = consecutive_errors + $3, last_error = $2, last_sqlstate = $4,
                last_error_at = clock_timestamp()
          where pgt_id = $1
      returning consecutive_errors",
        &[id.into(), error.in_full().into(), i32::from(counts).into(), error.sqlstate().into()],
        |row| row.require(1),
    )?;
    Ok(rows.into_iter().next().unwrap_or(0))
}

/// The error that `id` has not got over since, as far as it concerns `role`: in full for the owner and for those who may
/// read all statistics.
pub fn last_error(session: &Session, id: i32, role: Oid) -> Result<Option<String>> {
    let rows = session.query(
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
    Ok(rows.into_iter().next().flatten())
}

/// Whether `role` may read the messages of errors of this stream table, which may hold values of rows: as its owner, or as
/// one who may read all statistics.
pub fn shows_messages(session: &Session, table: Oid, role: Oid) -> Result<bool> {
    let rows = session.query(
        "select pg_has_role($2, c.relowner, 'usage') or pg_has_role($2, 'pg_read_all_stats', 'usage')
           from pg_class c where c.oid = $1",
        &[table.into(), role.into()],
        |row| row.require(1),
    )?;
    Ok(rows.into_iter().next().unwrap_or(false))
}

/// Starts counting failures anew.
pub fn clear_errors(session: &Session, id: i32) -> Result<()> {
    failures::forget(id);
    session.execute(
        "update pgtrickle.pgt_frontiers set consecutive_errors = 0, last_error = null, last_sqlstate = null where pgt_id = $1",
        &[id.into()],
    )?;
    Ok(())
}

/// Counts for each of these stream tables that a change became visible later than promised.
pub fn missed(ids: &[i32]) -> Result<()> {
    crate::pg::spi::connect(None, |session| {
        let update = "update pgtrickle.pgt_frontiers set missed = missed + 1 where pgt_id = any ($1)";
        session.execute(update, &[ids.to_vec().into()]).map(|_| ())
    })
}
