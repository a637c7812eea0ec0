//! `allow_capture` and `revoke_capture`: which roles may have stream tables that read a table. The privilege TRIGGER allows
//! that as well, but also lets a role run code as every role that writes the table.

use ivm::sql::ident::{Ident, QName};
use pgrx::PgSqlErrorCode::{ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_UNDEFINED_OBJECT, ERRCODE_WRONG_OBJECT_TYPE};
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};

use crate::api::{given, notice};
use crate::catalog::stream_table::StreamTable;
use crate::catalog::{admission, capture_grant, ddl};
use crate::error::{Error, Result};
use crate::frontend;
use crate::pg::spi::{self, OwnerSession};
use crate::pg::{object, relation};

/// Lets a role and its members create stream tables that read this table. They still need SELECT on it.
#[pg_extern(
    requires = ["capture"],
    sql = "
create function pgtrickle.allow_capture(\"table\" regclass, role regrole) returns void
language c as 'MODULE_PATHNAME', 'allow_capture_wrapper';
"
)]
fn allow_capture(table: Option<Oid>, role: Option<Oid>) -> std::result::Result<(), ErrorReport> {
    let (table, role) = owned_table(table, role)?;
    Ok(spi::connect(None, |session| capture_grant::insert(session, table, role))?)
}

/// Revokes what `allow_capture` granted. Existing stream tables that read the table are still refreshed.
#[pg_extern(
    requires = ["capture"],
    sql = "
create function pgtrickle.revoke_capture(\"table\" regclass, role regrole) returns void
language c as 'MODULE_PATHNAME', 'revoke_capture_wrapper';
"
)]
fn revoke_capture(table: Option<Oid>, role: Option<Oid>) -> std::result::Result<(), ErrorReport> {
    let (table, role) = owned_table(table, role)?;
    if !spi::connect(None, |session| capture_grant::delete(session, table, role))? {
        pgrx::notice!("capture of {} was not allowed to this role", relation::display(table));
    }
    Ok(())
}

/// The table and role that a caller names. The caller must own the table.
fn owned_table(table: Option<Oid>, role: Option<Oid>) -> Result<(Oid, Oid)> {
    let (table, role) = (given("table", table)?, given("role", role)?);
    let undefined = |what: String| Error::new(ERRCODE_UNDEFINED_OBJECT, what).hint("Name an object that exists.");
    let kind = relation::kind(table)
        .ok_or_else(|| undefined(format!("relation with OID {} does not exist", table.to_u32())))?;
    if !object::is_role(role) {
        return Err(undefined(format!("role with OID {} does not exist", role.to_u32())));
    }
    if !matches!(kind.relkind, b'r' | b'p') || kind.is_catalog {
        let name = relation::display(table);
        return Err(Error::new(ERRCODE_WRONG_OBJECT_TYPE, format!("changes of {name} cannot be captured"))
            .detail("Only tables have triggers for every change of their rows.")
            .hint("Name the tables that it reads."));
    }
    match object::owns(pg_sys::RelationRelationId, table) {
        true => Ok((table, role)),
        false => Err(Error::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of table {}", relation::display(table)),
        )
        .hint("Ask the owner to call pgtrickle.allow_capture().")),
    }
}

/// Checks that a role may run a query and capture the changes of its sources, which puts triggers on them.
pub fn require_sources(owner: &OwnerSession, query: &str) -> Result<()> {
    ddl::probe(owner, query)?;
    let (role, relations) = (owner.role(), ddl::prepare_query(owner, query)?.relations()?);
    owner.catalog(|session| {
        for source in
            admission::check(session, relations, role)?.into_iter().filter(|source| source.uncaptured.is_none())
        {
            if relation::may(role, source.relid, pg_sys::ACL_TRIGGER)
                || capture_grant::exists(session, source.relid, role)?
            {
                continue;
            }
            let (name, role) = (QName::qualified(&source.schema, &source.name), object::role_name(role));
            return Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, format!("permission denied for table {name}"))
                .detail("A stream table captures the changes of its sources, which their owners must allow.")
                .hint(format!("Ask its owner to run: select pgtrickle.allow_capture('{name}', '{role}').")));
        }
        Ok(())
    })
}

/// The schemas on the path of a stream table in which other roles than its owner may create objects.
pub fn open_schemas(table: &StreamTable) -> Result<Vec<String>> {
    spi::connect_as(table.owner, &table.evaluation(), None, frontend::open_schemas)
}

/// Tells the user that other roles could change what the query means.
pub fn warn_of_open_schemas(table: &StreamTable) -> Result<()> {
    for schema in open_schemas(table)? {
        let (name, schema) = (table.display(), Ident::new(schema));
        notice(
            format!("stream table {name} is evaluated under schema {schema}, in which other roles may create"),
            CAPTURED,
            Some(&format!("Revoke CREATE on schema {schema}, or move what the query uses to another schema.")),
        );
    }
    Ok(())
}

/// The danger of an open schema.
pub const CAPTURED: &str = "An operator that another role creates there could replace one that the query uses, and run with \
                            the privileges of the table's owner.";
