//! Random databases and plans for the `law_*` tests of this crate's modules.
//!
//! Two bags with NULLs and duplicates and one keyed table:
//! `r(a integer, b integer, t text, x numeric)` with an index on `a`, `s(a integer, d integer not null)`,
//! `u(id integer primary key, e integer)`.

mod plans;
mod tables;

use proptest::test_runner::Config as ProptestConfig;

use crate::plan::Relation;
use crate::sql::ident::QName;
use crate::testing::memory::MemoryCatalog;

pub use plans::arb_plan;
pub use tables::arb_tables;

/// Name, columns as `(name, type, not null)`, key.
type TableSpec = (&'static str, &'static [(&'static str, &'static str, bool)], &'static [&'static str]);

const TABLES: [TableSpec; 3] = [
    ("r", &[("a", "integer", false), ("b", "integer", false), ("t", "text", false), ("x", "numeric", false)], &[]),
    ("s", &[("a", "integer", false), ("d", "integer", true)], &[]),
    ("u", &[("id", "integer", true), ("e", "integer", false)], &["id"]),
];

/// A configuration that runs this many cases and leaves no files: a failure shrinks to a test of its own.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The catalog of the tables.
pub fn catalog() -> MemoryCatalog {
    let tables = TABLES.into_iter().fold(MemoryCatalog::default(), |catalog, (name, columns, key)| {
        let catalog = catalog.table(table(name), columns);
        if key.is_empty() { catalog } else { catalog.key(table(name), key) }
    });
    tables.index(table("r"), &["a"])
}

/// The name of a table of the catalog.
pub fn table(name: &str) -> QName {
    QName::qualified("public", name)
}

/// A table of the catalog as a relation.
pub fn source(name: &str) -> Relation {
    Relation::Source(table(name))
}
