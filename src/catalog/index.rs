//! Indexes of users' tables: whether one finds rows by given keys, and the statement that creates one.

use std::collections::BTreeSet;
use std::fmt;

use ivm::sql::ident::QName;
use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// An index that does not exist yet: its keys are columns of the table, or expressions in parentheses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index {
    pub table: QName,
    pub keys: BTreeSet<String>,
}

impl Index {
    pub fn statement(&self) -> String {
        format!("create index on {self}")
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ({})", self.table, Vec::from_iter(self.keys.iter().map(String::as_str)).join(", "))
    }
}

/// The root of a partition's hierarchy, or the table itself.
pub fn root(session: &Session, table: Oid) -> Result<Oid> {
    session.one("select coalesce(pg_partition_root($1::regclass), $1)::oid", &[table.into()], |row| row.require(1))
}

/// Whether an index of all rows begins with one of these keys, so that it leads to few rows.
pub fn exists(session: &Session, table: Oid, keys: &BTreeSet<String>) -> Result<bool> {
    session.one(
        "select exists (
           select from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
            where i.indrelid = $1 and i.indisvalid and i.indpred is null and a.amname in ('btree', 'hash')
              and pg_get_indexdef(i.indexrelid, 1, false) = any ($2))",
        &[table.into(), Vec::from_iter(keys.iter().cloned()).into()],
        |row| row.require(1),
    )
}
