//! Which relations a stream table may read, and how their changes reach it.

use pgrx::PgSqlErrorCode::{
    ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_INVALID_TABLE_DEFINITION,
    ERRCODE_UNDEFINED_TABLE,
};
use pgrx::pg_sys::Oid;

use crate::error::{Error, Result};
use crate::pg::spi::Session;
use crate::pg::{object, relation};

/// A table that a defining query reads, directly or through views.
#[derive(Clone, Debug)]
pub struct SourceTable {
    pub relid: Oid,
    pub schema: String,
    pub name: String,
    /// The kind of a relation whose changes triggers cannot capture: it is read as a whole, and compared.
    pub uncaptured: Option<String>,
}

/// The tables among these relations, where all may be sources of a stream table of `owner`. Views are left out: they are
/// expanded in the query.
pub fn check(session: &Session, relations: Vec<Oid>, owner: Oid) -> Result<Vec<SourceTable>> {
    let tables = admitted(session, relations)?;
    match tables.iter().find(|table| object::is_row_secured(table.relid, owner)) {
        None => Ok(tables),
        Some(SourceTable { schema, name, .. }) => Err(Error::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("row security of table \"{schema}.{name}\" applies to the owner of the stream table"),
        )
        .detail("The stream table would hold the rows that its owner may see, and show them to every role that may read it.")
        .hint("Create the stream table as the owner of the source or as a role with BYPASSRLS.")),
    }
}

/// Refuses a relation whose changes cannot be captured. [`check`] has admitted it; that was before it was locked, and a
/// foreign partition may have been attached since.
pub fn require_captured(session: &Session, relid: Oid) -> Result<()> {
    let name = relation::display(relid);
    match admitted(session, vec![relid])?.pop() {
        Some(SourceTable { uncaptured: None, .. }) => Ok(()),
        Some(SourceTable { uncaptured: Some(kind), .. }) => {
            Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, format!("changes of {kind} {name} cannot be captured"))
                .detail("No triggers record its changes.")
                .hint("Use refresh_mode => 'FULL', which reads it as a whole."))
        }
        None => Err(Error::new(ERRCODE_UNDEFINED_TABLE, format!("table {name} does not exist"))),
    }
}

fn admitted(session: &Session, relations: Vec<Oid>) -> Result<Vec<SourceTable>> {
    let tables = session.query(
        "select c.oid, n.nspname::text, c.relname::text,
                case when c.relkind = 'f' then 'foreign table'
                     when c.relkind = 'm' then 'materialized view'
                     when exists (with recursive below(oid) as (
                                    select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = c.oid
                                    union
                                    select i.inhrelid from below join pg_catalog.pg_inherits i on i.inhparent = below.oid
                                  )
                                  select from below join pg_catalog.pg_class p using (oid) where p.relkind = 'f')
                     then 'table with foreign children' end,
                case when k.is_system then 'system relation'
                     when c.relpersistence = 't' then 'temporary table'
                     when c.relkind not in ('r', 'p', 'f', 'm') then 'relation' end
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace,
                lateral (select c.oid < 16384 or n.nspname in ('pg_catalog', 'information_schema', 'pg_toast', 'pgtrickle',
                                                               'pgtrickle_state', 'pgtrickle_changes')) k(is_system)
          where c.oid = any ($1) and (c.relkind <> 'v' or k.is_system)
          order by c.oid",
        &[relations.into()],
        |row| {
            let (schema, name) = (row.require(2)?, row.require(3)?);
            let table = SourceTable { relid: row.require(1)?, schema, name, uncaptured: row.get(4) };
            Ok((table, row.get::<String>(5)))
        },
    )?;
    tables
        .into_iter()
        .map(|(table, refused)| refused.map_or(Ok(()), |kind| refuse(&table, &kind)).map(|()| table))
        .collect()
}

fn refuse(table: &SourceTable, kind: &str) -> Result<()> {
    let (code, detail, hint) = match kind {
        "temporary table" => (
            ERRCODE_INVALID_TABLE_DEFINITION,
            "The stream table outlives the session that the temporary table belongs to.",
            "Use a permanent or unlogged table.",
        ),
        "system relation" => (
            ERRCODE_FEATURE_NOT_SUPPORTED,
            "Its changes cannot be captured.",
            "Copy the rows that the query needs into a table of your own.",
        ),
        _ => (ERRCODE_FEATURE_NOT_SUPPORTED, "Its changes cannot be captured.", "Use a table."),
    };
    let SourceTable { schema, name, .. } = table;
    Err(Error::new(code, format!("{kind} \"{schema}.{name}\" cannot be the source of a stream table"))
        .detail(detail)
        .hint(hint))
}
