//! `allow_capture` and `revoke_capture`: whose stream tables may read a table. The privilege TRIGGER allows it as well, and
//! with it to run code as whoever writes the table; this one allows nothing else.

use ivm::sql::ident::{Ident, QName};
use pgrx::PgSqlErrorCode::{ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_UNDEFINED_OBJECT, ERRCODE_WRONG_OBJECT_TYPE};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_extern};

use crate::api::given;
use crate::catalog::capture_grant;
use crate::catalog::stream_table::StreamTable;
use crate::error::{Error, Result};
use crate::frontend;
use crate::pg::spi;
use crate::pg::{guard, object, relation};

/// Lets a role, and its members, create stream tables that read this table, as far as they may read it.
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

/// Takes back what `allow_capture` gave. Stream tables that read the table already go on.
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

/// What a caller names, who must own the table.
fn owned_table(table: Option<Oid>, role: Option<Oid>) -> Result<(Oid, Oid)> {
    let (table, role) = (given("table", table)?, given("role", role)?);
    let undefined = |what: String| Error::new(ERRCODE_UNDEFINED_OBJECT, what).hint("Name one that exists.");
    let kind = relation::kind(table).ok_or_else(|| undefined(format!("there is no relation {}", table.to_u32())))?;
    if !object::is_role(role) {
        return Err(undefined(format!("there is no role {}", role.to_u32())));
    }
    if !matches!(kind.relkind, b'r' | b'p') || kind.is_catalog {
        let name = relation::display(table);
        return Err(Error::new(ERRCODE_WRONG_OBJECT_TYPE, format!("changes of {name} are not captured"))
            .detail("Only tables have triggers that tell of every change.")
            .hint("Name the tables behind it."));
    }
    match object::owns(pg_sys::RelationRelationId, table) {
        true => Ok((table, role)),
        false => Err(Error::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of table {}", relation::display(table)),
        )
        .hint("Ask the owner to allow it.")),
    }
}

/// Capturing the changes of a source concerns all who write it: the owner of the stream table must be allowed to.
pub fn require_capture(owner: Oid, definition: Oid) -> Result<()> {
    let view = object::name(definition);
    let path = [guard::catalog_path()];
    spi::connect_as(owner, &path, None, |session| {
        for source in frontend::sources(session, &view)?.into_iter().filter(|source| source.uncaptured.is_none()) {
            let allowed = || session.catalog(|session| capture_grant::exists(session, source.relid, owner));
            if relation::may(owner, source.relid, pg_sys::ACL_TRIGGER) || allowed()? {
                continue;
            }
            let name = QName::qualified(&source.schema, &source.name);
            let role = object::role_name(owner);
            return Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, format!("permission denied for table {name}"))
                .detail("A stream table captures the changes of its sources, as the owners of these allow.")
                .hint(format!("Ask its owner for: select pgtrickle.allow_capture('{name}', '{role}').")));
        }
        Ok(())
    })
}

/// The schemas under which the stream table is evaluated and in which others than its owner may create.
pub fn open_schemas(table: &StreamTable) -> Result<Vec<String>> {
    spi::connect_as(table.owner, &table.evaluation(), None, frontend::open_schemas)
}

/// Says that others could make the query mean something else.
pub fn warn_of_open_schemas(table: &StreamTable) -> Result<()> {
    for schema in open_schemas(table)? {
        let (name, schema) = (table.display(), Ident::new(schema));
        let message = format!("stream table {name} is evaluated under schema {schema}, in which others may create");
        ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "pg_trickle")
            .set_detail(CAPTURED)
            .set_hint(format!(
                "Take CREATE on schema {schema} from them, or keep what the query uses in another schema."
            ))
            .report(PgLogLevel::NOTICE);
    }
    Ok(())
}

/// What an open schema is a danger to.
pub const CAPTURED: &str = "An operator that another role makes there could take the place of one that the query uses, and \
                            run with the rights of the table's owner.";
