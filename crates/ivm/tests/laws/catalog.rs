//! The three tables as a catalog.

use ivm::sql::ident::QName;
use ivm::testing::memory::MemoryCatalog;

use crate::plans::{Declared, TABLES};

pub fn catalog() -> MemoryCatalog {
    let table = |catalog: MemoryCatalog, (name, columns): &Declared| {
        let columns: Vec<_> = columns.iter().map(|(column, _, sql)| (*column, *sql, *column == "k")).collect();
        catalog.table(QName::qualified("public", *name), &columns)
    };
    let catalog = TABLES.iter().fold(MemoryCatalog::default(), table);
    catalog.key(QName::qualified("public", "t"), &["id"])
}
