//! Canonical SQL to our syntax tree: the only user of `sqlparser`.
//!
//! Canonical SQL is what PostgreSQL's deparser prints for an analysed query. It is a narrow dialect:
//! keywords are capitals, identifiers lower case or quoted, operators parenthesised, types explicit.
//! `tokens` turns that into tokens on which `sqlparser` cannot mistake one for the other; `query` and
//! `expr` convert its tree once, taking every field apart. What they do not know is an error:
//! **no text is ever read as something that it does not say.**

mod call;
mod dialect;
mod expr;
mod from;
mod names;
mod query;
mod references;
mod refused;
mod tokens;
mod types;

use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

pub use references::{References, references};

use crate::error::{Error, Result};
use crate::sql::ast::{Body, Query};

/// How deep queries and expressions may nest. A level costs up to 30 kB of stack in the parser, five
/// times that without optimisation, and a server process has 8 MB.
const DEPTH: usize = if cfg!(debug_assertions) { 50 } else { 100 };

/// Reads one query. A trailing semicolon is allowed: `pg_get_viewdef` prints one.
pub fn parse(sql: &str) -> Result<Query> {
    let dialect = dialect::Canonical::default();
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH).with_tokens(tokens::tokens(sql)?);
    let query = parser.parse_query().map_err(|error| match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        other => Error::Syntax(other.to_string()),
    })?;
    match parser.peek_token().token {
        Token::EOF => with_columns(query::query(*query)?),
        token => Err(Error::Syntax(format!("unexpected {token}"))),
    }
}

/// Refuses a result without columns. The first operand of a set operation tells.
fn with_columns(query: Query) -> Result<Query> {
    let mut first = &query.body;
    while let Body::SetOp { left, .. } = first {
        first = &left.body;
    }
    match first {
        Body::Select(select) if select.items.is_empty() => Err(refused::no_columns()),
        _ => Ok(query),
    }
}

fn too_deep() -> Error {
    Error::unsupported(
        &format!("a query nested more than {DEPTH} levels deep"),
        "each level takes stack, of which a server process has little",
        "Split the query into several stream tables.",
    )
}

#[cfg(test)]
mod tests;
