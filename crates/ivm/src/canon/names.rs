//! Names of the parser's tree. After the token pass every identifier is quoted: an unquoted one is a
//! keyword in the wrong place, and an error.

use sqlparser::ast;

use super::tokens::QUOTED;
use crate::error::{Error, Result};
use crate::sql::ident::{Ident, QName};

pub fn syntax<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Syntax(format!("unexpected {what}")))
}

pub fn ident(ident: ast::Ident) -> Result<Ident> {
    let ast::Ident { value, quote_style, span: _ } = ident;
    match quote_style {
        Some(QUOTED) => Ok(Ident(value)),
        _ => syntax(value),
    }
}

pub fn idents(list: Vec<ast::Ident>) -> Result<Vec<Ident>> {
    list.into_iter().map(ident).collect()
}

/// The parts of a dotted name, marks and keywords included.
pub fn parts(name: ast::ObjectName) -> Result<Vec<ast::Ident>> {
    let part = |part| match part {
        ast::ObjectNamePart::Identifier(ident) => Ok(ident),
        ast::ObjectNamePart::Function(function) => syntax(function),
    };
    name.0.into_iter().map(part).collect()
}

pub fn qname(name: ast::ObjectName) -> Result<QName> {
    let mut parts = idents(parts(name)?)?.into_iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => Ok(QName { schema: None, name }),
        (Some(schema), Some(name), None) => Ok(QName { schema: Some(schema), name }),
        _ => syntax("name of three parts"),
    }
}
