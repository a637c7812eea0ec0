//! `pgt_cluster`: the cluster in which this catalog was written. Only pg_upgrade moves it into another one as it is.

use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// Whether the catalog was moved here by pg_upgrade and is not adapted yet: it names objects by the ids that they had.
pub fn is_moved(session: &Session) -> Result<bool> {
    session.exists(
        "select from pgtrickle.pgt_cluster
          where system_identifier <> (select system_identifier from pg_control_system())",
        &[],
    )
}

/// Records that the catalog belongs here; false where another transaction has.
pub fn settle(session: &Session) -> Result<bool> {
    let rows = session.execute(
        "update pgtrickle.pgt_cluster c set system_identifier = s.system_identifier
           from pg_control_system() s where c.system_identifier <> s.system_identifier",
        &[],
    )?;
    Ok(rows > 0)
}

macro_rules! capture_triggers {
    ($condition:literal) => {
        concat!(
            "select t.tgrelid, t.oid, t.tgtype = 32
               from pgtrickle.pgt_source_members k
               join pg_trigger t on t.tgrelid = k.relid::oid
              where k.source_id = $1 and t.tgfoid = 'pgtrickle.capture()'::regprocedure
                and t.tgargs = ($1::text::bytea || decode('00', 'hex'))
                and t.tgtype in (29, 32) and t.tgqual is null and t.tgattr = '' and t.tgconstraint = 0
                and ",
            $condition
        )
    };
}

/// The triggers on recorded members of a source that are defined as its capture triggers: table, trigger, whether for
/// TRUNCATE. Copies on partitions left out.
pub fn capture_triggers(session: &Session, source: i32) -> Result<Vec<(Oid, Oid, bool)>> {
    session.query(capture_triggers!("t.tgparentid = 0"), &[source.into()], |row| {
        Ok((row.require(1)?, row.require(2)?, row.require(3)?))
    })
}

/// Whether a trigger is one of these, or a copy of one.
pub fn captures(session: &Session, source: i32, trigger: Oid) -> Result<bool> {
    session.exists(capture_triggers!("t.oid = $2"), &[source.into(), trigger.into()])
}

/// The sources none of whose changes is known to be lost.
pub fn complete_sources(session: &Session) -> Result<Vec<i32>> {
    session.query(
        "select s.source_id from pgtrickle.pgt_sources s
          where not exists (select from pgtrickle.pgt_source_members k
                             where k.source_id = s.source_id and k.fingerprint = '')
          order by s.source_id",
        &[],
        |row| row.require(1),
    )
}

/// The views of change buffers.
pub fn pending_views(session: &Session) -> Result<Vec<Oid>> {
    session.query(
        "select c.oid from pgtrickle.pgt_sources s
           join pg_class c on c.relname = 'pending_' || s.source_id
          where c.relnamespace = 'pgtrickle_changes'::regnamespace",
        &[],
        |row| row.require(1),
    )
}

/// The attached stream tables.
pub fn stream_tables(session: &Session) -> Result<Vec<i32>> {
    session.query(
        "select s.pgt_id from pgtrickle.pgt_stream_tables s join pgtrickle.pgt_frontiers f using (pgt_id)
           join pg_class c on c.oid = s.pgt_relid::oid
          order by s.pgt_id",
        &[],
        |row| row.require(1),
    )
}
