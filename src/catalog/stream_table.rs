//! `pgt_stream_tables`: one row per stream table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ivm::moment::Moving;
use ivm::schedule::{Micros, Schedule, Table};
use ivm::target::{self, Scheduled};
use pgrx::JsonB;
use pgrx::PgSqlErrorCode::{ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_UNDEFINED_TABLE};
use pgrx::pg_sys::Oid;
use serde::{Deserialize, Serialize};

use crate::catalog::{dependency, ticks};
use crate::error::{Error, Result};
use crate::guc;
use crate::pg::spi::{self, Session};
use crate::pg::{counters, event, failures};

/// A stream table: its row, with the names and the owner that PostgreSQL has for its relation. Serde reads and writes the
/// row, so that this is the one description of its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTable {
    #[serde(rename = "pgt_id")]
    pub id: i32,
    #[serde(rename = "pgt_relid")]
    pub relid: Oid,
    /// The view that holds the defining query.
    pub definition: Oid,
    pub defining_query: String,
    pub canonical: String,
    /// Digest of the objects that the query depends on: another digest means another definition.
    pub definition_digest: String,
    pub schedule: String,
    #[serde(rename = "refresh_mode")]
    pub mode: Mode,
    pub status: Status,
    pub search_path: String,
    pub settings: BTreeMap<String, String>,
    pub full_reason: Option<String>,
    pub full_hint: Option<String>,
    pub node_count: i32,
    /// Digest of the compiled view: another digest means that its tables must be created anew.
    pub fingerprint: String,
    /// Columns that the query proves never to be NULL. Readers may use them as keys, like columns declared NOT NULL.
    pub not_null: Vec<String>,
    /// Rows are inserted and deleted as time passes.
    pub temporal: bool,
    /// Sources whose changes cannot be captured: the table is recomputed on its schedule.
    pub polled: Vec<Oid>,
    /// Limit for a refresh in milliseconds, 0 for none; `None` for that of the setting.
    pub refresh_timeout: Option<u32>,
    /// The stream tables of one group show one moment.
    pub refresh_group: Option<String>,
    /// Queries read it with its pending changes.
    pub live: bool,
    pub schema: String,
    pub name: String,
    pub owner: Oid,
}

/// How a stream table is refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    #[default]
    Auto,
    Differential,
    Full,
    /// The transaction that changes a source maintains it.
    Immediate,
}

/// Whether the scheduler refreshes a stream table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    #[default]
    Active,
    /// Its owner paused it.
    Paused,
    /// It failed too often.
    Suspended,
}

impl Mode {
    pub fn parse(text: &str) -> Result<Mode> {
        let modes = [Mode::Auto, Mode::Differential, Mode::Full, Mode::Immediate];
        modes.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            Error::new(ERRCODE_INVALID_PARAMETER_VALUE, format!("invalid refresh mode \"{text}\""))
                .hint("Use AUTO, DIFFERENTIAL, FULL or IMMEDIATE.")
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Auto => "AUTO",
            Mode::Differential => "DIFFERENTIAL",
            Mode::Full => "FULL",
            Mode::Immediate => "IMMEDIATE",
        }
    }

    /// Whether a query that can only be recomputed is refused.
    pub fn only_follows(self) -> bool {
        matches!(self, Mode::Differential | Mode::Immediate)
    }
}

impl Status {
    pub fn parse(text: &str) -> Result<Status> {
        let statuses = [Status::Active, Status::Paused, Status::Suspended];
        statuses.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            Error::new(ERRCODE_INVALID_PARAMETER_VALUE, format!("invalid status \"{text}\""))
                .hint("Use ACTIVE, PAUSED or SUSPENDED.")
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "ACTIVE",
            Status::Paused => "PAUSED",
            Status::Suspended => "SUSPENDED",
        }
    }
}

impl StreamTable {
    /// `schema.name`, quoted where needed.
    pub fn display(&self) -> String {
        format!("{}.{}", pgrx::spi::quote_identifier(&self.schema), pgrx::spi::quote_identifier(&self.name))
    }

    /// Whether it is recomputed whenever its schedule is due, without regard to change buffers: changes of its sources cannot
    /// be captured, or it reads the clock in a way that no delta follows.
    pub fn polls(&self) -> bool {
        !self.polled.is_empty() || self.temporal && self.full_reason.is_some()
    }

    /// Whether the transactions that change its sources maintain it.
    pub fn is_immediate(&self) -> bool {
        self.mode == Mode::Immediate
    }

    /// Its own limit for a refresh; zero for none.
    pub fn timeout(&self) -> Option<Duration> {
        self.refresh_timeout.map(|limit| Duration::from_millis(limit.into()))
    }

    /// The settings under which its queries run, search path included.
    pub fn evaluation(&self) -> Vec<(&str, &str)> {
        // JIT compilation takes longer than most of these queries run.
        let own = [("search_path", self.search_path.as_str()), ("standard_conforming_strings", "on"), ("jit", "off")];
        own.into_iter().chain(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect()
    }
}

/// The stream table with this id, unless it was dropped.
pub fn find(session: &Session, id: i32) -> Result<Option<StreamTable>> {
    session.first(
        "select to_jsonb(s) || jsonb_build_object(
                  'pgt_relid', s.pgt_relid::oid::bigint, 'definition', s.definition::oid::bigint,
                  'polled', s.polled::oid[]::bigint[],
                  'schema', n.nspname, 'name', c.relname, 'owner', c.relowner::bigint)
           from pgtrickle.pgt_stream_tables s
           join pg_class c on c.oid = s.pgt_relid::oid
           join pg_namespace n on n.oid = c.relnamespace
          where s.pgt_id = $1",
        &[id.into()],
        |row| {
            let JsonB(table) = row.require(1)?;
            serde_json::from_value(table).map_err(|_| Error::Bug("a stream table has the columns of its catalog table"))
        },
    )
}

/// Its name for messages, or its number where it cannot be read.
pub fn display(id: i32) -> String {
    let table = spi::connect(None, |session| find(session, id));
    table.ok().flatten().map_or_else(|| id.to_string(), |table| table.display())
}

/// The same; an error where it was dropped.
pub fn get(session: &Session, id: i32) -> Result<StreamTable> {
    let dropped = || Error::new(ERRCODE_UNDEFINED_TABLE, "the stream table was dropped concurrently");
    find(session, id)?.ok_or_else(dropped)
}

/// The id of the stream table that is this relation.
pub fn id_of(session: &Session, relid: Oid) -> Result<Option<i32>> {
    let query = "select pgt_id from pgtrickle.pgt_stream_tables where pgt_relid = $1";
    session.first(query, &[relid.into()], |row| row.require(1))
}

/// A new id: neither one of another stream table, nor in the name of a definition, which a restore may have left.
pub fn next_id(session: &Session) -> Result<i32> {
    loop {
        let (id, in_use): (i32, bool) = session.one(
            "select n.id, exists (select from pgtrickle.pgt_stream_tables s where s.pgt_id = n.id)
                          or to_regclass('pgtrickle_state.q_' || n.id) is not null
               from (select nextval(pg_get_serial_sequence('pgtrickle.pgt_stream_tables', 'pgt_id'))::integer offset 0) n(id)",
            &[],
            |row| Ok((row.require(1)?, row.require(2)?)),
        )?;
        if !in_use {
            return Ok(id);
        }
    }
}

macro_rules! definition_columns {
    () => {
        "pgt_relid, definition, defining_query, canonical, definition_digest, schedule, refresh_mode, search_path, settings,
         full_reason, full_hint, node_count, fingerprint, not_null, temporal, polled"
    };
}

/// Inserts a new stream table, or updates the definition of an existing one without its status, timeout, group and how it is read.
pub fn put(session: &Session, table: &StreamTable) -> Result<()> {
    let row = serde_json::to_value(table).map_err(|_| Error::Bug("a stream table is a JSON object"))?;
    let put = |sql| event::own(|| session.run(sql, &[JsonB(row).into()]));
    dependency::announce()?;
    put(concat!(
        "with new as (select * from jsonb_populate_record(null::pgtrickle.pgt_stream_tables, $1))
             insert into pgtrickle.pgt_stream_tables (pgt_id, status, refresh_timeout, refresh_group, live, ",
        definition_columns!(),
        ") select pgt_id, status, refresh_timeout, refresh_group, live, ",
        definition_columns!(),
        " from new on conflict (pgt_id) do update set (",
        definition_columns!(),
        ") = (select ",
        definition_columns!(),
        " from new)"
    ))
}

/// Stream tables whose relation was dropped.
pub fn dropped(session: &Session) -> Result<Vec<i32>> {
    session.query(
        "select s.pgt_id from pgtrickle.pgt_stream_tables s
          where not exists (select from pg_catalog.pg_class c where c.oid = s.pgt_relid::oid)",
        &[],
        |row| row.require(1),
    )
}

/// Removes a stream table from the catalog, frontier and dependencies with it.
pub fn delete(session: &Session, id: i32) -> Result<()> {
    session.run("delete from pgtrickle.pgt_refresh_history where pgt_id = $1", &[id.into()])?;
    session.run("delete from pgtrickle.pgt_stream_tables where pgt_id = $1", &[id.into()])?;
    ticks::delete_unnamed(session)?;
    failures::forget(id);
    Ok(())
}

pub fn set_status(session: &Session, id: i32, status: Status) -> Result<()> {
    dependency::announce()?;
    let update = "update pgtrickle.pgt_stream_tables set status = $2 where pgt_id = $1";
    session.run(update, &[id.into(), status.as_str().into()])
}

/// Sets the limit for refreshes of a stream table; `None` for that of the setting.
pub fn set_timeout(session: &Session, id: i32, limit: Option<Duration>) -> Result<()> {
    let limit = limit.map(|limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
    let update = "update pgtrickle.pgt_stream_tables set refresh_timeout = $2 where pgt_id = $1";
    session.run(update, &[id.into(), limit.into()])
}

pub fn set_live(session: &Session, id: i32, live: bool) -> Result<()> {
    dependency::announce()?;
    let update = "update pgtrickle.pgt_stream_tables set live = $2 where pgt_id = $1";
    session.run(update, &[id.into(), live.into()])
}

/// The first of these stream tables that workers do not refresh.
pub fn first_inactive(session: &Session, ids: &[i32]) -> Result<Option<StreamTable>> {
    let query = "select pgt_id from pgtrickle.pgt_stream_tables where pgt_id = any ($1) and status <> 'ACTIVE'
                  order by pgt_id limit 1";
    let id: Option<i32> = session.first(query, &[ids.to_vec().into()], |row| row.require(1))?;
    id.map_or(Ok(None), |id| find(session, id))
}

/// The stream tables of a refresh group.
pub fn of_group(session: &Session, group: &str) -> Result<Vec<StreamTable>> {
    let query = "select pgt_id from pgtrickle.pgt_stream_tables where refresh_group = $1 order by pgt_id";
    let ids: Vec<i32> = session.query(query, &[group.into()], |row| row.require(1))?;
    ids.into_iter().map(|id| get(session, id)).collect()
}

/// Puts stream tables into a refresh group, or into none.
pub fn set_group(session: &Session, ids: &[i32], group: Option<&str>) -> Result<()> {
    dependency::announce()?;
    let update = "update pgtrickle.pgt_stream_tables set refresh_group = $2 where pgt_id = any ($1)";
    session.run(update, &[ids.to_vec().into(), group.into()])
}

/// The schedule that this text says. It was checked when it was set, so only in a damaged catalog it says none.
fn parse_schedule(id: i32, text: &str) -> Schedule {
    Schedule::parse(text).unwrap_or_else(|error| {
        let text = format!("stream table {id} is refreshed by the schedule \"calculated\": {error}");
        counters::log(counters::database().map(|row| &row.messages), &text);
        Schedule::Calculated
    })
}

macro_rules! polls {
    () => {
        "s.polled <> '{}' or s.temporal and s.full_reason is not null"
    };
}

/// The stream tables that writers maintain.
pub fn immediate(session: &Session) -> Result<BTreeSet<i32>> {
    let query = "select pgt_id from pgtrickle.pgt_stream_tables where refresh_mode = 'IMMEDIATE'";
    Ok(session.query(query, &[], |row| row.require(1))?.into_iter().collect())
}

/// Every stream table, as far as the moment that it shows is concerned; not those that writers maintain.
pub fn moving(session: &Session) -> Result<BTreeMap<i32, Moving>> {
    let query = concat!(
        "select s.pgt_id, s.schedule, s.status = 'ACTIVE', ",
        polls!(),
        ", s.refresh_group from pgtrickle.pgt_stream_tables s where s.refresh_mode <> 'IMMEDIATE'"
    );
    let rows = session.query(query, &[], |row| {
        let id = row.require(1)?;
        let schedule = parse_schedule(id, row.require(2)?);
        Ok((id, Moving { schedule, active: row.require(3)?, polls: row.require(4)?, group: row.get(5) }))
    })?;
    Ok(rows.into_iter().collect())
}

/// Every stream table with its name, for the scheduler.
pub fn schedulable() -> Result<Vec<(String, Table)>> {
    spi::connect(None, |session| {
        session.query(
            concat!("with reads(pgt_id, ids) as (
               select d.pgt_id, array_agg(u.pgt_id order by u.pgt_id)
                 from pgtrickle.pgt_stream_tables u
                 join pgtrickle.pgt_sources b on b.relid = u.pgt_relid
                 join pgtrickle.pgt_dependencies d using (source_id)
                where u.refresh_mode <> 'IMMEDIATE'
                group by d.pgt_id
             )
             select s.pgt_id, s.pgt_relid::text, s.schedule, s.status = 'ACTIVE', f.frontier is not null,
                    f.consecutive_errors,
                    array(select d.source_id from pgtrickle.pgt_dependencies d where d.pgt_id = s.pgt_id),
                    coalesce(r.ids, '{}'),
                    s.temporal, ", polls!(), ",
                    (select h.duration_ms from pgtrickle.pgt_refresh_history h
                      where h.pgt_id = s.pgt_id and h.error is null order by h.refresh_id desc limit 1),
                    case when f.reinitialize is not null then extract(epoch from v.data_timestamp) * 1e6 end::bigint, s.refresh_group
               from pgtrickle.pgt_stream_tables s
               join pgtrickle.pgt_frontiers f using (pgt_id)
               join pgtrickle.pgt_seen v using (pgt_id)
               join pg_catalog.pg_class c on c.oid = s.pgt_relid::oid
               left join reads r using (pgt_id)
              order by s.pgt_id"),
            &[],
            |row| {
                let id = row.require(1)?;
                let table = Table {
                    id,
                    schedule: parse_schedule(id, row.require(3)?),
                    active: row.require(4)?,
                    populated: row.require(5)?,
                    errors: row.require(6)?,
                    sources: row.require(7)?,
                    upstream: row.require(8)?,
                    temporal: row.require(9)?,
                    polls: row.require(10)?,
                    took: row.get(11).map(|ms: f64| (ms * 1e3) as Micros),
                    outdated_since: row.get(12),
                    group: row.get(13),
                };
                Ok((row.require(2)?, table))
            },
        )
    })
}

/// The greatest age of their data by the schedules of these stream tables, where they have one.
pub fn targets(tables: &[(String, Table)]) -> Result<BTreeMap<i32, Micros>> {
    let scheduled = tables.iter().map(|(_, it)| {
        let (schedule, reads) = (it.schedule.clone(), it.upstream.clone());
        Scheduled { table: it.id, schedule, reads }
    });
    Ok(target::targets(&scheduled.collect::<Vec<_>>(), &guc::default_schedule())?)
}

/// The names of these stream tables, without those that were dropped.
pub fn names(ids: &[i32]) -> Result<BTreeMap<i32, String>> {
    spi::connect(None, |session| {
        let named = session.query(
            "select s.pgt_id, s.pgt_relid::text from pgtrickle.pgt_stream_tables s where s.pgt_id = any ($1)",
            &[ids.to_vec().into()],
            |row| Ok((row.require(1)?, row.require(2)?)),
        )?;
        Ok(named.into_iter().collect())
    })
}
