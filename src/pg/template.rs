//! Statements about objects: constant text with holes for names, types, roles and numbers, which are quoted. No other text
//! from run time can enter.

use ivm::catalog::ColumnType;
use ivm::sql::ident::{Ident, QName};
use pgrx::pg_sys::Oid;

use crate::error::{Error, Result};
use crate::pg::object;

/// What fills one `{}` of a template.
pub enum Hole<'a> {
    Name(&'a QName),
    Ident(&'a Ident),
    Number(i64),
    Role(Oid),
    /// `name type, …`
    Columns(&'a [(&'a Ident, &'a ColumnType)]),
}

impl Hole<'_> {
    fn text(&self) -> String {
        match self {
            Hole::Name(name) => name.to_string(),
            Hole::Ident(name) => name.to_string(),
            Hole::Number(number) => number.to_string(),
            Hole::Role(role) => object::role_name(*role),
            Hole::Columns(columns) => {
                let column = |(name, ty): &(&Ident, &ColumnType)| {
                    let collation = ty.collation.as_ref().map(|name| format!(" collate {name}")).unwrap_or_default();
                    format!("{name} {}{collation}", ty.name)
                };
                columns.iter().map(column).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// The template with its holes filled, from left to right.
pub(super) fn fill(template: &'static str, holes: &[Hole]) -> Result<String> {
    let mut parts = template.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut holes = holes.iter();
    for part in parts {
        text += &holes.next().ok_or(Error::Bug("a template has more holes than were filled"))?.text();
        text += part;
    }
    match holes.next() {
        None => Ok(text),
        Some(_) => Err(Error::Bug("a template has fewer holes than were filled")),
    }
}
