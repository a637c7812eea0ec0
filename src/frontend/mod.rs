//! From the user's query to a compiled view. PostgreSQL analyses and prints; `ivm` reads and compiles.
//!
//! **Invariant:** what we read back is what PostgreSQL printed: our own rendering, analysed and printed
//! again, equals the canonical text. Anything else runs FULL with a reason; nothing is guessed.

mod server_catalog;
mod sources;

use ivm::sql::ast;
use ivm::sql::ident::QName;
use ivm::view::View;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;

use crate::error::{Error, Result};
use crate::pg::spi::Session;
use crate::pg::{guard, query};

pub use server_catalog::ServerCatalog;
use sources::refuse_unsafe_functions;
pub use sources::{SourceTable, checked, reads_clock, sources};

/// What PostgreSQL makes of a defining query.
pub struct Definition {
    /// Printed with views expanded, under pinned settings.
    pub canonical: String,
    /// The path under which that text means what it meant to the user.
    pub search_path: String,
    /// Our reading of it, or why there is none.
    pub ast: std::result::Result<ast::Query, ivm::Error>,
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

fn printing<R>(path: &str, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let settings: Vec<(&str, &str)> = PRINTING.into_iter().chain([("search_path", path)]).collect();
    guard::with_settings(&settings, f)
}

/// Reads the definition that `view` holds.
pub fn define(session: &Session, view: Oid) -> Result<Definition> {
    let search_path = sources::evaluation_path(session, view)?;
    let analysed = printing(&search_path, || query::of_view(view))?;
    if analysed.volatile {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "the query of a stream table must not call volatile functions",
        )
        .detail("A volatile function can give another result at every call, so no table can stay equal to the query.")
        .hint("Compute the value when the source row is written, or use an immutable function."));
    }
    refuse_unsafe_functions(session, view, &analysed.text)?;
    let ast = read(&analysed.text, &search_path)?;
    Ok(Definition { canonical: analysed.text, search_path, ast })
}

/// The canonical text of `view` alone, to compare with what was compiled.
pub fn canonical(view: Oid, search_path: &str) -> Result<String> {
    Ok(printing(search_path, || query::of_view(view))?.text)
}

/// Parses canonical text and checks our reading against PostgreSQL's.
fn read(canonical: &str, path: &str) -> Result<std::result::Result<ast::Query, ivm::Error>> {
    let parsed = match ivm::canon::parse(canonical) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(Err(error)),
    };
    let rendered = ivm::sql::print::query(&parsed);
    match self_check(canonical, &rendered, path) {
        Ok(true) => Ok(Ok(parsed)),
        Ok(false) => Ok(Err(ivm::Error::unsupported(
            "this query",
            "Its text, read and written by us, is not the same query to PostgreSQL.",
            "Please report the query; until then it is recomputed.",
        ))),
        Err(error) => Ok(Err(ivm::Error::unsupported(
            "this query",
            &error.to_string(),
            "Please report the query; until then it is recomputed.",
        ))),
    }
}

/// PostgreSQL's printing reaches its fixed point in the second round at the latest.
fn self_check(canonical: &str, rendered: &str, path: &str) -> Result<bool> {
    crate::pg::subxact::subtransaction(|| {
        printing(path, || {
            let ours = query::of_text(rendered)?.text;
            if ours == canonical {
                return Ok(true);
            }
            let again = query::of_text(canonical)?.text;
            Ok(ours == again || query::of_text(&ours)?.text == again)
        })
    })
}

/// The reading of a canonical text that passed the self-check when its stream table was made.
pub fn reread(canonical: &str) -> Result<ast::Query> {
    Ok(ivm::canon::parse(canonical)?)
}

/// Compiles a reading into nodes and programs for the table `table` of stream table `id`.
pub fn compile(session: &Session, reading: &ast::Query, table: &QName, id: i32) -> Result<View> {
    let catalog = ServerCatalog::new(session);
    Ok(ivm::compile::compile(reading, &catalog, table, &|node| node_table(id, node))?)
}

/// Where internal node `node` of stream table `id` lives.
pub fn node_table(id: i32, node: usize) -> QName {
    QName::qualified("pgtrickle_state", format!("n_{id}_{}", node + 1))
}

/// The view that holds the definition of stream table `id`.
pub fn definition_view(id: i32) -> QName {
    QName::qualified("pgtrickle_state", format!("q_{id}"))
}
