//! What a stream table must look like for its refresh to work: checked after every command that may have altered it.
//!
//! The checks read the catalogs, not the command: it is the result that counts.

use pgrx::pg_sys::Oid;

use crate::catalog::stream_table::StreamTable;
use crate::error::Result;
use crate::pg::spi::Session;

/// The triggers that refuse all writes but those of a refresh.
pub const GUARD: &str = "pgtrickle_guard";
pub const TRUNCATE_GUARD: &str = "pgtrickle_guard_truncate";

/// The relations that the command of an event trigger altered, with their parents, children and referenced tables.
pub fn altered(session: &Session) -> Result<Vec<Oid>> {
    session.query(
        "with altered(oid) as (
           select coalesce(case e.classid
                    when 'pg_class'::regclass then coalesce((select i.indrelid from pg_index i where i.indexrelid = e.objid), e.objid)
                    when 'pg_trigger'::regclass then (select t.tgrelid from pg_trigger t where t.oid = e.objid)
                    when 'pg_rewrite'::regclass then (select r.ev_class from pg_rewrite r where r.oid = e.objid)
                  end, 0::oid)
             from pg_event_trigger_ddl_commands() e)
         select oid from altered where oid <> 0
         union select i.inhrelid from altered t join pg_inherits i on i.inhparent = t.oid
         union select i.inhparent from altered t join pg_inherits i on i.inhrelid = t.oid
         union select k.confrelid from altered t join pg_constraint k on k.conrelid = t.oid and k.contype = 'f'",
        &[],
        |row| row.require(1),
    )
}

/// A stream table that a command altered.
pub struct Affected {
    pub id: i32,
    pub relid: Oid,
    /// The altered relation is an internal part of it: its definition, or a node.
    pub by_part: bool,
}

/// The attached stream tables that these relations are, or are parts of.
pub fn affected(session: &Session, relations: &[Oid]) -> Result<Vec<Affected>> {
    session.query(
        "select s.pgt_id, s.pgt_relid::oid, false
           from pgtrickle.pgt_stream_tables s
          where s.pgt_relid::oid = any ($1)
            and exists (select from pgtrickle.pgt_frontiers f where f.pgt_id = s.pgt_id)
         union
         select s.pgt_id, s.pgt_relid::oid, true
           from pg_depend d
           join pg_class p on p.oid = d.objid and p.relkind in ('r', 'v')
           join pgtrickle.pgt_stream_tables s on s.pgt_relid::oid = d.refobjid
          where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'i'
            and d.objid = any ($1)",
        &[relations.to_vec().into()],
        |row| Ok(Affected { id: row.require(1)?, relid: row.require(2)?, by_part: row.require(3)? }),
    )
}

/// A stream table that the current command has made a target of the subscription of this name.
pub fn target_of(session: &Session, subscription: &str) -> Result<Option<Oid>> {
    session.first(
        "select r.srrelid
           from pg_subscription s
           join pg_subscription_rel r on r.srsubid = s.oid and age(r.xmin) <= 0
           join pgtrickle.pgt_stream_tables t on t.pgt_relid::oid = r.srrelid
          where s.subname::text = $1
            and s.subdbid = (select d.oid from pg_database d where d.datname = current_database())
          order by t.pgt_id",
        &[subscription.into()],
        |row| row.require(1),
    )
}

/// Why a stream table cannot be maintained as it is now, if so, and what to do instead.
pub fn problem(session: &Session, id: i32) -> Result<Option<(String, String)>> {
    session.first(include_str!("shape_problem.sql"), &[id.into(), GUARD.into(), TRUNCATE_GUARD.into()], |row| {
        Ok((row.require(1)?, row.require(2)?))
    })
}

/// Which of these columns come from the query of a stream table.
pub fn of_query(session: &Session, id: i32, columns: &[String]) -> Result<Vec<String>> {
    session.query(
        "select v.attname::text
           from pgtrickle.pgt_stream_tables s
           join pg_attribute v on v.attrelid = s.definition::oid and v.attnum > 0
          where s.pgt_id = $1 and v.attname::text = any ($2)",
        &[id.into(), columns.to_vec().into()],
        |row| row.require(1),
    )
}

/// The constraints that this transaction has put on a stream table and that a refresh may violate.
pub fn risks(session: &Session, id: i32) -> Result<Vec<String>> {
    session.query(include_str!("shape_risks.sql"), &[id.into()], |row| row.require(1))
}

/// The definition and the nodes of a stream table that have another owner than the table.
pub fn parts_of_others(session: &Session, id: i32) -> Result<Vec<(Oid, String)>> {
    session.query(
        "select p.oid, p.relkind::text
           from pgtrickle.pgt_stream_tables s
           join pg_class c on c.oid = s.pgt_relid::oid
           join pg_depend d on d.refobjid = c.oid and d.deptype = 'i'
                           and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
           join pg_class p on p.oid = d.objid and p.relkind in ('r', 'v') and p.relowner <> c.relowner
          where s.pgt_id = $1",
        &[id.into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )
}

/// Whether both guards of a stream table, and those of all its nodes, exist and always fire.
pub fn is_guarded_wholly(session: &Session, table: &StreamTable) -> Result<bool> {
    let nodes = (1..=table.node_count).map(|node| format!("n_{}_{node}", table.id));
    is_guarded(session, table.relid, nodes.collect())
}

/// The same for one table and these nodes.
pub fn is_guarded(session: &Session, relid: Oid, nodes: Vec<String>) -> Result<bool> {
    let unguarded = session.exists(
        "select p.oid
           from (select $1 as oid union all
                 select c.oid from pg_class c
                  where c.relname = any ($2) and c.relnamespace = 'pgtrickle_state'::regnamespace) p
          where 2 <> (select count(*) from pg_trigger t
                       where t.tgrelid = p.oid and t.tgname::text = any ($3) and t.tgenabled = 'A'
                         and t.tgfoid = 'pgtrickle.guard()'::regprocedure)",
        &[relid.into(), nodes.into(), vec![GUARD.to_owned(), TRUNCATE_GUARD.to_owned()].into()],
    )?;
    Ok(!unguarded)
}

/// The guards of a table, in whatever state.
pub fn guards(session: &Session, relid: Oid) -> Result<Vec<Oid>> {
    session.query(
        "select t.oid from pg_trigger t where t.tgrelid = $1 and t.tgname::text = any ($2)",
        &[relid.into(), vec![GUARD.to_owned(), TRUNCATE_GUARD.to_owned()].into()],
        |row| row.require(1),
    )
}

/// The trigger function of the guards.
pub fn guard_function(session: &Session) -> Result<Oid> {
    session.one("select 'pgtrickle.guard()'::regprocedure::oid", &[], |row| row.require(1))
}

/// Whether tables are in the same files for the snapshot of the session as they are now. Rows of a file that was made after a
/// snapshot are not those that it sees.
pub fn are_in_the_same_files(session: &Session, tables: &[Oid]) -> Result<bool> {
    let moved = "select from unnest($1) t left join pg_class c on c.oid = t
                  where c.relfilenode is distinct from pg_relation_filenode(t)";
    Ok(!session.exists(moved, &[tables.to_vec().into()])?)
}
