//! What a stream table must stay for its refresh to write it: asked after every command that may have changed it, by
//! whatever route.
//!
//! The catalogs are read, not the command: what counts is how the table is left.

use pgrx::pg_sys::Oid;

use crate::catalog::stream_table::StreamTable;
use crate::error::Result;
use crate::pg::spi::Session;

/// The triggers that keep everybody but the refresh from writing.
pub const GUARD: &str = "pgtrickle_guard";
pub const TRUNCATE_GUARD: &str = "pgtrickle_guard_truncate";

/// The relations that the command of an event trigger concerns, and those above and below them.
pub fn touched(session: &Session) -> Result<Vec<Oid>> {
    session.query(
        "with touched(oid) as (
           select coalesce(case e.classid
                    when 'pg_class'::regclass then coalesce((select i.indrelid from pg_index i where i.indexrelid = e.objid), e.objid)
                    when 'pg_trigger'::regclass then (select t.tgrelid from pg_trigger t where t.oid = e.objid)
                    when 'pg_rewrite'::regclass then (select r.ev_class from pg_rewrite r where r.oid = e.objid)
                  end, 0::oid)
             from pg_event_trigger_ddl_commands() e)
         select oid from touched where oid <> 0
         union select i.inhrelid from touched t join pg_inherits i on i.inhparent = t.oid
         union select i.inhparent from touched t join pg_inherits i on i.inhrelid = t.oid
         union select k.confrelid from touched t join pg_constraint k on k.conrelid = t.oid and k.contype = 'f'",
        &[],
        |row| row.require(1),
    )
}

/// A stream table among some relations, or an internal part of one.
pub struct Concerned {
    pub id: i32,
    pub relid: Oid,
    /// Among the relations are internal parts of it: its definition, its nodes.
    pub parts: bool,
}

/// The stream tables that these relations are, or are parts of.
pub fn concerned(session: &Session, relations: &[Oid]) -> Result<Vec<Concerned>> {
    session.query(
        "select s.pgt_id, s.pgt_relid::oid, false from pgtrickle.pgt_stream_tables s where s.pgt_relid::oid = any ($1)
         union
         select s.pgt_id, s.pgt_relid::oid, true
           from pg_depend d
           join pg_class p on p.oid = d.objid and p.relkind in ('r', 'v')
           join pgtrickle.pgt_stream_tables s on s.pgt_relid::oid = d.refobjid
          where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'i'
            and d.objid = any ($1)",
        &[relations.to_vec().into()],
        |row| Ok(Concerned { id: row.require(1)?, relid: row.require(2)?, parts: row.require(3)? }),
    )
}

/// Why a stream table cannot be kept as it is now, if so, and what to do instead.
pub fn problem(session: &Session, id: i32) -> Result<Option<(String, String)>> {
    let found = session.query(
        "select p.what, p.instead
           from pgtrickle.pgt_stream_tables s
           join pg_class c on c.oid = s.pgt_relid::oid
          cross join lateral (
            select 'A crash would empty it, and nobody would notice.',
                   'Stream tables are logged; make the sources unlogged if they may be lost.'
             where c.relpersistence <> 'p'
            union all
            select 'Rows would come and go through other tables.', 'Read both in a view or in another stream table.'
             where exists (select from pg_inherits i where i.inhrelid = c.oid or i.inhparent = c.oid)
            union all
            select format('Rule %I would do something else than its refresh asks for.', r.rulename),
                   'Use an AFTER trigger.'
              from pg_rewrite r where r.ev_class = c.oid
            union all
            select 'Its owner would not see all of its rows, and neither would its refresh.',
                   'ENABLE ROW LEVEL SECURITY without FORCE hides rows from others.'
             where c.relforcerowsecurity
            union all
            select format('Trigger %I could change a row, or keep it away.', t.tgname), 'Use an AFTER trigger.'
              from pg_trigger t
             where t.tgrelid = c.oid and not t.tgisinternal and t.tgtype & 3 = 3 and t.tgname <> $2
            union all
            select format('Trigger %I is all that keeps others from changing its rows.', g.name),
                   'Name the triggers that are to be disabled or dropped.'
              from unnest(array[$2, $3]) g(name)
             where not exists (select from pg_trigger t
                                where t.tgrelid = c.oid and t.tgname = g.name and t.tgenabled = 'A'
                                  and t.tgfoid = 'pgtrickle.guard()'::regprocedure)
            union all
            select format('Column %I belongs to its query.', v.attname),
                   'Change the query: pgtrickle.alter_stream_table() or pgtrickle.create_or_replace_stream_table().'
              from pg_attribute v
             where v.attrelid = s.definition::oid and v.attnum > 0
               and not exists (select from pg_attribute a
                                where a.attrelid = c.oid and a.attname = v.attname and not a.attisdropped
                                  and (a.atttypid, a.atttypmod, a.attcollation)
                                    = (v.atttypid, v.atttypmod, v.attcollation)
                                  and a.attgenerated = '' and a.attidentity = '')
            union all
            select format('Column %I would be NULL in every row.', a.attname), 'Give it a default.'
              from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
               and a.attnotnull and not a.atthasdef and a.attidentity = ''
               and not exists (select from pg_attribute v where v.attrelid = s.definition::oid and v.attname = a.attname)
            union all
            select 'A publication of it would stop its refresh.', 'Use REPLICA IDENTITY FULL, or that of a key.'
             where case c.relreplident
                     when 'n' then true
                     when 'd' then not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
                     else false end
          ) p(what, instead)
          where s.pgt_id = $1
          limit 1",
        &[id.into(), GUARD.into(), TRUNCATE_GUARD.into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )?;
    Ok(found.into_iter().next())
}

/// Which of these columns belong to the query of a stream table.
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

/// What this transaction has put on a stream table that its query may break, so that a refresh fails.
pub fn risks(session: &Session, id: i32) -> Result<Vec<String>> {
    session.query(
        "select r.what
           from pgtrickle.pgt_stream_tables s
          cross join lateral (
            select format('a refresh fails where its query yields NULL in column %I', a.attname)
              from pg_attribute a
             where a.attrelid = s.pgt_relid::oid and a.attnum > 0 and a.attnotnull and age(a.xmin) <= 0
               and not a.attname::text = any (s.not_null)
               and exists (select from pg_attribute v where v.attrelid = s.definition::oid and v.attname = a.attname)
            union all
            select format(case k.contype
                            when 'c' then 'a refresh fails where a row of its query breaks constraint %I'
                            when 'x' then 'a refresh fails where rows of its query break constraint %I'
                            else 'a refresh fails where its query has a row without its partner in %2$s' end,
                          k.conname, k.confrelid::regclass)
              from pg_constraint k
             where k.conrelid = s.pgt_relid::oid and k.contype in ('c', 'x', 'f') and age(k.xmin) <= 0
            union all
            select format('a refresh fails where its query no longer has a row that %s refers to', k.conrelid::regclass)
              from pg_constraint k
             where k.confrelid = s.pgt_relid::oid and k.contype = 'f' and k.confdeltype in ('a', 'r') and age(k.xmin) <= 0
            union all
            select format('a refresh fails where rows of its query are alike in unique index %I', i.relname)
              from pg_index u
              join pg_class i on i.oid = u.indexrelid
             where u.indrelid = s.pgt_relid::oid and u.indisunique and age(i.xmin) <= 0
               -- What has more columns than a key of ours is unique as well.
               and not exists (
                 select from pg_depend d
                   join pg_index o on o.indexrelid = d.objid and o.indisunique
                  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
                    and d.refobjid = u.indrelid and d.refobjsubid = 0 and d.deptype = 'i'
                    and o.indkey::int2[] <@ u.indkey::int2[])
          ) r(what)
          where s.pgt_id = $1",
        &[id.into()],
        |row| row.require(1),
    )
}

/// The definition and the nodes of a stream table that belong to somebody else than the table.
pub fn strange_parts(session: &Session, id: i32) -> Result<Vec<(Oid, String)>> {
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

/// Whether both guards of a stream table are there and fire always.
pub fn is_guarded(session: &Session, relid: Oid) -> Result<bool> {
    are_guarded(session, relid, vec![])
}

/// Whether the same holds for a stream table and all of its internal nodes.
pub fn is_guarded_wholly(session: &Session, table: &StreamTable) -> Result<bool> {
    let nodes = (1..=table.node_count).map(|node| format!("n_{}_{node}", table.id));
    are_guarded(session, table.relid, nodes.collect())
}

fn are_guarded(session: &Session, relid: Oid, nodes: Vec<String>) -> Result<bool> {
    let bare = session.query(
        "select p.oid
           from (select $1 as oid union all
                 select c.oid from pg_class c
                  where c.relname = any ($2) and c.relnamespace = 'pgtrickle_state'::regnamespace) p
          where 2 <> (select count(*) from pg_trigger t
                       where t.tgrelid = p.oid and t.tgname::text = any ($3) and t.tgenabled = 'A'
                         and t.tgfoid = 'pgtrickle.guard()'::regprocedure)",
        &[relid.into(), nodes.into(), vec![GUARD.to_owned(), TRUNCATE_GUARD.to_owned()].into()],
        |_| Ok(()),
    )?;
    Ok(bare.is_empty())
}

/// The guards of a stream table, whatever became of them.
pub fn guards(session: &Session, relid: Oid) -> Result<Vec<Oid>> {
    session.query(
        "select t.oid from pg_trigger t where t.tgrelid = $1 and t.tgname::text = any ($2)",
        &[relid.into(), vec![GUARD.to_owned(), TRUNCATE_GUARD.to_owned()].into()],
        |row| row.require(1),
    )
}

/// The trigger function of the guards.
pub fn guard_function(session: &Session) -> Result<Option<Oid>> {
    let found = session.query("select 'pgtrickle.guard()'::regprocedure::oid", &[], |row| row.require(1))?;
    Ok(found.into_iter().next())
}
