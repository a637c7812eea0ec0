//! A catalog held in memory: tables, keys and functions are declared, types are inferred.
//!
//! It answers for tests and for documentation; the inference knows the types and functions that these
//! use and refuses the rest.

mod expr;
mod infer;

use std::collections::BTreeMap;

use crate::catalog::{Catalog, ColumnType, Equality, FunctionKind, Ordered, SourceColumn};
use crate::error::{Error, Result};
use crate::sql::ast::Query;
use crate::sql::ident::{Ident, QName};

/// Tables and functions.
#[derive(Clone, Debug, Default)]
pub struct MemoryCatalog {
    tables: BTreeMap<QName, Table>,
    functions: BTreeMap<QName, (FunctionKind, String)>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    columns: Vec<SourceColumn>,
    keys: Vec<Vec<Ident>>,
    /// The columns of further indexes.
    indexed: Vec<Vec<Ident>>,
}

impl MemoryCatalog {
    /// Declares a table by its columns: name, type, whether it is not null.
    pub fn table(mut self, name: QName, columns: &[(&str, &str, bool)]) -> Self {
        let column = |(name, ty, not_null): &(&str, &str, bool)| SourceColumn {
            name: Ident::new(*name),
            ty: column_type(ty),
            not_null: *not_null,
        };
        let columns = columns.iter().map(column).collect();
        self.tables.insert(name, Table { columns, ..Table::default() });
        self
    }

    /// Declares that columns of a table are its key; they become not null.
    pub fn key(mut self, table: QName, columns: &[&str]) -> Self {
        if let Some(table) = self.tables.get_mut(&table) {
            table.keys.push(columns.iter().map(|column| Ident::new(*column)).collect());
            let is_key = |column: &&mut SourceColumn| columns.contains(&column.name.as_str());
            table.columns.iter_mut().filter(is_key).for_each(|column| column.not_null = true);
        }
        self
    }

    /// Declares an index of a table.
    pub fn index(mut self, table: QName, columns: &[&str]) -> Self {
        if let Some(table) = self.tables.get_mut(&table) {
            table.indexed.push(columns.iter().map(|column| Ident::new(*column)).collect());
        }
        self
    }

    /// Declares a function and the type of its result.
    pub fn function(mut self, name: QName, kind: FunctionKind, result: &str) -> Self {
        self.functions.insert(name, (kind, result.to_owned()));
        self
    }

    fn find(&self, relation: &QName) -> Result<&Table> {
        self.tables.get(relation).ok_or_else(|| Error::Catalog(format!("relation \"{relation}\" does not exist")))
    }
}

impl Catalog for MemoryCatalog {
    fn columns(&self, relation: &QName) -> Result<Vec<SourceColumn>> {
        Ok(self.find(relation)?.columns.clone())
    }

    fn keys(&self, relation: &QName) -> Result<Vec<Vec<Ident>>> {
        Ok(self.find(relation)?.keys.clone())
    }

    fn leads(&self, relation: &QName, column: &Ident) -> Result<bool> {
        let table = self.find(relation)?;
        Ok(table.keys.iter().chain(&table.indexed).any(|index| index.first() == Some(column)))
    }

    fn orders(&self, relation: &QName) -> Result<Vec<Vec<Ordered>>> {
        let table = self.find(relation)?;
        let ordered = |name: &Ident| Ordered { name: name.clone(), nulls_least: false };
        Ok(table.keys.iter().chain(&table.indexed).map(|index| index.iter().map(ordered).collect()).collect())
    }

    fn function(&self, name: &QName) -> Result<FunctionKind> {
        if let Some((kind, _)) = self.functions.get(name) {
            return Ok(*kind);
        }
        let listed = |names: &[&str]| name.schema.is_none() && names.contains(&name.name.as_str());
        Ok(match () {
            () if listed(AGGREGATES) => FunctionKind::Aggregate,
            () if listed(WINDOW_FUNCTIONS) => FunctionKind::Window,
            () if listed(SET_FUNCTIONS) => FunctionKind::Set,
            () => FunctionKind::Scalar,
        })
    }

    fn describe(&self, query: &Query) -> Result<Vec<ColumnType>> {
        let columns = infer::query(query, &infer::Scope::new(self))?;
        Ok(columns.into_iter().map(|(_, ty)| column_type(if ty == expr::UNKNOWN { "text" } else { &ty })).collect())
    }

    fn printed(&self, query: &Query) -> Result<Query> {
        expr::with_casts(query, &infer::Scope::new(self))
    }
}

const AGGREGATES: &[&str] = &[
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "every",
    "json_agg",
    "jsonb_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "stddev",
    "string_agg",
    "sum",
    "variance",
];

const WINDOW_FUNCTIONS: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

const SET_FUNCTIONS: &[&str] = &["generate_series", "jsonb_array_elements", "regexp_matches", "unnest"];

/// The type of this name, as the server would describe it.
pub fn column_type(name: &str) -> ColumnType {
    let base = expr::base(name);
    let equality = match base.as_str() {
        "numeric" | "double precision" | "real" | "interval" | "character" => Equality::Loose,
        "json" | "xml" | "point" => Equality::Missing,
        _ => Equality::Image,
    };
    let hashable = equality != Equality::Missing;
    ColumnType { name: name.to_owned(), base, collation: None, equality, hashable, sortable: hashable }
}

#[cfg(test)]
mod tests;
