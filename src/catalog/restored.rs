//! Stream tables that a restore has put into the catalog. A dump holds their definitions, the views that they are stored in
//! and their rows, and nothing of the state of their maintenance: they have no row in `pgt_frontiers` until they are attached.

use ivm::sql::index::{IDENTITY, LOOKUP};
use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// The stream tables that are not attached; `whole`: only those with their guard, which a dump creates after everything that
/// is to be found on the table.
pub fn detached(session: &Session, whole: bool) -> Result<Vec<i32>> {
    session.query(
        "select s.pgt_id
           from pgtrickle.pgt_stream_tables s
           join pg_class c on c.oid = s.pgt_relid::oid
           join pg_class q on q.oid = s.definition::oid
          where not exists (select from pgtrickle.pgt_frontiers f where f.pgt_id = s.pgt_id)
            and (not $1 or exists (select from pg_trigger t
                                    where t.tgrelid = c.oid and t.tgfoid = 'pgtrickle.guard()'::regprocedure))
          order by s.pgt_id",
        &[whole.into()],
        |row| row.require(1),
    )
}

/// Whether a table is an attached stream table, or an internal part of one.
pub fn is_attached(session: &Session, relid: Oid) -> Result<bool> {
    session.exists(
        "select from pgtrickle.pgt_stream_tables s
           join pgtrickle.pgt_frontiers f using (pgt_id)
          where s.pgt_relid = $1
             or exists (select from pg_class c
                         where c.oid = $1 and c.relnamespace = 'pgtrickle_state'::regnamespace
                           and c.relname ~ ('^n_' || s.pgt_id || '_'))",
        &[relid.into()],
    )
}

/// Has the next refresh build the parts of a stream table anew and compare its rows with the query.
pub fn attach(session: &Session, id: i32, reason: &str) -> Result<()> {
    session.run(
        "update pgtrickle.pgt_stream_tables set fingerprint = '', node_count = 0 where pgt_id = $1",
        &[id.into()],
    )?;
    session.run(
        "insert into pgtrickle.pgt_frontiers (pgt_id, reinitialize, replaces) values ($1, $2, true)",
        &[id.into(), reason.into()],
    )
}

/// Tables in the names of the nodes of a stream table.
pub fn nodes(session: &Session, id: i32) -> Result<Vec<Oid>> {
    session.query(
        "select c.oid from pg_class c
          where c.relnamespace = 'pgtrickle_state'::regnamespace and c.relkind = 'r'
            and c.relname ~ ('^n_' || $1 || '_[0-9]+$')",
        &[id.into()],
        |row| row.require(1),
    )
}

/// The indexes of a table that have names as we give them and that no constraint uses; of a node all.
pub fn indexes(session: &Session, relid: Oid) -> Result<Vec<Oid>> {
    session.query(
        "select i.indexrelid
           from pg_index i join pg_class c on c.oid = i.indexrelid
          where i.indrelid = $1
            and (c.relnamespace = 'pgtrickle_state'::regnamespace or c.relname ~ ('_(' || $2 || '|' || $3 || ')[0-9]*$'))
            and not exists (select from pg_constraint k where k.conindid = i.indexrelid)",
        &[relid.into(), IDENTITY.into(), LOOKUP.into()],
        |row| row.require(1),
    )
}

/// Views of the changes of sources that do not exist. One that a view of a user reads stays.
pub fn pending_views(session: &Session) -> Result<Vec<Oid>> {
    session.query(
        "select c.oid from pg_class c
          where c.relnamespace = 'pgtrickle_changes'::regnamespace and c.relkind = 'v' and c.relname ~ '^pending_[0-9]+$'
            and not exists (select from pgtrickle.pgt_sources s where c.relname = 'pending_' || s.source_id)
            and not exists (select from pg_depend d join pg_rewrite r on r.oid = d.objid
                             where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and r.ev_class <> c.oid)",
        &[],
        |row| row.require(1),
    )
}

/// Capture triggers, by their names, that were created by something else than pg_trickle. They capture nothing.
pub fn capture_triggers(session: &Session) -> Result<Vec<Oid>> {
    session.query(
        "select t.oid
           from pg_trigger t
          where t.tgfoid = 'pgtrickle.capture()'::regprocedure and t.tgparentid = 0
            and t.tgname ~ '^pgtrickle_(capture|truncate)_[0-9]+_*$'
            and not exists (select from pgtrickle.pgt_source_members k where t.oid in (k.row_trigger, k.truncate_trigger))",
        &[],
        |row| row.require(1),
    )
}

/// Whether a table is what was left of a stream table that was restored without its definition: no stream table, but with the
/// guard of one.
pub fn is_remnant(session: &Session, relid: Oid) -> Result<bool> {
    session.exists(
        "select from pg_trigger t
          where t.tgrelid = $1 and t.tgfoid = 'pgtrickle.guard()'::regprocedure
            and not exists (select from pgtrickle.pgt_stream_tables s where s.pgt_relid = $1)",
        &[relid.into()],
    )
}

/// Whether a table has other columns than a view: names, types, collations, order.
pub fn differs(session: &Session, table: Oid, view: Oid) -> Result<bool> {
    let columns = session.query(
        "select array_agg((a.attname, a.atttypid, a.atttypmod, a.attcollation)::text order by a.attnum)
           from pg_attribute a
          where a.attrelid in ($1, $2) and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = ''
          group by a.attrelid",
        &[table.into(), view.into()],
        |row| row.require::<Vec<String>>(1),
    )?;
    Ok(!matches!(&columns[..], [table, view] if table == view))
}

/// Whether the command of an event trigger created a guard or a capture trigger, as only a restore does besides pg_trickle.
pub fn creates_trigger_of_ours(session: &Session) -> Result<bool> {
    session.exists(
        "select from pg_event_trigger_ddl_commands() e
           join pg_trigger t on e.classid = 'pg_trigger'::regclass and t.oid = e.objid
          where t.tgfoid in ('pgtrickle.guard()'::regprocedure, 'pgtrickle.capture()'::regprocedure)",
        &[],
    )
}
