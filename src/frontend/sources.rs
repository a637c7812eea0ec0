//! What a defining query depends on: the tables it reads, and the schemas of its operators.

use ivm::sql::ident::QName;
use pgrx::PgSqlErrorCode::{
    ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_INVALID_TABLE_DEFINITION,
};
use pgrx::pg_sys::Oid;

use crate::error::{Error, Result};
use crate::pg::spi::{OwnerSession, Session};
use crate::pg::{object, query};

/// A table that a defining query reads, directly or through views.
#[derive(Clone, Debug)]
pub struct SourceTable {
    pub relid: Oid,
    pub schema: String,
    pub name: String,
    /// What it is, where its changes cannot be captured: such a source is read as a whole, and compared.
    pub uncaptured: Option<&'static str>,
}

/// The tables that `view` reads, directly or through other views, as its owner; an error for what cannot be
/// a source.
pub fn sources(owner: &OwnerSession, view: &QName) -> Result<Vec<SourceTable>> {
    let own = object::oid(view)?;
    let relations = query::of_view(owner, own)?.relations().into_iter().filter(|relid| *relid != own).collect();
    owner.catalog(|session| checked(session, relations, owner.role()))
}

/// The tables among `relations`, all of them fit to be sources of a stream table of `owner`.
pub fn checked(session: &Session, relations: Vec<Oid>, owner: Oid) -> Result<Vec<SourceTable>> {
    let rows = session.query(
        "select c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
                c.oid < 16384 or n.nspname in ('pg_catalog', 'information_schema', 'pg_toast', 'pgtrickle', 'pgtrickle_state',
                                               'pgtrickle_changes'),
                exists (with recursive below(oid) as (
                          select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = c.oid
                          union
                          select i.inhrelid from below join pg_catalog.pg_inherits i on i.inhparent = below.oid
                        )
                        select from below join pg_catalog.pg_class p using (oid) where p.relkind = 'f')
           from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.oid = any ($1)
          order by c.oid",
        &[relations.into()],
        |row| {
            let kind: String = row.require(4)?;
            let uncaptured = uncaptured(&kind, row.require(7)?);
            let table =
                SourceTable { relid: row.require(1)?, schema: row.require(2)?, name: row.require(3)?, uncaptured };
            Ok((table, (kind, row.require::<String>(5)?, row.require::<bool>(6)?)))
        },
    )?;
    let mut tables = vec![];
    for (table, (kind, persistence, system)) in rows {
        if kind == "v" && !system {
            continue;
        }
        refuse_source(&table, &kind, &persistence, system)?;
        refuse_row_security(&table, owner)?;
        tables.push(table);
    }
    Ok(tables)
}

/// What a relation of this kind is called where it has no triggers that tell of every change.
fn uncaptured(kind: &str, has_foreign_children: bool) -> Option<&'static str> {
    match kind {
        "f" => Some("foreign table"),
        "m" => Some("materialized view"),
        _ => has_foreign_children.then_some("table with foreign children"),
    }
}

fn refuse_row_security(table: &SourceTable, owner: Oid) -> Result<()> {
    match object::is_row_secured(table.relid, owner) {
        false => Ok(()),
        true => Err(Error::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "row security of table \"{}.{}\" applies to the owner of the stream table",
                table.schema, table.name
            ),
        )
        .detail("The stream table would hold what its owner may see, and show it to everyone who may read it.")
        .hint("Create the stream table as the owner of the source or as a role with BYPASSRLS.")),
    }
}

fn refuse_source(table: &SourceTable, kind: &str, persistence: &str, system: bool) -> Result<()> {
    let name = format!("\"{}.{}\"", table.schema, table.name);
    let unsupported = |what: &str, hint: &str| {
        Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, format!("{what} {name} cannot be the source of a stream table"))
            .detail("Its changes cannot be captured.")
            .hint(hint))
    };
    match (kind, persistence) {
        _ if system => unsupported("system relation", "Copy what you need into a table of your own."),
        (_, "t") => Err(Error::new(
            ERRCODE_INVALID_TABLE_DEFINITION,
            format!("temporary table {name} cannot be the source of a stream table"),
        )
        .detail("A stream table outlives the session, its source would not.")
        .hint("Use a permanent or unlogged table.")),
        ("r" | "p" | "f" | "m", _) => Ok(()),
        _ => unsupported("relation", "Use a table."),
    }
}

/// The schemas of the operators that the definition of a stream table uses, its views included. PostgreSQL prints some
/// constructs (`IS DISTINCT FROM`, `NULLIF`, simple CASE) without the operator's schema, so that reading them back
/// finds the same operator only where that schema is on the path.
pub fn operator_schemas(session: &Session, view: Oid) -> Result<Vec<String>> {
    session.query(
        "with recursive rules(rule) as (
           select r.oid from pg_catalog.pg_rewrite r where r.ev_class = $1
           union
           select r.oid
             from rules
             join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = rules.rule
                                        and d.refclassid = 'pg_catalog.pg_class'::regclass
             join pg_catalog.pg_class c on c.oid = d.refobjid and c.relkind = 'v'
             join pg_catalog.pg_rewrite r on r.ev_class = c.oid
         )
         select distinct n.nspname::text
           from rules
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = rules.rule
                                      and d.refclassid = 'pg_catalog.pg_operator'::regclass
           join pg_catalog.pg_operator o on o.oid = d.refobjid
           join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
          where n.nspname <> 'pg_catalog'
          order by 1",
        &[view.into()],
        |row| row.require::<String>(1),
    )
}
