//! `pgt_capture_grants`: who may capture the changes of whose tables.

use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// Allows `role` to capture the changes of a table. Forgets what was allowed of tables, or to roles, that are gone.
pub fn insert(session: &Session, table: Oid, role: Oid) -> Result<()> {
    session.execute(
        "delete from pgtrickle.pgt_capture_grants g
          where not exists (select from pg_class c where c.oid = g.relid::oid)
             or not exists (select from pg_authid a where a.oid = g.grantee::oid)",
        &[],
    )?;
    session.execute(
        "insert into pgtrickle.pgt_capture_grants values ($1::regclass, $2::regrole) on conflict do nothing",
        &[table.into(), role.into()],
    )?;
    Ok(())
}

/// Takes that back; whether there was something to take.
pub fn delete(session: &Session, table: Oid, role: Oid) -> Result<bool> {
    let rows = session.execute(
        "delete from pgtrickle.pgt_capture_grants where relid = $1::regclass and grantee = $2::regrole",
        &[table.into(), role.into()],
    )?;
    Ok(rows > 0)
}

/// Whether a role that `role` is, or is a member of, may capture the changes of a table.
pub fn exists(session: &Session, table: Oid, role: Oid) -> Result<bool> {
    let found = session.query(
        "select true
           from pgtrickle.pgt_capture_grants g join pg_authid a on a.oid = g.grantee::oid
          where g.relid = $1::regclass and pg_has_role($2, a.oid, 'usage')",
        &[table.into(), role.into()],
        |_| Ok(()),
    )?;
    Ok(!found.is_empty())
}
