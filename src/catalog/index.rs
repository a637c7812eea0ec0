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
    /// The column that comes last, in whose order the rows are wanted.
    pub order: Option<String>,
}

impl Index {
    pub fn statement(&self) -> String {
        format!("create index on {self}")
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let keys = self.keys.iter().chain(&self.order).map(String::as_str);
        write!(f, "{} ({})", self.table, Vec::from_iter(keys).join(", "))
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

/// How many rows there are for each combination of these columns' values, by the statistics.
pub fn rows_each(session: &Session, table: Oid, columns: &BTreeSet<String>) -> Result<f64> {
    session.one(
        "select greatest(1, c.reltuples) / least(greatest(1, c.reltuples), coalesce(exp(sum(ln(greatest(1, case
                  when a.attnum is null then 1 when s.stadistinct < 0 then -s.stadistinct * c.reltuples
                  else coalesce(nullif(s.stadistinct, 0), 200) end)))), 1))
           from pg_class c
           left join (pg_attribute a left join lateral
                      (select stadistinct from pg_statistic where starelid = a.attrelid and staattnum = a.attnum
                        order by stainherit desc limit 1) s on true)
                  on a.attrelid = c.oid and quote_ident(a.attname) = any ($2)
          where c.oid = $1 group by c.reltuples",
        &[table.into(), Vec::from_iter(columns.iter().cloned()).into()],
        |row| row.require(1),
    )
}
