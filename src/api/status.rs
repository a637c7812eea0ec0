//! What users look at: status, history, change buffers.

// The columns of a set-returning function are read off its signature: an alias would hide them.
#![allow(clippy::type_complexity)]

use std::collections::BTreeMap;

use ivm::schedule::{Micros, Schedule};
use ivm::target::{self, Scheduled};
use pgrx::datum::{Interval, TimestampWithTimeZone, clock_timestamp};
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, name, pg_extern};

use crate::api::{given, resolve};
use crate::capture;
use crate::catalog::{quietly, stream_table};
use crate::error::{Error, Result};
use crate::pg::{failures, guard, spi};
use crate::{guc, refresh};

type StatusRow = (
    String,
    String,
    String,
    String,
    bool,
    i32,
    Option<TimestampWithTimeZone>,
    Option<Interval>,
    Option<Interval>,
    i64,
    i64,
    i64,
    Option<String>,
    Option<f64>,
    Option<String>,
    Option<String>,
);

/// One row per stream table. A table with nothing pending is as fresh as the moment of asking, unless its rows, or
/// those of what it reads, come and go as time passes. Its staleness is the age of the oldest change that it does not
/// show. Its target is how stale it may become by its schedule; `missed` counts the refreshes of the workers that made a
/// change visible clearly later than that.
#[pg_extern]
fn pgt_status() -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(status, String),
            name!(refresh_mode, String),
            name!(schedule, String),
            name!(is_populated, bool),
            name!(consecutive_errors, i32),
            name!(data_timestamp, Option<TimestampWithTimeZone>),
            name!(staleness, Option<Interval>),
            name!(target, Option<Interval>),
            name!(missed, i64),
            name!(rows_changed, i64),
            name!(refreshes, i64),
            name!(last_action, Option<String>),
            name!(last_duration_ms, Option<f64>),
            name!(last_error, Option<String>),
            name!(full_reason, Option<String>),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(status()?))
}

fn status() -> Result<Vec<StatusRow>> {
    let sources: Vec<i32> = quietly(|| {
        spi::connect(None, |session| {
            session.query("select source_id from pgtrickle.pgt_sources", &[], |row| row.require(1))
        })
    })?;
    let targets = targets()?;
    let (asked, asker) = (clock_timestamp(), guard::current_role());
    // What could not be written down is newer than what was.
    let noted = failures::all();
    let (pending, since): (Vec<i32>, Vec<_>) = refresh::behind(&sources)?.into_iter().unzip();
    quietly(|| {
        spi::connect(None, |session| {
            session.query(
                "with recursive reads(pgt_id, upstream) as (
                   select d.pgt_id, u.pgt_id
                     from pgtrickle.pgt_stream_tables u
                     join pgtrickle.pgt_sources s on s.relid = u.pgt_relid
                     join pgtrickle.pgt_dependencies d on d.source_id = s.source_id
                 ), behind(pgt_id, since) as (
                   select * from unnest($1, $4)
                   union
                   select pgt_id, null from pgtrickle.pgt_frontiers where frontier is null or reinitialize is not null
                   union
                   select r.pgt_id, b.since from behind b join reads r on r.upstream = b.pgt_id
                 ), late(pgt_id, since) as (
                   select b.pgt_id, case when count(b.since) = count(*) then greatest(min(b.since), min(f.data_timestamp))
                                         else min(f.data_timestamp) end
                     from behind b join pgtrickle.pgt_frontiers f using (pgt_id)
                    group by b.pgt_id
                 ), timed(pgt_id, moment) as (
                   select s.pgt_id, f.data_timestamp
                     from pgtrickle.pgt_stream_tables s join pgtrickle.pgt_frontiers f using (pgt_id)
                    where s.temporal or s.polled <> '{}'
                   union
                   select r.pgt_id, t.moment from timed t join reads r on r.upstream = t.pgt_id
                 ), seen as (
                   select f.*, case when l.pgt_id is not null then f.data_timestamp else t.moment end as fresh_at,
                          least(l.since, t.moment) as late_since
                     from pgtrickle.pgt_frontiers f
                     left join late l using (pgt_id),
                          lateral (select coalesce(min(t.moment), $2) as moment from timed t where t.pgt_id = f.pgt_id) t
                 )
                 select s.pgt_relid::text, s.status, s.refresh_mode, s.schedule, f.frontier is not null,
                        f.consecutive_errors + coalesce(n.count, 0), f.fresh_at, clock_timestamp() - f.late_since, f.rows_changed, f.refreshes,
                        h.action, h.duration_ms,
                        case when coalesce(n.sqlstate, f.last_sqlstate) is null or pg_has_role($3, c.relowner, 'usage')
                               or pg_has_role($3, 'pg_read_all_stats', 'usage') then coalesce(n.message, f.last_error)
                             else format('SQLSTATE %s in %s', coalesce(n.sqlstate, f.last_sqlstate), s.pgt_relid) end,
                        s.full_reason, s.pgt_id, f.missed
                   from pgtrickle.pgt_stream_tables s
                   join seen f using (pgt_id)
                   left join unnest($5, $6, $7, $8) as n(pgt_id, count, sqlstate, message) using (pgt_id)
                   join pg_class c on c.oid = s.pgt_relid::oid
                   left join lateral (select action, duration_ms from pgtrickle.pgt_refresh_history h
                                       where h.pgt_id = s.pgt_id order by refresh_id desc limit 1) h on true
                  order by s.pgt_id",
                &[
                    pending.into(),
                    asked.into(),
                    asker.into(),
                    since.into(),
                    noted.iter().map(|failed| failed.table).collect::<Vec<_>>().into(),
                    noted.iter().map(|failed| failed.count).collect::<Vec<_>>().into(),
                    noted.iter().map(|failed| failed.sqlstate.clone()).collect::<Vec<_>>().into(),
                    noted.iter().map(|failed| failed.message.clone()).collect::<Vec<_>>().into(),
                ],
                |row| {
                    Ok((
                        row.require(1)?,
                        row.require(2)?,
                        row.require(3)?,
                        row.require(4)?,
                        row.require(5)?,
                        row.require(6)?,
                        row.get(7),
                        row.get(8),
                        targets.get(&row.require::<i32>(15)?).copied().map(interval).transpose()?,
                        row.require(16)?,
                        row.require(9)?,
                        row.require(10)?,
                        row.get(11),
                        row.get(12),
                        row.get(13),
                        row.get(14),
                    ))
                },
            )
        })
    })
}

/// How fresh each stream table is promised to be, in microseconds; those with cron schedules are left out.
fn targets() -> Result<BTreeMap<i32, Micros>> {
    let tables = quietly(stream_table::schedulable)?.into_iter().map(|table| {
        Ok(Scheduled { table: table.id, schedule: Schedule::parse(&table.schedule)?, reads: table.upstream })
    });
    Ok(target::targets(&tables.collect::<Result<Vec<_>>>()?, &guc::default_schedule())?)
}

/// Days are told as such, as in the difference of two times.
fn interval(micros: Micros) -> Result<Interval> {
    const DAY: Micros = 24 * 3600 * 1_000_000;
    let days = i32::try_from(micros / DAY).map_err(|_| Error::Bug("a schedule is shorter than the calendar"))?;
    Interval::new(0, days, micros % DAY).map_err(|_| Error::Bug("a duration is an interval"))
}

type HistoryRow =
    (i64, TimestampWithTimeZone, String, i64, i64, i64, i64, f64, Option<String>, Option<f64>, Option<f64>);

/// The latest refreshes of a stream table, newest first; where there was a choice, the milliseconds that its
/// delta and recomputing it were expected to take.
#[pg_extern]
fn get_refresh_history(
    name: Option<&str>,
    max_rows: default!(Option<i32>, 20),
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(refresh_id, i64),
            name!(started_at, TimestampWithTimeZone),
            name!(action, String),
            name!(rows_inserted, i64),
            name!(rows_updated, i64),
            name!(rows_deleted, i64),
            name!(delta_rows, i64),
            name!(duration_ms, f64),
            name!(error, Option<String>),
            name!(delta_ms, Option<f64>),
            name!(full_ms, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(history(given("name", name)?, max_rows.unwrap_or(20))?))
}

fn history(name: &str, max_rows: i32) -> Result<Vec<HistoryRow>> {
    let ((_, id), role) = (resolve(name)?, guard::current_role());
    quietly(|| {
        spi::connect(None, |session| {
            session.query(
                "select h.refresh_id, h.started_at, h.action, h.rows_inserted, h.rows_updated, h.rows_deleted, h.delta_rows,
                        h.duration_ms,
                        case when h.sqlstate is null or pg_has_role($3, c.relowner, 'usage')
                               or pg_has_role($3, 'pg_read_all_stats', 'usage') then h.error
                             else format('SQLSTATE %s in %s', h.sqlstate, s.pgt_relid) end,
                        h.delta_ms, h.full_ms
                   from pgtrickle.pgt_refresh_history h
                   join pgtrickle.pgt_stream_tables s using (pgt_id)
                   join pg_class c on c.oid = s.pgt_relid::oid
                  where h.pgt_id = $1
                  order by h.refresh_id desc
                  limit greatest($2, 0)",
                &[id.into(), max_rows.into(), role.into()],
                |row| {
                    Ok((
                        row.require(1)?,
                        row.require(2)?,
                        row.require(3)?,
                        row.require(4)?,
                        row.require(5)?,
                        row.require(6)?,
                        row.require(7)?,
                        row.require(8)?,
                        row.get(9),
                        row.get(10),
                        row.get(11),
                    ))
                },
            )
        })
    })
}

type BufferRow = (String, String, i64, i64, i64);

/// The change buffers: rows not yet removed, and size on disk.
#[pg_extern]
fn change_buffer_sizes() -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(source, String),
            name!(buffer, String),
            name!(pending_rows, i64),
            name!(bytes, i64),
            name!(consumers, i64),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(buffers()?))
}

fn buffers() -> Result<Vec<BufferRow>> {
    quietly(|| {
        spi::connect(None, |session| {
            let sources = session.query(
                "select s.source_id, s.relid::text,
                        (select count(*) from pgtrickle.pgt_dependencies d where d.source_id = s.source_id)
                   from pgtrickle.pgt_sources s order by s.source_id",
                &[],
                |row| Ok((row.require::<i32>(1)?, row.require::<String>(2)?, row.require::<i64>(3)?)),
            )?;
            let sizes = capture::sizes()?;
            let mut rows = vec![];
            for (source, name, consumers) in sources {
                if let Some(size) = sizes.iter().find(|size| size.source == source) {
                    rows.push((name, format!("pgtrickle_changes.changes_{source}"), size.rows, size.bytes, consumers));
                }
            }
            Ok(rows)
        })
    })
}
