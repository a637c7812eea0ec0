//! `pgt_sources` and `pgt_source_members`: the tables that are captured.

use pgrx::pg_sys::Oid;

use crate::error::{Error, Result};
use crate::pg::spi::{Row, Session};

/// A table, or stream table, that some stream table reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub id: i32,
    pub relid: Oid,
    /// The layout that writers use now.
    pub layout: i32,
}

/// A table whose rows are rows of a source: itself, its partitions, its inheritance children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub relid: Oid,
    /// `r`, `p`, `f`… as in `pg_class`.
    pub relkind: String,
    /// Its row trigger is a copy of its parent's.
    pub is_partition: bool,
    /// A crash empties it.
    pub is_unlogged: bool,
    /// The capture triggers on it and whatever else must not have changed since.
    pub fingerprint: String,
    /// `pg_trigger.tgenabled` of the row trigger and the TRUNCATE trigger.
    pub row: Option<String>,
    pub truncate: Option<String>,
}

impl Member {
    /// Every change of its rows is recorded.
    pub fn is_covered(&self) -> bool {
        let always = |state: &Option<String>| state.as_deref() == Some(ALWAYS);
        match self.relkind.as_str() {
            "r" => always(&self.row) && always(&self.truncate),
            "p" => always(&self.row),
            _ => false,
        }
    }
}

/// The trigger fires for replicated changes as well.
pub const ALWAYS: &str = "A";

fn read(row: &Row) -> Result<Source> {
    Ok(Source { id: row.require(1)?, relid: row.require(2)?, layout: row.require(3)? })
}

pub fn get(session: &Session, id: i32) -> Result<Option<Source>> {
    let rows = session.query(
        "select source_id, relid::oid, layout from pgtrickle.pgt_sources where source_id = $1",
        &[id.into()],
        read,
    )?;
    Ok(rows.into_iter().next())
}

pub fn find(session: &Session, relid: Oid) -> Result<Option<Source>> {
    let rows = session.query(
        "select source_id, relid::oid, layout from pgtrickle.pgt_sources where relid = $1::regclass",
        &[relid.into()],
        read,
    )?;
    Ok(rows.into_iter().next())
}

pub fn all(session: &Session) -> Result<Vec<Source>> {
    session.query("select source_id, relid::oid, layout from pgtrickle.pgt_sources order by source_id", &[], read)
}

/// A new source, still without a layout.
pub fn insert(session: &Session, relid: Oid) -> Result<Source> {
    let rows = session.query(
        "insert into pgtrickle.pgt_sources (relid, layout) values ($1::regclass, 0) returning source_id, relid::oid, layout",
        &[relid.into()],
        read,
    )?;
    rows.into_iter().next().ok_or(Error::Bug("an insert returns its row"))
}

pub fn set_layout(session: &Session, id: i32, layout: i32) -> Result<()> {
    session
        .execute("update pgtrickle.pgt_sources set layout = $2 where source_id = $1", &[id.into(), layout.into()])?;
    Ok(())
}

/// Forgets a source, its layouts and members.
pub fn delete(session: &Session, id: i32) -> Result<()> {
    session.execute("delete from pgtrickle.pgt_sources where source_id = $1", &[id.into()])?;
    Ok(())
}

/// Whether this relation is a stream table, whose changes the refresh records itself.
pub fn is_stream_table(session: &Session, relid: Oid) -> Result<bool> {
    let rows = session.query(
        "select true from pgtrickle.pgt_stream_tables where pgt_relid = $1::regclass",
        &[relid.into()],
        |_| Ok(()),
    )?;
    Ok(!rows.is_empty())
}

/// The members as they are now, parents first. The fingerprint names the triggers by oid and the
/// transaction that last touched them, and the expressions of stored generated columns, whose change
/// rewrites a table without firing a trigger; and it says whether a crash empties the table.
pub fn members(session: &Session, source: &Source) -> Result<Vec<Member>> {
    let names = trigger_names(source.id);
    session.query(
        "with recursive member(oid, depth) as (
           select $1, 0
           union
           select i.inhrelid, m.depth + 1
             from pg_catalog.pg_inherits i join member m on i.inhparent = m.oid
            where not i.inhdetachpending)
         select c.oid, c.relkind::text, c.relispartition, c.relpersistence = 'u',
                pg_catalog.concat_ws('/', r.mark, t.mark, g.mark, case c.relpersistence when 'u' then 'unlogged' end), r.state, t.state
           from (select oid, pg_catalog.min(depth) as depth from member group by oid) m
           join pg_catalog.pg_class c on c.oid = m.oid
           left join lateral (
             select pg_catalog.format('%s:%s', oid, xmin) as mark, tgenabled::text as state
               from pg_catalog.pg_trigger where tgrelid = c.oid and tgname = $2) r on true
           left join lateral (
             select pg_catalog.format('%s:%s', oid, xmin) as mark, tgenabled::text as state
               from pg_catalog.pg_trigger where tgrelid = c.oid and tgname = $3) t on true
           left join lateral (
             select pg_catalog.string_agg(d.oid::text, ',' order by d.oid) as mark
               from pg_catalog.pg_attrdef d
               join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
              where d.adrelid = c.oid and a.attgenerated = 's') g on true
          order by m.depth, c.oid",
        &[source.relid.into(), names[0].as_str().into(), names[1].as_str().into()],
        |row| {
            Ok(Member {
                relid: row.require(1)?,
                relkind: row.require(2)?,
                is_partition: row.require(3)?,
                is_unlogged: row.require(4)?,
                fingerprint: row.require(5)?,
                row: row.get(6),
                truncate: row.get(7),
            })
        },
    )
}

/// The members as they were when capture was last verified.
pub fn recorded(session: &Session, id: i32) -> Result<Vec<(Oid, String)>> {
    session.query(
        "select relid::oid, fingerprint from pgtrickle.pgt_source_members where source_id = $1",
        &[id.into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

pub fn record(session: &Session, id: i32, members: &[Member]) -> Result<()> {
    session.execute("delete from pgtrickle.pgt_source_members where source_id = $1", &[id.into()])?;
    for member in members {
        session.execute(
            "insert into pgtrickle.pgt_source_members values ($1, $2::regclass, $3)",
            &[id.into(), member.relid.into(), member.fingerprint.as_str().into()],
        )?;
    }
    Ok(())
}

/// Every capture trigger of a source with the table it is on, member or not, copies on partitions left out.
pub fn triggers(session: &Session, id: i32) -> Result<Vec<(Oid, Oid)>> {
    session.query(
        "select t.oid, t.tgrelid from pg_catalog.pg_trigger t
          where t.tgname = any ($1) and t.tgparentid = 0
            and t.tgfoid = 'pgtrickle.capture()'::pg_catalog.regprocedure",
        &[trigger_names(id).to_vec().into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

/// The trigger function.
pub fn capture_function(session: &Session) -> Result<Oid> {
    let rows =
        session.query("select 'pgtrickle.capture()'::pg_catalog.regprocedure::oid", &[], |row| row.require(1))?;
    rows.into_iter().next().ok_or(Error::Bug("a constant is a row"))
}

/// The names of a source's row trigger and TRUNCATE trigger.
pub fn trigger_names(id: i32) -> [String; 2] {
    [format!("pgtrickle_capture_{id}"), format!("pgtrickle_truncate_{id}")]
}
