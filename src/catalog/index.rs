//! The server's indexes: whether there is one that finds rows by given keys, and what would make it.

use ivm::sql::ident::QName;
use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// The partitioned table that a partition belongs to in the end, or the table itself.
pub fn root(session: &Session, table: Oid) -> Result<Oid> {
    let roots = session
        .query("select coalesce(pg_partition_root($1::regclass), $1)::oid", &[table.into()], |row| row.require(1))?;
    Ok(roots.into_iter().next().unwrap_or(table))
}

/// Whether an index of all rows begins with these keys, in any order.
pub fn exists(session: &Session, table: Oid, keys: &[String]) -> Result<bool> {
    let found = session.query(
        "select exists (
           select from pg_index i
            where i.indrelid = $1 and i.indisvalid and i.indpred is null
              and $2 <@ array(select pg_get_indexdef(i.indexrelid, n, false) from generate_series(1, cardinality($2)) n))",
        &[table.into(), keys.to_vec().into()],
        |row| row.require(1),
    )?;
    Ok(found.into_iter().next().unwrap_or(false))
}

/// The statement that makes one.
pub fn creation(table: &QName, keys: &[String]) -> String {
    format!("create index on {table} ({})", keys.join(", "))
}
