//! `pgt_dependencies`: which stream table reads which source.

use ivm::schedule::Schedule;
use ivm::sql::ident::QName;
use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;
use crate::pg::{object, relation, wake};

/// A source that a stream table reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub source: i32,
    pub relid: Oid,
    pub columns: Vec<String>,
    /// The id of this source as a stream table, if it is one.
    pub stream_table: Option<i32>,
}

pub fn insert(session: &Session, id: i32, source: i32, columns: &[String]) -> Result<()> {
    session.run(
        "insert into pgtrickle.pgt_dependencies values ($1, $2, $3)
         on conflict (pgt_id, source_id) do update set columns = excluded.columns",
        &[id.into(), source.into(), columns.to_vec().into()],
    )
}

/// The sources of stream table `id`.
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

/// Tells every backend, at commit, that the graph of stream tables changed, or which of them show one moment.
pub fn announce() -> Result<()> {
    wake::definitions_change();
    relation::invalidate(object::oid(&QName::qualified("pgtrickle", "pgt_dependencies"))?);
    Ok(())
}

/// A stream table that reads another.
pub struct Edge {
    pub reader: i32,
    pub read: i32,
    /// The id of the read table as a source.
    pub source: i32,
}

/// Every edge of the graph.
pub fn edges(session: &Session) -> Result<Vec<Edge>> {
    session.query(
        "select d.pgt_id, t.pgt_id, d.source_id
           from pgtrickle.pgt_dependencies d
           join pgtrickle.pgt_sources s on s.source_id = d.source_id
           join pgtrickle.pgt_stream_tables t on t.pgt_relid::oid = s.relid::oid",
        &[],
        |row| Ok(Edge { reader: row.require(1)?, read: row.require(2)?, source: row.require(3)? }),
    )
}

/// A stream table, with what decides whether it is behind.
pub struct Readable {
    pub id: i32,
    pub relation: Oid,
    /// It is refreshed as soon as something has changed.
    pub at_once: bool,
    /// The sources below it that are no stream tables.
    pub sources: Vec<i32>,
    /// The stream tables below it, and itself.
    pub tables: Vec<i32>,
    /// Queries read it live.
    pub live: bool,
    /// Writers maintain it, unless it is suspended.
    pub immediate: bool,
    /// It changes while its sources do not.
    pub timed: bool,
}

/// All stream tables.
pub fn all_readable(session: &Session) -> Result<Vec<Readable>> {
    session.query(
        "with recursive below(pgt_id, source_id) as (
           select pgt_id, source_id from pgtrickle.pgt_dependencies
            union
           select b.pgt_id, d.source_id
             from below b
             join pgtrickle.pgt_sources s on s.source_id = b.source_id
             join pgtrickle.pgt_stream_tables t on t.pgt_relid::oid = s.relid::oid
             join pgtrickle.pgt_dependencies d on d.pgt_id = t.pgt_id)
         select t.pgt_relid::oid, t.pgt_id, t.schedule,
                array(select b.source_id
                        from below b
                        join pgtrickle.pgt_sources s on s.source_id = b.source_id
                       where b.pgt_id = t.pgt_id
                         and not exists (select from pgtrickle.pgt_stream_tables u where u.pgt_relid::oid = s.relid::oid)),
                array(select u.pgt_id
                        from below b
                        join pgtrickle.pgt_sources s on s.source_id = b.source_id
                        join pgtrickle.pgt_stream_tables u on u.pgt_relid::oid = s.relid::oid
                       where b.pgt_id = t.pgt_id) || t.pgt_id,
                t.live and t.refresh_mode <> 'IMMEDIATE', t.temporal or t.polled <> '{}',
                t.refresh_mode = 'IMMEDIATE' and t.status = 'ACTIVE'
           from pgtrickle.pgt_stream_tables t",
        &[],
        |row| {
            let schedule = row.require::<String>(3)?;
            let at_once = matches!(Schedule::parse(&schedule), Ok(Schedule::Every(0)));
            Ok(Readable {
                relation: row.require(1)?,
                id: row.require(2)?,
                at_once,
                sources: row.require(4)?,
                tables: row.require(5)?,
                live: row.require(6)?,
                timed: row.require(7)?,
                immediate: row.require(8)?,
            })
        },
    )
}

/// The ids of the stream tables that read a source.
pub fn readers(session: &Session, source: i32) -> Result<Vec<i32>> {
    session.query("select pgt_id from pgtrickle.pgt_dependencies where source_id = $1", &[source.into()], |row| {
        row.require(1)
    })
}

/// Those of them that workers refresh: the others need no change rows but those of the transaction that maintains them.
pub fn deferred_readers(session: &Session, source: i32) -> Result<Vec<i32>> {
    let query = "select d.pgt_id from pgtrickle.pgt_dependencies d join pgtrickle.pgt_stream_tables t using (pgt_id)
                  where d.source_id = $1 and t.refresh_mode <> 'IMMEDIATE'";
    session.query(query, &[source.into()], |row| row.require(1))
}

/// The stream tables that read one of these tables, with their relations.
pub fn readers_of_tables(session: &Session, tables: &[Oid]) -> Result<Vec<(i32, Oid)>> {
    session.query(
        "select distinct t.pgt_id, t.pgt_relid::oid
           from pgtrickle.pgt_sources s
           join pgtrickle.pgt_dependencies d using (source_id)
           join pgtrickle.pgt_stream_tables t using (pgt_id)
          where s.relid = any ($1::oid[]::regclass[])",
        &[tables.to_vec().into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

/// Deletes the dependencies of `id`.
pub fn delete(session: &Session, id: i32) -> Result<()> {
    session.run("delete from pgtrickle.pgt_dependencies where pgt_id = $1", &[id.into()])
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
