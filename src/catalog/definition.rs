//! The digest of a definition: of the functions, operators, types, collations and dictionaries that its text depends on. A
//! change of any of them means another definition, although the text stays the same.

use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// The objects that a definition depends on, directly or through others, and their digest.
#[derive(Clone, Debug)]
pub struct DefinitionDigest {
    /// Catalog and oid of each. Those of the server itself, which never change, are left out.
    pub objects: Vec<(Oid, Oid)>,
    /// SHA-256 of their catalog rows without names, owners and costs.
    pub digest: String,
}

/// The digest of the definition in a view. `text_search`: the configuration in its settings, where the query searches text.
pub fn digest(session: &Session, view: Oid, text_search: Option<&str>) -> Result<DefinitionDigest> {
    session.one(include_str!("definition.sql"), &[view.into(), text_search.into()], |row| {
        let (classes, objects) = (row.require::<Vec<Oid>>(1)?, row.require::<Vec<Oid>>(2)?);
        Ok(DefinitionDigest { objects: classes.into_iter().zip(objects).collect(), digest: row.require(3)? })
    })
}

/// SHA-256 of a text.
pub fn sha256(session: &Session, text: &str) -> Result<String> {
    session.one("select encode(sha256(convert_to($1, 'UTF8')), 'hex')", &[text.into()], |row| row.require(1))
}
