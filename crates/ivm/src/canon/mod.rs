//! Canonical SQL to our syntax tree.
//!
//! Canonical SQL is what PostgreSQL's deparser prints for an analysed query: a narrow dialect in which keywords are
//! capitals, identifiers lower case or quoted, operators parenthesised and types explicit. So a parser of it needs no
//! precedence, and reads nothing else: **no text is ever read as something that it does not say.**
//!
//! `query`, `from`, `expr` and `call` are the grammar, methods of one [`parser::Parser`] that call each other.

mod call;
mod expr;
mod from;
mod lexer;
mod parser;
mod query;
mod refused;
mod types;

use crate::error::{Error, Result};
use crate::refuse;
use crate::sql::ast::{Body, Query};

/// Reads one query. A trailing semicolon is allowed: `pg_get_viewdef` prints one.
///
/// # Errors
/// `Unsupported` for a construct that cannot be maintained incrementally, `Syntax` for what is not canonical SQL.
pub fn parse(sql: &str) -> Result<Query> {
    let tokens = lexer::tokens(sql)?;
    refused::check(&tokens)?;
    let mut parser = parser::Parser::new(tokens);
    let query = parser.query()?;
    match parser.peek() {
        None => with_columns(query),
        Some(token) => Err(Error::Syntax(format!("unexpected {token}"))),
    }
}

/// Refuses a result without columns. The first operand of a set operation tells.
fn with_columns(query: Query) -> Result<Query> {
    let mut first = &query.body;
    while let Body::SetOp { left, .. } = first {
        first = &left.body;
    }
    match first {
        Body::Select(select) if select.items.is_empty() => Err(refuse::no_columns()),
        _ => Ok(query),
    }
}

#[cfg(test)]
mod tests;
