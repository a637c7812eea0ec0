//! `pgt_sources` and `pgt_source_members`: the tables that are captured.

use ivm::sql::ident::QName;
use pgrx::pg_sys::{Oid, TransactionId};

use crate::error::Result;
use crate::pg::spi::{Row, Session};

/// A table, or stream table, that some stream table reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub id: i32,
    pub relid: Oid,
    /// The layout that writers use; 0 for none yet.
    pub layout: i32,
    /// A transaction that changes it maintains stream tables before it ends.
    pub immediate: bool,
}

macro_rules! columns {
    () => {
        "source_id, relid::oid, layout,
         exists (select from pgtrickle.pgt_dependencies d join pgtrickle.pgt_stream_tables t using (pgt_id)
                  where d.source_id = s.source_id and t.refresh_mode = 'IMMEDIATE')"
    };
}

/// A table whose rows are rows of a source: itself, its partitions, its inheritance children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub relid: Oid,
    /// `r`, `p`, `f`… as in `pg_class`.
    pub relkind: String,
    /// Its row trigger is a copy of its parent's.
    pub is_partition: bool,
    /// Unlogged: a crash empties it.
    pub is_unlogged: bool,
    /// Identifies the capture triggers on it and all else whose change may let changes pass unrecorded.
    pub fingerprint: String,
    /// The triggers that we made on it, where they are unaltered. A trigger of a user with the same name or function is none.
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

    /// Whether every change of its rows is recorded.
    pub fn is_covered(&self) -> bool {
        let always = |it: &Option<CaptureTrigger>| it.as_ref().is_some_and(|trigger| trigger.state == ALWAYS);
        match self.relkind.as_str() {
            "r" => always(&self.row) && always(&self.truncate),
            "p" => always(&self.row),
            _ => false,
        }
    }
}

/// The state of a trigger that fires for replicated changes as well.
pub const ALWAYS: &str = "A";

fn read(row: &Row) -> Result<Source> {
    Ok(Source { id: row.require(1)?, relid: row.require(2)?, layout: row.require(3)?, immediate: row.require(4)? })
}

pub fn get(session: &Session, id: i32) -> Result<Option<Source>> {
    session.first(
        concat!("select ", columns!(), " from pgtrickle.pgt_sources s where source_id = $1"),
        &[id.into()],
        read,
    )
}

pub fn find(session: &Session, relid: Oid) -> Result<Option<Source>> {
    session.first(
        concat!("select ", columns!(), " from pgtrickle.pgt_sources s where relid = $1::regclass"),
        &[relid.into()],
        read,
    )
}

pub fn all(session: &Session) -> Result<Vec<Source>> {
    let query = concat!("select ", columns!(), " from pgtrickle.pgt_sources s order by source_id");
    session.query(query, &[], read)
}

/// The name of a source, and how many stream tables read it.
pub fn name_and_consumers(session: &Session, id: i32) -> Result<(String, i64)> {
    session.one(
        "select s.relid::text, (select count(*) from pgtrickle.pgt_dependencies d where d.source_id = s.source_id)
           from pgtrickle.pgt_sources s where s.source_id = $1",
        &[id.into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

/// The sources of which one of these relations is recorded as a member.
pub fn with_members(session: &Session, relations: &[Oid]) -> Result<Vec<Source>> {
    session.query(
        concat!(
            "select ",
            columns!(),
            " from pgtrickle.pgt_sources s
              where source_id in (select source_id from pgtrickle.pgt_source_members where relid::oid = any ($1))
              order by source_id"
        ),
        &[relations.to_vec().into()],
        read,
    )
}

/// A new source, still without a layout. Its id is not in the name of a change buffer or its view, which a restore may have
/// left.
pub fn insert(session: &Session, relid: Oid) -> Result<Source> {
    loop {
        let new = session.first(
            "insert into pgtrickle.pgt_sources (source_id, relid, layout)
             select n.id, $1::regclass, 0
               from (select nextval(pg_get_serial_sequence('pgtrickle.pgt_sources', 'source_id'))::integer offset 0) n(id)
              where to_regclass('pgtrickle_changes.changes_' || n.id) is null
                and to_regclass('pgtrickle_changes.pending_' || n.id) is null
             returning source_id, relid::oid, layout, false",
            &[relid.into()],
            read,
        )?;
        if let Some(source) = new {
            return Ok(source);
        }
    }
}

pub fn set_layout(session: &Session, id: i32, layout: i32) -> Result<()> {
    session.run("update pgtrickle.pgt_sources set layout = $2 where source_id = $1", &[id.into(), layout.into()])
}

/// Deletes a source with its layouts and members.
pub fn delete(session: &Session, id: i32) -> Result<()> {
    session.run("delete from pgtrickle.pgt_sources where source_id = $1", &[id.into()])
}

/// Whether this relation is a stream table, whose changes its refreshes record.
pub fn is_stream_table(session: &Session, relid: Oid) -> Result<bool> {
    Ok(session
        .first("select true from pgtrickle.pgt_stream_tables where pgt_relid = $1::regclass", &[relid.into()], |_| {
            Ok(())
        })?
        .is_some())
}

/// The current members, parents first. The fingerprint has the triggers, by oid and the transaction that last altered them,
/// the expressions of stored generated columns, whose change rewrites a table without firing a trigger, and whether a crash
/// empties the table.
///
/// A trigger is ours if it is recorded, or is a copy on a partition of a recorded one, and has the definition that we gave
/// it: CREATE OR REPLACE TRIGGER keeps the oid.
pub fn members(session: &Session, source: &Source) -> Result<Vec<Member>> {
    session.query(include_str!("source_members.sql"), &[source.relid.into(), source.id.into()], |row| {
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
    })
}

/// Whether a trigger that fires on `table` is one that we made for the source, or a copy of it on a partition.
pub fn is_ours(session: &Session, id: i32, table: Oid, trigger: Oid) -> Result<bool> {
    session.exists(
        "with recursive above(oid, tgrelid, tgparentid) as (
           select t.oid, t.tgrelid, t.tgparentid from pg_catalog.pg_trigger t where t.oid = $3 and t.tgrelid = $2
           union all
           select p.oid, p.tgrelid, p.tgparentid from above a join pg_catalog.pg_trigger p on p.oid = a.tgparentid)
         select true
           from above a
           join pgtrickle.pgt_source_members k on k.source_id = $1 and k.relid = a.tgrelid::regclass
                                               and a.oid in (k.row_trigger, k.truncate_trigger)",
        &[id.into(), table.into(), trigger.into()],
    )
}

/// Whether a table is recorded as a member of a source.
pub fn is_member(session: &Session, id: i32, table: Oid) -> Result<bool> {
    let recorded = "select true from pgtrickle.pgt_source_members where source_id = $1 and relid = $2::regclass";
    session.exists(recorded, &[id.into(), table.into()])
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
    session.run("delete from pgtrickle.pgt_source_members where source_id = $1", &[id.into()])?;
    members.iter().try_for_each(|member| record_member(session, id, member))
}

/// Records one member as it is now.
pub fn record_member(session: &Session, id: i32, member: &Member) -> Result<()> {
    let oid = |trigger: &Option<CaptureTrigger>| trigger.as_ref().map(|trigger| trigger.oid);
    session.run(
        "insert into pgtrickle.pgt_source_members values ($1, $2::regclass, $3, $4, $5)
         on conflict (source_id, relid) do update
            set fingerprint = excluded.fingerprint, row_trigger = excluded.row_trigger,
                truncate_trigger = excluded.truncate_trigger",
        &[
            id.into(),
            member.relid.into(),
            member.fingerprint.as_str().into(),
            oid(&member.row).into(),
            oid(&member.truncate).into(),
        ],
    )
}

/// Deletes the record of a member.
pub fn forget_member(session: &Session, id: i32, relid: Oid) -> Result<()> {
    let sql = "delete from pgtrickle.pgt_source_members where source_id = $1 and relid = $2::regclass";
    session.run(sql, &[id.into(), relid.into()])
}

/// The transactions that recorded the members.
pub fn recorded_by(session: &Session, id: i32) -> Result<Vec<TransactionId>> {
    session.query(
        "select distinct xmin::text::bigint from pgtrickle.pgt_source_members where source_id = $1",
        &[id.into()],
        |row| Ok((row.require::<i64>(1)? as u32).into()),
    )
}

/// Records a trigger that was just made on a member.
pub fn record_trigger(session: &Session, id: i32, table: Oid, trigger: Oid, truncate: bool) -> Result<()> {
    let args = [id.into(), table.into(), trigger.into(), truncate.into()];
    session.run(
        "insert into pgtrickle.pgt_source_members
         values ($1, $2::regclass, '', case when not $4 then $3 end, case when $4 then $3 end)
         on conflict (source_id, relid) do update
            set row_trigger = case when $4 then pgt_source_members.row_trigger else $3 end,
                truncate_trigger = case when $4 then $3 else pgt_source_members.truncate_trigger end",
        &args,
    )
}

/// Makes the recorded members differ from the current ones.
pub fn clear_fingerprints(session: &Session, id: i32) -> Result<()> {
    session.run("update pgtrickle.pgt_source_members set fingerprint = '' where source_id = $1", &[id.into()])
}

/// Every trigger that calls the capture function for a source, ours or not, without the copies on partitions; and its table.
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
    session.one("select 'pgtrickle.capture()'::pg_catalog.regprocedure::oid", &[], |row| row.require(1))
}

/// The name of a source's change buffer.
pub fn buffer_name(id: i32) -> QName {
    QName::qualified("pgtrickle_changes", format!("changes_{id}"))
}

/// The names of a source's row trigger and TRUNCATE trigger, unless these are taken.
pub fn trigger_names(id: i32) -> [String; 2] {
    [format!("pgtrickle_capture_{id}"), format!("pgtrickle_truncate_{id}")]
}
