//! `pgt_dependencies`: which stream table reads which source.

use ivm::sql::ident::QName;
use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;
use crate::pg::{object, relation};

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

/// The ids of the stream tables that read a source.
pub fn readers(session: &Session, source: i32) -> Result<Vec<i32>> {
    session.query("select pgt_id from pgtrickle.pgt_dependencies where source_id = $1", &[source.into()], |row| {
        row.require(1)
    })
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
