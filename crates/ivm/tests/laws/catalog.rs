//! The three tables as a catalog.

use ivm::sql::ident::QName;
use ivm::testing::memory::MemoryCatalog;

use crate::plans::{Declared, TABLES};

/// Indexes that find the extrema of groups.
const INDEXES: [(&str, &[&str]); 5] =
    [("r", &["a", "b"]), ("r", &["b"]), ("s", &["a", "y"]), ("t", &["k", "v"]), ("t", &["k", "id"])];

pub fn catalog() -> MemoryCatalog {
    let table = |catalog: MemoryCatalog, (name, columns): &Declared| {
        let columns: Vec<_> = columns.iter().map(|(column, _, sql)| (*column, *sql, *column == "k")).collect();
        catalog.table(QName::qualified("public", *name), &columns)
    };
    let catalog = TABLES.iter().fold(MemoryCatalog::default(), table);
    let index = |catalog: MemoryCatalog, (table, columns): &(&str, &[&str])| {
        catalog.index(QName::qualified("public", *table), columns)
    };
    INDEXES.iter().fold(catalog.key(QName::qualified("public", "t"), &["id"]), index)
}
