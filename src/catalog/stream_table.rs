//! `pgt_stream_tables`: one row per stream table.

use std::collections::BTreeMap;
use std::time::Duration;

use pgrx::pg_sys::Oid;
use pgrx::{JsonB, PgSqlErrorCode};

use crate::error::{Error, Result};
use crate::pg::failures;
use crate::pg::spi::{Row, Session};

/// A stream table as the catalog knows it, with the names and owner that PostgreSQL knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTable {
    pub id: i32,
    pub relid: Oid,
    pub definition: Oid,
    pub defining_query: String,
    pub canonical: String,
    /// Of what the query depends on beside its text: another digest, another definition.
    pub meaning: String,
    pub schedule: String,
    pub mode: Mode,
    pub status: Status,
    pub search_path: String,
    pub settings: BTreeMap<String, String>,
    pub full_reason: Option<String>,
    pub full_hint: Option<String>,
    pub node_count: i32,
    /// Of the compiled view: another value means that its tables must be built anew.
    pub fingerprint: String,
    /// Its rows come and go as time passes.
    pub temporal: bool,
    /// What it reads whose changes cannot be captured: it is recomputed at every turn of its schedule.
    pub polled: Vec<Oid>,
    /// How long a refresh may take, where it has a limit of its own; zero for none.
    pub timeout: Option<Duration>,
    pub schema: String,
    pub name: String,
    pub owner: Oid,
}

/// How a stream table is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Auto,
    Differential,
    Full,
}

/// Whether the scheduler refreshes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    /// By its owner.
    Paused,
    /// After too many errors.
    Suspended,
}

/// What the scheduler needs to know of a stream table.
#[derive(Clone, Debug)]
pub struct Schedulable {
    pub id: i32,
    pub name: String,
    pub schedule: String,
    pub active: bool,
    pub populated: bool,
    pub consecutive_errors: i32,
    /// Source ids, base tables and stream tables alike.
    pub sources: Vec<i32>,
    /// Stream tables that it reads.
    pub upstream: Vec<i32>,
    /// Its rows come and go as time passes.
    pub temporal: bool,
    /// It reads what cannot report its changes.
    pub polls: bool,
    /// What its last refresh took, in milliseconds.
    pub took_ms: Option<f64>,
}

impl Mode {
    pub fn parse(text: &str) -> Result<Mode> {
        match text.to_ascii_uppercase().as_str() {
            "AUTO" => Ok(Mode::Auto),
            "DIFFERENTIAL" => Ok(Mode::Differential),
            "FULL" => Ok(Mode::Full),
            "IMMEDIATE" => Err(Error::new(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "refresh mode IMMEDIATE is not supported yet",
            )
            .detail("Stream tables are maintained after the writing transaction has committed.")
            .hint("Use AUTO with schedule '0s': changes become visible about a millisecond after commit.")),
            _ => Err(Error::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("invalid refresh mode \"{text}\""),
            )
            .hint("Use AUTO, DIFFERENTIAL or FULL.")),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Auto => "AUTO",
            Mode::Differential => "DIFFERENTIAL",
            Mode::Full => "FULL",
        }
    }
}

impl Status {
    pub fn parse(text: &str) -> Result<Status> {
        match text.to_ascii_uppercase().as_str() {
            "ACTIVE" => Ok(Status::Active),
            "PAUSED" => Ok(Status::Paused),
            "SUSPENDED" => Ok(Status::Suspended),
            _ => Err(Error::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("invalid status \"{text}\""))
                .hint("Use ACTIVE, PAUSED or SUSPENDED.")),
        }
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

    /// Whether it is recomputed at every turn of its schedule, whatever its sources say: it reads what cannot tell of its
    /// changes, or reads the clock in a way that its deltas do not follow.
    pub fn polls(&self) -> bool {
        !self.polled.is_empty() || self.temporal && self.full_reason.is_some()
    }

    /// The settings under which its queries run, search path included.
    pub fn evaluation(&self) -> Vec<(&str, &str)> {
        // To compile what runs for milliseconds takes longer than to run it.
        let own = [("search_path", self.search_path.as_str()), ("standard_conforming_strings", "on"), ("jit", "off")];
        own.into_iter().chain(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect()
    }
}

fn read(row: &Row) -> Result<StreamTable> {
    let JsonB(settings) = row.require(10)?;
    let settings = settings.as_object().into_iter().flatten();
    Ok(StreamTable {
        id: row.require(1)?,
        relid: row.require(2)?,
        definition: row.require(3)?,
        defining_query: row.require(4)?,
        canonical: row.require(5)?,
        schedule: row.require(6)?,
        mode: Mode::parse(&row.require::<String>(7)?)?,
        status: Status::parse(&row.require::<String>(8)?)?,
        search_path: row.require(9)?,
        settings: settings.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
        full_reason: row.get(11),
        full_hint: row.get(12),
        node_count: row.require(13)?,
        fingerprint: row.require(17)?,
        temporal: row.require(18)?,
        polled: row.require(19)?,
        meaning: row.require(20)?,
        timeout: row.get::<i32>(21).map(|limit| Duration::from_millis(limit.max(0) as u64)),
        schema: row.require(14)?,
        name: row.require(15)?,
        owner: row.require(16)?,
    })
}

/// The stream table with this id, unless it was dropped.
pub fn find(session: &Session, id: i32) -> Result<Option<StreamTable>> {
    let rows = session.query(
        "select s.pgt_id, s.pgt_relid::oid, s.definition::oid, s.defining_query, s.canonical, s.schedule,
                s.refresh_mode, s.status, s.search_path, s.settings, s.full_reason, s.full_hint, s.node_count,
                n.nspname::text, c.relname::text, c.relowner, s.fingerprint, s.temporal, s.polled::oid[], s.meaning,
                s.refresh_timeout
           from pgtrickle.pgt_stream_tables s
           join pg_catalog.pg_class c on c.oid = s.pgt_relid::oid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where s.pgt_id = $1",
        &[id.into()],
        read,
    )?;
    Ok(rows.into_iter().next())
}

/// The same; an error where it was dropped.
pub fn get(session: &Session, id: i32) -> Result<StreamTable> {
    let gone = || Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, "the stream table was dropped in the meantime");
    find(session, id)?.ok_or_else(gone)
}

/// The id of the stream table that is this relation.
pub fn id_of(session: &Session, relid: Oid) -> Result<Option<i32>> {
    let rows = session.query(
        "select pgt_id from pgtrickle.pgt_stream_tables where pgt_relid = $1",
        &[relid.into()],
        |row| row.require(1),
    )?;
    Ok(rows.into_iter().next())
}

/// A fresh id.
pub fn next_id(session: &Session) -> Result<i32> {
    let rows = session.query(
        "select nextval(pg_get_serial_sequence('pgtrickle.pgt_stream_tables', 'pgt_id'))::integer",
        &[],
        |row| row.require(1),
    )?;
    rows.into_iter().next().ok_or(Error::Bug("a sequence has a next value"))
}

/// Writes the row of a new stream table, or the new definition of an old one, whose status is not part of it.
pub fn put(session: &Session, table: &StreamTable) -> Result<()> {
    let settings: serde_json::Map<String, serde_json::Value> =
        table.settings.iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone()))).collect();
    session.execute(
        "insert into pgtrickle.pgt_stream_tables
                (pgt_id, pgt_relid, definition, defining_query, canonical, schedule, refresh_mode, status,
                 search_path, settings, full_reason, full_hint, node_count, fingerprint, temporal, polled, meaning)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::oid[]::regclass[], $17)
         on conflict (pgt_id) do update
            set (pgt_relid, definition, defining_query, canonical, schedule, refresh_mode, search_path, settings,
                 full_reason, full_hint, node_count, fingerprint, temporal, polled, meaning)
              = (excluded.pgt_relid, excluded.definition, excluded.defining_query, excluded.canonical,
                 excluded.schedule, excluded.refresh_mode, excluded.search_path, excluded.settings,
                 excluded.full_reason, excluded.full_hint, excluded.node_count, excluded.fingerprint,
                 excluded.temporal, excluded.polled, excluded.meaning)",
        &[
            table.id.into(),
            table.relid.into(),
            table.definition.into(),
            table.defining_query.as_str().into(),
            table.canonical.as_str().into(),
            table.schedule.as_str().into(),
            table.mode.as_str().into(),
            table.status.as_str().into(),
            table.search_path.as_str().into(),
            JsonB(serde_json::Value::Object(settings)).into(),
            table.full_reason.as_deref().into(),
            table.full_hint.as_deref().into(),
            table.node_count.into(),
            table.fingerprint.as_str().into(),
            table.temporal.into(),
            table.polled.clone().into(),
            table.meaning.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Stream tables whose relation was dropped.
pub fn gone(session: &Session) -> Result<Vec<i32>> {
    session.query(
        "select s.pgt_id from pgtrickle.pgt_stream_tables s
          where not exists (select from pg_catalog.pg_class c where c.oid = s.pgt_relid::oid)",
        &[],
        |row| row.require(1),
    )
}

/// Removes a stream table from the catalog, frontier and dependencies with it.
pub fn delete(session: &Session, id: i32) -> Result<()> {
    session.execute("delete from pgtrickle.pgt_refresh_history where pgt_id = $1", &[id.into()])?;
    session.execute("delete from pgtrickle.pgt_stream_tables where pgt_id = $1", &[id.into()])?;
    failures::forget(id);
    Ok(())
}

pub fn set_status(session: &Session, id: i32, status: Status) -> Result<()> {
    session.execute(
        "update pgtrickle.pgt_stream_tables set status = $2 where pgt_id = $1",
        &[id.into(), status.as_str().into()],
    )?;
    Ok(())
}

/// Gives a stream table a limit of its own for its refreshes, or takes it back.
pub fn set_timeout(session: &Session, id: i32, limit: Option<Duration>) -> Result<()> {
    let limit = limit.map(|limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
    session.execute(
        "update pgtrickle.pgt_stream_tables set refresh_timeout = $2 where pgt_id = $1",
        &[id.into(), limit.into()],
    )?;
    Ok(())
}

/// Writes down which columns of a stream table its query proves never to be NULL: to those who read it they are keys
/// and partners as columns declared NOT NULL are.
pub fn set_not_null(session: &Session, id: i32, columns: Vec<String>) -> Result<()> {
    let update = "update pgtrickle.pgt_stream_tables set not_null = $2 where pgt_id = $1";
    session.execute(update, &[id.into(), columns.into()]).map(|_| ())
}

/// Every stream table, for the scheduler.
pub fn schedulable() -> Result<Vec<Schedulable>> {
    crate::pg::spi::connect(None, |session| {
        session.query(
            "with reads(pgt_id, ids) as (
               select d.pgt_id, array_agg(u.pgt_id order by u.pgt_id)
                 from pgtrickle.pgt_stream_tables u
                 join pgtrickle.pgt_sources b on b.relid = u.pgt_relid
                 join pgtrickle.pgt_dependencies d using (source_id)
                group by d.pgt_id
             )
             select s.pgt_id, s.pgt_relid::text, s.schedule, s.status = 'ACTIVE', f.frontier is not null,
                    f.consecutive_errors,
                    array(select d.source_id from pgtrickle.pgt_dependencies d where d.pgt_id = s.pgt_id),
                    coalesce(r.ids, '{}'),
                    s.temporal, s.polled <> '{}' or s.temporal and s.full_reason is not null,
                    (select h.duration_ms from pgtrickle.pgt_refresh_history h
                      where h.pgt_id = s.pgt_id and h.error is null order by h.refresh_id desc limit 1)
               from pgtrickle.pgt_stream_tables s
               join pgtrickle.pgt_frontiers f using (pgt_id)
               join pg_catalog.pg_class c on c.oid = s.pgt_relid::oid
               left join reads r using (pgt_id)
              order by s.pgt_id",
            &[],
            |row| {
                Ok(Schedulable {
                    id: row.require(1)?,
                    name: row.require(2)?,
                    schedule: row.require(3)?,
                    active: row.require(4)?,
                    populated: row.require(5)?,
                    consecutive_errors: row.require(6)?,
                    sources: row.require(7)?,
                    upstream: row.require(8)?,
                    temporal: row.require(9)?,
                    polls: row.require(10)?,
                    took_ms: row.get(11),
                })
            },
        )
    })
}

/// What these stream tables are called; those that are gone are left out.
pub fn names(ids: &[i32]) -> Result<BTreeMap<i32, String>> {
    crate::pg::spi::connect(None, |session| {
        let named = session.query(
            "select s.pgt_id, s.pgt_relid::text from pgtrickle.pgt_stream_tables s where s.pgt_id = any ($1)",
            &[ids.to_vec().into()],
            |row| Ok((row.require(1)?, row.require(2)?)),
        )?;
        Ok(named.into_iter().collect())
    })
}
