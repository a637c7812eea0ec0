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
    /// The triggers that we made on it, as they were made: whatever else has their names, or calls their function, is none.
    pub row: Option<CaptureTrigger>,
    pub truncate: Option<CaptureTrigger>,
}

/// A capture trigger of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureTrigger {
    pub oid: Oid,
    pub name: String,
    /// `pg_trigger.tgenabled`.
    pub state: String,
}

impl Member {
    /// Whether a trigger is one of ours on it.
    pub fn fires(&self, trigger: Oid) -> bool {
        self.row.iter().chain(&self.truncate).any(|ours| ours.oid == trigger)
    }

    /// Every change of its rows is recorded.
    pub fn is_covered(&self) -> bool {
        let always = |it: &Option<CaptureTrigger>| it.as_ref().is_some_and(|trigger| trigger.state == ALWAYS);
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
///
/// A trigger counts if it is recorded as ours, or is a copy on a partition of one that is, and if it is still what we made:
/// CREATE OR REPLACE TRIGGER keeps the oid.
pub fn members(session: &Session, source: &Source) -> Result<Vec<Member>> {
    session.query(
        "with recursive member(oid, depth) as (
           select $1, 0
           union
           select i.inhrelid, m.depth + 1
             from pg_catalog.pg_inherits i join member m on i.inhparent = m.oid
            where not i.inhdetachpending),
         ours as (
           select t.oid, t.tgrelid, t.tgtype, t.tgname::text as name, t.tgenabled::text as state,
                  pg_catalog.format('%s:%s', t.oid, t.xmin) as mark
             from member m
             join pg_catalog.pg_trigger t on t.tgrelid = m.oid
            where t.tgfoid = 'pgtrickle.capture()'::pg_catalog.regprocedure
              and t.tgargs = ($2::text::bytea || decode('00', 'hex'))
              and t.tgtype in (29, 32) and t.tgqual is null and t.tgattr = '' and t.tgconstraint = 0
              and exists (
                select from pgtrickle.pgt_source_members k left join pg_catalog.pg_trigger p on p.oid = t.tgparentid
                 where k.source_id = $2
                   and (t.oid in (k.row_trigger, k.truncate_trigger)
                        or p.tgfoid = t.tgfoid and p.tgargs = t.tgargs and (p.oid = k.row_trigger or p.tgparentid <> 0))))
         select c.oid, c.relkind::text, c.relispartition, c.relpersistence = 'u',
                pg_catalog.concat_ws('/', r.mark, t.mark, g.mark, case c.relpersistence when 'u' then 'unlogged' end),
                r.oid, r.name, r.state, t.oid, t.name, t.state
           from (select oid, pg_catalog.min(depth) as depth from member group by oid) m
           join pg_catalog.pg_class c on c.oid = m.oid
           left join lateral (select * from ours where tgrelid = c.oid and tgtype = 29 limit 1) r on true
           left join lateral (select * from ours where tgrelid = c.oid and tgtype = 32 limit 1) t on true
           left join lateral (
             select pg_catalog.string_agg(d.oid::text, ',' order by d.oid) as mark
               from pg_catalog.pg_attrdef d
               join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
              where d.adrelid = c.oid and a.attgenerated = 's') g on true
          order by m.depth, c.oid",
        &[source.relid.into(), source.id.into()],
        |row| {
            let trigger = |at: i32| {
                let found = row.get(at).zip(row.get(at + 1)).zip(row.get(at + 2));
                found.map(|((oid, name), state)| CaptureTrigger { oid, name, state })
            };
            Ok(Member {
                relid: row.require(1)?,
                relkind: row.require(2)?,
                is_partition: row.require(3)?,
                is_unlogged: row.require(4)?,
                fingerprint: row.require(5)?,
                row: trigger(6),
                truncate: trigger(9),
            })
        },
    )
}

/// Whether a trigger that fires on `table` is one that we made for the source, or a copy of it on a partition.
pub fn is_ours(session: &Session, id: i32, table: Oid, trigger: Oid) -> Result<bool> {
    let found = session.query(
        "with recursive above(oid, tgrelid, tgparentid) as (
           select t.oid, t.tgrelid, t.tgparentid from pg_catalog.pg_trigger t where t.oid = $3 and t.tgrelid = $2
           union all
           select p.oid, p.tgrelid, p.tgparentid from above a join pg_catalog.pg_trigger p on p.oid = a.tgparentid)
         select true
           from above a
           join pgtrickle.pgt_source_members k on k.source_id = $1 and k.relid = a.tgrelid::regclass
                                               and a.oid in (k.row_trigger, k.truncate_trigger)",
        &[id.into(), table.into(), trigger.into()],
        |_| Ok(()),
    )?;
    Ok(!found.is_empty())
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
        let oid = |trigger: &Option<CaptureTrigger>| trigger.as_ref().map(|trigger| trigger.oid);
        session.execute(
            "insert into pgtrickle.pgt_source_members values ($1, $2::regclass, $3, $4, $5)",
            &[
                id.into(),
                member.relid.into(),
                member.fingerprint.as_str().into(),
                oid(&member.row).into(),
                oid(&member.truncate).into(),
            ],
        )?;
    }
    Ok(())
}

/// Records a trigger that was just made on a member.
pub fn record_trigger(session: &Session, id: i32, table: Oid, trigger: Oid, truncate: bool) -> Result<()> {
    let args = [id.into(), table.into(), trigger.into(), truncate.into()];
    session.execute(
        "insert into pgtrickle.pgt_source_members
         values ($1, $2::regclass, '', case when not $4 then $3 end, case when $4 then $3 end)
         on conflict (source_id, relid) do update
            set row_trigger = case when $4 then pgt_source_members.row_trigger else $3 end,
                truncate_trigger = case when $4 then $3 else pgt_source_members.truncate_trigger end",
        &args,
    )?;
    Ok(())
}

/// Makes what was recorded of the members differ from whatever they are.
pub fn distrust(session: &Session, id: i32) -> Result<()> {
    session.execute("update pgtrickle.pgt_source_members set fingerprint = '' where source_id = $1", &[id.into()])?;
    Ok(())
}

/// Every trigger that would capture for a source with the table it is on, ours or not, copies on partitions left out.
pub fn triggers(session: &Session, id: i32) -> Result<Vec<(Oid, Oid)>> {
    session.query(
        "select t.oid, t.tgrelid from pg_catalog.pg_trigger t
          where t.tgfoid = 'pgtrickle.capture()'::pg_catalog.regprocedure and t.tgparentid = 0
            and t.tgargs = ($1::text::bytea || decode('00', 'hex'))",
        &[id.into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

/// The trigger function.
pub fn capture_function(session: &Session) -> Result<Oid> {
    let rows =
        session.query("select 'pgtrickle.capture()'::pg_catalog.regprocedure::oid", &[], |row| row.require(1))?;
    rows.into_iter().next().ok_or(Error::Bug("a constant is a row"))
}

/// What a source's row trigger and TRUNCATE trigger are called, where these names are free.
pub fn trigger_names(id: i32) -> [String; 2] {
    [format!("pgtrickle_capture_{id}"), format!("pgtrickle_truncate_{id}")]
}
