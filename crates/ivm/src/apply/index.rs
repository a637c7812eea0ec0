//! The index by which a table's rows are found again.

use crate::identity::{hash, named};
use crate::sql::ast::{self, bare};
use crate::sql::ident::QName;
use crate::sql::index;
use crate::view::{Identity, NodeColumn};

/// The index that serves [`crate::identity::same_row`]; `None` for a table of one row, or one that nothing can index.
pub fn ddl(table: &QName, identity: &Identity, columns: &[NodeColumn]) -> Option<String> {
    let side = |column: &NodeColumn| bare(column.name.as_str());
    let keys: Vec<ast::Expr> = match identity {
        Identity::Key(names) => named(columns, names).into_iter().map(side).collect(),
        Identity::HashedKey(names) => hash(&named(columns, names), &side).into_iter().collect(),
        Identity::Bag => hash(&columns.iter().collect::<Vec<_>>(), &side).into_iter().collect(),
    };
    let unique = matches!(identity, Identity::Key(_));
    (!keys.is_empty()).then(|| index::create(table, unique, &keys))
}
