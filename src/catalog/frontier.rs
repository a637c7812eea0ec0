//! `pgt_frontiers`: what each stream table has seen, and how its refreshes fare.

use std::collections::BTreeMap;

use ivm::frontier::Frontier;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// One row: `None` means never filled.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub frontier: Option<Frontier>,
    /// What time it was to the table's queries.
    pub moment: Option<TimestampWithTimeZone>,
    /// Why the next refresh must start over.
    pub reinitialize: Option<String>,
}

pub fn insert(session: &Session, id: i32) -> Result<()> {
    session.execute("insert into pgtrickle.pgt_frontiers (pgt_id) values ($1)", &[id.into()])?;
    Ok(())
}

/// What these stream tables have seen.
pub fn get(session: &Session, ids: &[i32]) -> Result<BTreeMap<i32, Seen>> {
    let rows = session.query(
        "select pgt_id, frontier::text, own_xid::text, own_seq, reinitialize, data_timestamp
           from pgtrickle.pgt_frontiers where pgt_id = any ($1)",
        &[ids.to_vec().into()],
        |row| {
            let own = row.get::<String>(3).and_then(|xid| xid.parse().ok()).zip(row.get::<i32>(4));
            let frontier = row.get::<String>(2).map(|text| Frontier::parse(&text)).transpose()?;
            let frontier = frontier.map(|frontier| frontier.with_own(own));
            Ok((row.require(1)?, Seen { frontier, moment: row.get(6), reinitialize: row.get(5) }))
        },
    )?;
    Ok(rows.into_iter().collect())
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
    session.query(
        "select f.pgt_id, case when f.reinitialize is null then f.frontier::text end, f.own_xid::text, f.own_seq
           from pgtrickle.pgt_frontiers f join pgtrickle.pgt_dependencies d on d.pgt_id = f.pgt_id
          where d.source_id = $1",
        &[source.into()],
        |row| {
            let own = row.get::<String>(3).and_then(|xid| xid.parse().ok()).zip(row.get::<i32>(4));
            let follows = row.get::<String>(2).map(|text| Frontier::parse(&text)).transpose()?;
            Ok(Consumer { id: row.require(1)?, follows: follows.map(|frontier| frontier.with_own(own)) })
        },
    )
}

/// What refreshes took, as it was last written down.
pub fn rates(session: &Session, id: i32) -> Result<Vec<Option<f64>>> {
    let rows = session.query("select rates from pgtrickle.pgt_frontiers where pgt_id = $1", &[id.into()], |row| {
        Ok(row.get::<Vec<Option<f64>>>(1))
    })?;
    Ok(rows.into_iter().next().flatten().unwrap_or_default())
}

/// Moves the frontier of stream tables that refreshes have changed, each with the number of its changed rows. The data is
/// as old as the snapshot, which was taken no earlier than `taken`, however long that took.
pub fn advance(
    session: &Session,
    changed: &BTreeMap<i32, i64>,
    (frontier, taken): (&Frontier, TimestampWithTimeZone),
) -> Result<()> {
    let (own_xid, own_seq) = frontier.own().unzip();
    let (ids, rows): (Vec<i32>, Vec<i64>) = changed.iter().unzip();
    session.execute(
        "update pgtrickle.pgt_frontiers
            set frontier = $3::pg_snapshot, own_xid = $4::xid8, own_seq = $5,
                data_timestamp = $6, reinitialize = null, consecutive_errors = 0,
                last_error = null, refreshes = refreshes + 1,
                rows_changed = rows_changed + ($2::bigint[])[array_position($1, pgt_id)]
          where pgt_id = any ($1)",
        &[
            ids.into(),
            rows.into(),
            frontier.to_string().into(),
            own_xid.map(|xid: u64| xid.to_string()).into(),
            own_seq.into(),
            taken.into(),
        ],
    )?;
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
pub fn failed(session: &Session, id: i32, error: &str, counts: bool) -> Result<i32> {
    let rows = session.query(
        "update pgtrickle.pgt_frontiers
            set consecutive_errors = consecutive_errors + $3, last_error = $2,
                last_error_at = clock_timestamp()
          where pgt_id = $1
      returning consecutive_errors",
        &[id.into(), error.into(), i32::from(counts).into()],
        |row| row.require(1),
    )?;
    Ok(rows.into_iter().next().unwrap_or(0))
}

/// The error that `id` has not got over since.
pub fn last_error(session: &Session, id: i32) -> Result<Option<String>> {
    let rows =
        session.query("select last_error from pgtrickle.pgt_frontiers where pgt_id = $1", &[id.into()], |row| {
            Ok(row.get(1))
        })?;
    Ok(rows.into_iter().next().flatten())
}

/// Starts counting failures anew.
pub fn clear_errors(session: &Session, id: i32) -> Result<()> {
    session.execute(
        "update pgtrickle.pgt_frontiers set consecutive_errors = 0, last_error = null where pgt_id = $1",
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
