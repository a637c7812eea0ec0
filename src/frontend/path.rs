//! The search path under which the SQL of a stream table runs.
//!
//! **Invariant:** `pg_catalog` comes first and `pg_temp` last. In between are only the schemas whose operators the SQL
//! names without a schema: those that the canonical text needs, and those with the equality of a column's type. Canonical
//! text is printed for `pg_catalog` alone, so that every other relation, function, type and operator carries its schema.

use std::collections::BTreeSet;

use ivm::sql::ident::Ident;
use pgrx::pg_sys::Oid;

use crate::catalog::ddl;
use crate::error::Result;
use crate::pg::spi::{OwnerSession, Session};

/// The schemas between `pg_catalog` and `pg_temp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(BTreeSet<String>);

impl Path {
    pub fn with(schemas: impl IntoIterator<Item = String>) -> Path {
        Path(schemas.into_iter().filter(|schema| schema != "pg_catalog").collect())
    }

    /// The text of a path ([`Path::text`]) with more schemas.
    pub fn widened(text: &str, schemas: BTreeSet<String>) -> String {
        let more = schemas.into_iter().filter(|schema| schema != "pg_catalog");
        let more: String = more.map(|schema| format!(", {}", Ident::new(schema))).collect();
        match text.strip_suffix(", pg_temp") {
            Some(before) => format!("{before}{more}, pg_temp"),
            None => format!("{text}{more}"),
        }
    }

    /// The value of `search_path`.
    pub fn text(&self) -> String {
        let between = self.0.iter().map(|schema| format!("{}, ", Ident::new(schema)));
        format!("pg_catalog, {}pg_temp", between.collect::<String>())
    }

    /// Adds schemas; whether one was missing.
    pub fn extend(&mut self, schemas: BTreeSet<String>) -> bool {
        let before = self.0.len();
        self.0.extend(schemas);
        self.0.len() > before
    }
}

/// The schemas of the session's path in which roles other than the session's may create objects: an operator created there
/// could take the place of one that is named without a schema, and run with the rights of the session's role.
pub fn open_schemas(owner: &OwnerSession) -> Result<Vec<String>> {
    let schemas = ddl::path(owner)?;
    owner.catalog(|session| created_in_by_others(session, schemas, owner.role()))
}

/// Superusers and roles that have the privileges of `role` are left out: they gain nothing.
fn created_in_by_others(session: &Session, schemas: Vec<String>, role: Oid) -> Result<Vec<String>> {
    session.query(
        "select n.nspname::text
           from pg_catalog.pg_namespace n
          where n.nspname = any ($1)
            and (exists (select from aclexplode(n.nspacl) a where a.grantee = 0 and a.privilege_type = 'CREATE')
                 or exists (select from pg_catalog.pg_roles r
                             where r.oid >= 16384 and not r.rolsuper and not pg_has_role(r.oid, $2, 'usage')
                               and has_schema_privilege(r.oid, n.oid, 'create')))
          order by 1",
        &[schemas.into(), role.into()],
        |row| row.require(1),
    )
}
