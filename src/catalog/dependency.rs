//! `pgt_dependencies`: which stream table reads which source.

use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// A source as one stream table reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub source: i32,
    pub relid: Oid,
    pub columns: Vec<String>,
    /// The id of the stream table that this source is, if it is one.
    pub stream_table: Option<i32>,
}

pub fn insert(session: &Session, id: i32, source: i32, columns: &[String]) -> Result<()> {
    session.execute(
        "insert into pgtrickle.pgt_dependencies values ($1, $2, $3)
         on conflict (pgt_id, source_id) do update set columns = excluded.columns",
        &[id.into(), source.into(), columns.to_vec().into()],
    )?;
    Ok(())
}

/// What stream table `id` reads.
pub fn of(session: &Session, id: i32) -> Result<Vec<Dependency>> {
    session.query(
        "select d.source_id, s.relid::oid, d.columns, t.pgt_id
           from pgtrickle.pgt_dependencies d
           join pgtrickle.pgt_sources s on s.source_id = d.source_id
           left join pgtrickle.pgt_stream_tables t on t.pgt_relid::oid = s.relid::oid
          where d.pgt_id = $1
          order by d.source_id",
        &[id.into()],
        |row| {
            Ok(Dependency {
                source: row.require(1)?,
                relid: row.require(2)?,
                columns: row.require(3)?,
                stream_table: row.get(4),
            })
        },
    )
}

/// A stream table that reads another.
pub struct Edge {
    pub reader: i32,
    pub read: i32,
    /// The source that this is to its readers.
    pub source: i32,
    /// Whether it polls.
    pub polls: bool,
}

/// Every edge of the graph.
pub fn edges(session: &Session) -> Result<Vec<Edge>> {
    session.query(
        "select d.pgt_id, t.pgt_id, d.source_id, t.polled <> '{}' or t.temporal and t.full_reason is not null
           from pgtrickle.pgt_dependencies d
           join pgtrickle.pgt_sources s on s.source_id = d.source_id
           join pgtrickle.pgt_stream_tables t on t.pgt_relid::oid = s.relid::oid",
        &[],
        |row| {
            let (reader, read, source, polls) = (row.require(1)?, row.require(2)?, row.require(3)?, row.require(4)?);
            Ok(Edge { reader, read, source, polls })
        },
    )
}

/// A stream table, or a table that one reads, as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub relid: Oid,
    /// `schema.name`, quoted where needed.
    pub name: String,
    /// `stream table`, `table`, `partitioned table`, `foreign table` or `materialized view`; views are expanded.
    pub kind: String,
    /// Of a stream table.
    pub schedule: Option<String>,
    pub status: Option<String>,
}

/// Every stream table and every source.
pub fn relations(session: &Session) -> Result<Vec<Relation>> {
    session.query(
        "select c.oid, c.oid::regclass::text,
                case when t.pgt_id is not null then 'stream table'
                     when c.relkind = 'p' then 'partitioned table'
                     when c.relkind = 'f' then 'foreign table'
                     when c.relkind = 'm' then 'materialized view'
                     else 'table' end,
                t.schedule, t.status
           from (select pgt_relid::oid as oid from pgtrickle.pgt_stream_tables
                 union select unnest(polled)::oid from pgtrickle.pgt_stream_tables
                 union select relid::oid from pgtrickle.pgt_sources) r
           join pg_catalog.pg_class c using (oid)
           left join pgtrickle.pgt_stream_tables t on t.pgt_relid::oid = c.oid",
        &[],
        |row| {
            Ok(Relation {
                relid: row.require(1)?,
                name: row.require(2)?,
                kind: row.require(3)?,
                schedule: row.get(4),
                status: row.get(5),
            })
        },
    )
}

/// Each stream table with each table that it reads, named as by [`relations`].
pub fn reads(session: &Session) -> Result<Vec<(String, String)>> {
    session.query(
        "select t.pgt_relid::text, s.relid::text
           from pgtrickle.pgt_dependencies d
           join pgtrickle.pgt_stream_tables t using (pgt_id)
           join pgtrickle.pgt_sources s using (source_id)
         union
         select pgt_relid::text, unnest(polled)::text from pgtrickle.pgt_stream_tables",
        &[],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

/// The ids of the stream tables that read a source.
pub fn readers(session: &Session, source: i32) -> Result<Vec<i32>> {
    session.query("select pgt_id from pgtrickle.pgt_dependencies where source_id = $1", &[source.into()], |row| {
        row.require(1)
    })
}

/// Forgets everything that `id` reads; the sources that nobody reads any more.
pub fn delete(session: &Session, id: i32) -> Result<Vec<i32>> {
    session.execute("delete from pgtrickle.pgt_dependencies where pgt_id = $1", &[id.into()])?;
    orphans(session)
}

/// Sources that no stream table reads.
pub fn orphans(session: &Session) -> Result<Vec<i32>> {
    session.query(
        "select s.source_id from pgtrickle.pgt_sources s
          where not exists (select from pgtrickle.pgt_dependencies d where d.source_id = s.source_id)",
        &[],
        |row| row.require(1),
    )
}
