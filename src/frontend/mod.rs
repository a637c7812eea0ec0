//! From the user's query to a compiled view. PostgreSQL analyses and prints; `ivm` parses and compiles.
//!
//! **Invariant:** the parsed query is the one that PostgreSQL printed: our rendering of it, analysed and printed again,
//! equals the canonical text. A query for which it does not is recomputed, with a reason.

mod calls;
mod path;
mod server_catalog;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use ivm::explain::key::{Constraints, Remedy};
use ivm::sql::ast;
use ivm::sql::ident::QName;
use ivm::view::View;
use pgrx::pg_sys::Oid;

use crate::catalog::admission::SourceTable;
use crate::error::{Kind, Result};
use crate::pg::query::{Analysed, Calls};
use crate::pg::spi::OwnerSession;
use crate::pg::{guard, query};

pub use path::{Path, open_schemas};
pub use server_catalog::ServerCatalog;

/// A defining query as PostgreSQL analysed it.
pub struct Definition {
    /// Printed with views expanded, under pinned settings, names outside of `pg_catalog` with their schema.
    pub canonical: String,
    /// The shortest path under which that text is the same query.
    pub path: Path,
    /// The parsed text, or why it cannot be maintained incrementally.
    pub ast: std::result::Result<ast::Query, ivm::Error>,
    /// Whether it reads the clock.
    pub reads_clock: bool,
    /// The tables that it reads, directly or through views.
    pub sources: Vec<SourceTable>,
}

/// Settings that PostgreSQL's printing of constants depends on.
const PRINTING: [(&str, &str); 6] = [
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "1"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
];

fn printing<R>(path: &Path, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let path = path.text();
    let settings: Vec<(&str, &str)> = PRINTING.into_iter().chain([("search_path", path.as_str())]).collect();
    guard::with_settings(&settings, f)
}

/// The text of a query in which only names of `pg_catalog` have no schema.
fn printed(query: &Analysed) -> Result<String> {
    printing(&Path::default(), || Ok(query.text()))
}

/// A generated query, analysed under the current path, as PostgreSQL prints it.
fn reprinted(owner: &OwnerSession, sql: &str) -> Result<String> {
    printed(&guard::with_settings(&PRINTING, || query::of_text(owner, sql))?)
}

/// Reads the definition of a stream table from its view: analysed once, printed, parsed, checked.
///
/// # Errors
/// Calls that no stream table may have, errors of the server. A query that cannot be parsed is no error.
pub fn define(owner: &OwnerSession, view: Oid) -> Result<Definition> {
    let query = query::of_view(owner, view)?;
    let calls = query.calls();
    let reads_clock = owner.catalog(|session| calls::check(session, &calls))?;
    let canonical = printed(&query)?;
    let (path, ast) = read(owner, view, &canonical, &calls)?;
    let sources = sources::sources(owner, view, &query)?;
    Ok(Definition { canonical, path, ast, reads_clock, sources })
}

/// The canonical text of `view` alone, to compare with what was compiled.
pub fn canonical(owner: &OwnerSession, view: Oid) -> Result<String> {
    printed(&query::of_view(owner, view)?)
}

/// Parses canonical text and compares our rendering with PostgreSQL's, under the shortest path for which they agree.
fn read(
    owner: &OwnerSession,
    view: Oid,
    canonical: &str,
    calls: &Calls,
) -> Result<(Path, std::result::Result<ast::Query, ivm::Error>)> {
    let parsed = match ivm::canon::parse(canonical) {
        Ok(parsed) => parsed,
        Err(error) => return Ok((Path::default(), Err(error))),
    };
    let rendered = ivm::sql::print::query(&parsed);
    let mut reason = "its text, parsed and rendered, is another query to PostgreSQL".to_owned();
    let schemas = owner.catalog(|session| sources::operator_schemas(session, view))?;
    for path in [Path::default(), Path::with(schemas)] {
        match self_check(owner, canonical, &rendered, &path, calls) {
            Ok(true) => return Ok((path, Ok(parsed))),
            Ok(false) => {}
            // A check that was cancelled, or ran into a lock, says nothing about the query.
            Err(error) if error.kind() == Kind::Transient => return Err(error),
            Err(error) => reason = error.to_string(),
        }
    }
    let hint = "Report the query as a bug of pg_trickle; it is recomputed.";
    Ok((Path::default(), Err(ivm::Error::unsupported("this query", &reason, hint))))
}

/// Whether our text of a query is the same query to PostgreSQL, whose printing reaches its fixed point in the second
/// round at the latest. The text does not name the operators of `IS DISTINCT FROM` and similar constructs: that they are
/// the same is known by the user-defined functions that are called.
fn self_check(owner: &OwnerSession, canonical: &str, rendered: &str, path: &Path, calls: &Calls) -> Result<bool> {
    let analysed = |text: &str| -> Result<(String, Calls)> {
        let query = printing(path, || query::of_text(owner, text))?;
        Ok((printed(&query)?, query.calls()))
    };
    crate::pg::subxact::subtransaction(|| {
        let (ours, called) = analysed(rendered)?;
        if called.of_users() != calls.of_users() {
            return Ok(false);
        }
        if ours == canonical {
            return Ok(true);
        }
        let (again, _) = analysed(canonical)?;
        Ok(ours == again || analysed(&ours)?.0 == again)
    })
}

/// Parses a canonical text that passed the self-check when its stream table was created.
pub fn reread(canonical: &str) -> Result<ast::Query> {
    Ok(ivm::canon::parse(canonical)?)
}

/// Compiles a query into nodes for the table `table` of stream table `id`, under the current path. Also returns the schemas
/// that this path needs for the equality of the columns' types.
pub fn compile(owner: &OwnerSession, query: &ast::Query, table: &QName, id: i32) -> Result<(View, BTreeSet<String>)> {
    let catalog = ServerCatalog::new(owner);
    let view = ivm::compile::compile(query, &catalog, table, &|node| node_table(id, node))?;
    Ok((view, catalog.equality_schemas()))
}

/// As [`compile`], but one node, which is not cut: the query is compared with `table` as a whole.
pub fn compile_whole(owner: &OwnerSession, query: &ast::Query, table: &QName) -> Result<(View, BTreeSet<String>)> {
    let catalog = ServerCatalog::new(owner);
    let view = ivm::compile::whole(query, &catalog, table)?;
    Ok((view, catalog.equality_schemas()))
}

/// What would give the rows of a query a key, for the tables of its compiled view.
pub fn key_remedy(
    owner: &OwnerSession,
    query: &ast::Query,
    view: &View,
    constraints: &BTreeMap<QName, Constraints>,
) -> Result<Option<Remedy>> {
    Ok(ivm::explain::key::remedy(query, view, &ServerCatalog::new(owner), constraints)?)
}

/// Where internal node `node` of stream table `id` lives.
pub fn node_table(id: i32, node: usize) -> QName {
    QName::qualified("pgtrickle_state", format!("n_{id}_{}", node + 1))
}

/// The view that holds the definition of stream table `id`.
pub fn definition_view(id: i32) -> QName {
    QName::qualified("pgtrickle_state", format!("q_{id}"))
}
