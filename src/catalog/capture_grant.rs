//! `pgt_capture_grants`: which roles may capture the changes of tables that they do not own.

use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// Allows `role` to capture the changes of a table. Deletes grants on tables, or to roles, that were dropped.
pub fn insert(session: &Session, table: Oid, role: Oid) -> Result<()> {
    session.run(
        "delete from pgtrickle.pgt_capture_grants g
          where not exists (select from pg_class c where c.oid = g.relid::oid)
             or not exists (select from pg_authid a where a.oid = g.grantee::oid)",
        &[],
    )?;
    session.run(
        "insert into pgtrickle.pgt_capture_grants values ($1::regclass, $2::regrole) on conflict do nothing",
        &[table.into(), role.into()],
    )
}

/// Revokes that; whether it was granted.
pub fn delete(session: &Session, table: Oid, role: Oid) -> Result<bool> {
    let rows = session.execute(
        "delete from pgtrickle.pgt_capture_grants where relid = $1::regclass and grantee = $2::regrole",
        &[table.into(), role.into()],
    )?;
    Ok(rows > 0)
}

/// Whether `role`, or a role that it is a member of, may capture the changes of a table.
pub fn exists(session: &Session, table: Oid, role: Oid) -> Result<bool> {
    session.exists(
        "select true
           from pgtrickle.pgt_capture_grants g join pg_authid a on a.oid = g.grantee::oid
          where g.relid = $1::regclass and pg_has_role($2, a.oid, 'usage')",
        &[table.into(), role.into()],
    )
}
