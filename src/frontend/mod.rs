//! From the user's query to a compiled view. PostgreSQL analyses and prints; `ivm` reads and compiles.
//!
//! **Invariant:** what we read back is what PostgreSQL printed: our own rendering, analysed and printed
//! again, equals the canonical text. Anything else runs FULL with a reason; nothing is guessed.

mod calls;
mod path;
mod server_catalog;
mod sources;

use std::collections::BTreeSet;

use ivm::sql::ast;
use ivm::sql::ident::QName;
use ivm::view::View;
use pgrx::pg_sys::Oid;

use crate::error::{Kind, Result};
use crate::pg::query::{Analysed, Calls};
use crate::pg::spi::OwnerSession;
use crate::pg::{guard, query};

pub use path::{Path, open_schemas};
pub use server_catalog::ServerCatalog;
pub use sources::sources;

/// What PostgreSQL makes of a defining query.
pub struct Definition {
    /// Printed with views expanded, under pinned settings, names outside of `pg_catalog` with their schema.
    pub canonical: String,
    /// The shortest path under which that text means what it meant to the user.
    pub path: Path,
    /// Our reading of it, or why there is none.
    pub ast: std::result::Result<ast::Query, ivm::Error>,
    /// It asks what time it is.
    pub reads_clock: bool,
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

/// The text of a query under the path that shows only the server's own names.
fn printed(query: &Analysed) -> Result<String> {
    printing(&Path::default(), || Ok(query.text()))
}

/// A query of ours, analysed under the current path, as PostgreSQL prints it.
fn reprinted(owner: &OwnerSession, sql: &str) -> Result<String> {
    printed(&guard::with_settings(&PRINTING, || query::of_text(owner, sql))?)
}

/// Reads the definition that `view` holds.
pub fn define(owner: &OwnerSession, view: Oid) -> Result<Definition> {
    let query = query::of_view(owner, view)?;
    let calls = query.calls();
    let reads_clock = owner.catalog(|session| calls::check(session, &calls))?;
    let canonical = printed(&query)?;
    let (path, ast) = read(owner, view, &canonical, &calls)?;
    Ok(Definition { canonical, path, ast, reads_clock })
}

/// The canonical text of `view` alone, to compare with what was compiled.
pub fn canonical(owner: &OwnerSession, view: Oid) -> Result<String> {
    printed(&query::of_view(owner, view)?)
}

/// Parses canonical text and checks our reading against PostgreSQL's, under the shortest path for which they agree.
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
    let mut reason = "Its text, read and written by us, is not the same query to PostgreSQL.".to_owned();
    let schemas = owner.catalog(|session| sources::operator_schemas(session, view))?;
    for path in [Path::default(), Path::with(schemas)] {
        match self_check(owner, canonical, &rendered, &path, calls) {
            Ok(true) => return Ok((path, Ok(parsed))),
            Ok(false) => {}
            // A cancelled check, or one that met a lock, says nothing of the query.
            Err(error) if error.kind() == Kind::Transient => return Err(error),
            Err(error) => reason = error.to_string(),
        }
    }
    let hint = "Please report the query; until then it is recomputed.";
    Ok((Path::default(), Err(ivm::Error::unsupported("this query", &reason, hint))))
}

/// Whether our text of a query is the same query to PostgreSQL, whose printing reaches its fixed point in the second
/// round at the latest. The operators of `IS DISTINCT FROM` and its kin are not in any text: the functions of users that
/// are called tell whether they are others.
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

/// The reading of a canonical text that passed the self-check when its stream table was made.
pub fn reread(canonical: &str) -> Result<ast::Query> {
    Ok(ivm::canon::parse(canonical)?)
}

/// Compiles a reading into nodes and programs for the table `table` of stream table `id`, under the current path. Also
/// the schemas that this path needs for the equality of the columns' types.
pub fn compile(owner: &OwnerSession, reading: &ast::Query, table: &QName, id: i32) -> Result<(View, BTreeSet<String>)> {
    let catalog = ServerCatalog::new(owner);
    let view = ivm::compile::compile(reading, &catalog, table, &|node| node_table(id, node))?;
    Ok((view, catalog.equality_schemas()))
}

/// The same as one node that is compared with the table `table`, and not cut.
pub fn compile_whole(owner: &OwnerSession, reading: &ast::Query, table: &QName) -> Result<(View, BTreeSet<String>)> {
    let catalog = ServerCatalog::new(owner);
    let view = ivm::compile::whole(reading, &catalog, table)?;
    Ok((view, catalog.equality_schemas()))
}

/// Where internal node `node` of stream table `id` lives.
pub fn node_table(id: i32, node: usize) -> QName {
    QName::qualified("pgtrickle_state", format!("n_{id}_{}", node + 1))
}

/// The view that holds the definition of stream table `id`.
pub fn definition_view(id: i32) -> QName {
    QName::qualified("pgtrickle_state", format!("q_{id}"))
}
