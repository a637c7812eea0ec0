//! Name resolution at one place of a query.

use std::cell::Cell;

use super::row_order::RowOrder;
use crate::error::{Error, Result};
use crate::plan::ColId;
use crate::refuse;
use crate::sql::ast::{Cte, Expr, Name, With};
use crate::sql::ident::{Ident, QName};
use crate::sql::print;

/// What a query can refer to, its own FROM clause excepted.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    pub ctes: Ctes<'a>,
    /// The place of the expression, or of the LATERAL item, that holds the query.
    pub outer: Option<&'a Place<'a>>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub scope: &'a Scope,
    pub context: Context<'a>,
}

impl<'a> Context<'a> {
    pub fn within(self, ctes: Ctes<'a>) -> Context<'a> {
        Context { ctes, ..self }
    }

    /// The context of a query at a place of this one.
    pub fn at(place: &'a Place<'a>) -> Context<'a> {
        Context { ctes: place.context.ctes, outer: Some(place) }
    }
}

impl Place<'_> {
    /// A column of the innermost query that has one of this name.
    pub fn column(&self, name: &Name) -> Result<ColId> {
        match (self.scope.find(name.relation.as_ref(), &name.column)?, self.context.outer) {
            (Some(id), _) => Ok(id),
            (None, Some(outer)) => outer.column(name),
            (None, None) => self.scope.column(name),
        }
    }
}

/// The columns that a FROM clause offers.
#[derive(Clone, Default)]
pub struct Scope {
    items: Vec<Item>,
    /// The columns that USING merged, by their bare names.
    merged: Vec<(Ident, ColId)>,
    /// The order of its rows.
    pub row_order: RowOrder,
}

#[derive(Clone)]
struct Item {
    name: Ident,
    columns: Vec<(Ident, ColId)>,
}

const SYSTEM_COLUMNS: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

impl Scope {
    /// One FROM item.
    pub fn item(name: Ident, columns: Vec<(Ident, ColId)>) -> Scope {
        Scope { items: vec![Item { name, columns }], merged: vec![], row_order: RowOrder::Any }
    }

    /// The names of both FROM clauses.
    pub fn and(mut self, other: Scope) -> Scope {
        self.items.extend(other.items);
        self.merged.extend(other.merged);
        self.row_order = self.row_order.mixed(other.row_order);
        self
    }

    /// The same names, for rows in this order.
    pub fn with_row_order(self, row_order: RowOrder) -> Scope {
        Scope { row_order, ..self }
    }

    /// The same names for other columns.
    pub fn mapped(mut self, of: &dyn Fn(ColId) -> ColId) -> Scope {
        let ids = self.items.iter_mut().flat_map(|item| &mut item.columns).chain(&mut self.merged);
        ids.for_each(|(_, id)| *id = of(*id));
        self
    }

    pub fn merge(&mut self, name: Ident, id: ColId) {
        self.merged.retain(|(merged, _)| *merged != name);
        self.merged.push((name, id));
    }

    pub fn column(&self, name: &Name) -> Result<ColId> {
        let found = self.find(name.relation.as_ref(), &name.column)?;
        found.ok_or_else(|| match SYSTEM_COLUMNS.contains(&name.column.as_str()) {
            true => refuse::system_column(&name.column),
            false => Error::Syntax(format!("column {} is not in scope", print::expr(&Expr::Column(name.clone())))),
        })
    }

    fn find(&self, relation: Option<&Ident>, column: &Ident) -> Result<Option<ColId>> {
        let merged = self.merged.iter().find(|(merged, _)| relation.is_none() && merged == column);
        if let Some((_, id)) = merged {
            return Ok(Some(*id));
        }
        let items = self.items.iter().filter(|item| relation.is_none_or(|relation| item.name == *relation));
        let mut found = items.flat_map(|item| &item.columns).filter(|(name, _)| name == column);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Error::Syntax(format!("column {column} is ambiguous"))),
            (first, _) => Ok(first.map(|(_, id)| *id)),
        }
    }

    /// All columns in the order of `*`: merged ones first, once.
    pub fn columns(&self, merged: &[Ident]) -> Result<Vec<(Ident, ColId)>> {
        let mut columns = vec![];
        for name in merged {
            columns.extend(self.find(None, name)?.map(|id| (name.clone(), id)));
        }
        let all = self.items.iter().flat_map(|item| &item.columns);
        columns.extend(all.filter(|(name, _)| !merged.contains(name)).cloned());
        Ok(columns)
    }
}

/// The CTEs that a query can refer to, innermost first.
#[derive(Clone, Copy, Default)]
pub struct Ctes<'a> {
    outer: Option<&'a Ctes<'a>>,
    visible: &'a [Cte],
    /// Those of WITH RECURSIVE that are not complete here: a reference is a recursion.
    open: &'a [Cte],
    /// The recursive CTE whose second arm is being bound.
    own: Option<&'a Recursion>,
    pub recursive: bool,
}

/// A recursive CTE whose second arm is being bound.
pub struct Recursion {
    pub name: Ident,
    pub number: u32,
    /// Its columns by the names of the CTE, and by the names under which a scan reads them.
    pub columns: Vec<(Ident, Ident)>,
    pub used: Cell<bool>,
}

/// What the name of a CTE stands for.
pub enum Found<'a> {
    Cte(&'a Cte, Ctes<'a>),
    Own(&'a Recursion),
}

impl<'a> Ctes<'a> {
    pub fn with(&'a self, with: &'a With) -> Ctes<'a> {
        Ctes { outer: Some(self), visible: &with.ctes, open: &[], own: None, recursive: with.recursive }
    }

    /// The same, where a recursive CTE can refer to itself.
    pub fn within(&self, own: &'a Recursion) -> Ctes<'a> {
        Ctes { own: Some(own), ..*self }
    }

    /// The CTE of this name and what its own query can refer to.
    pub fn find(&self, name: &QName) -> Result<Option<Found<'a>>> {
        let named = |cte: &Cte| name.schema.is_none() && cte.name == name.name;
        if let Some(own) = self.own.filter(|own| name.schema.is_none() && own.name == name.name) {
            own.used.set(true);
            return Ok(Some(Found::Own(own)));
        }
        if self.open.iter().any(named) {
            return Err(refuse::recursion(&name.name));
        }
        match self.visible.iter().rposition(named) {
            Some(at) => {
                let (visible, rest) = self.visible.split_at(at);
                let open = if self.recursive { rest } else { &[] };
                Ok(rest.first().map(|cte| Found::Cte(cte, Ctes { visible, open, own: None, ..*self })))
            }
            None => self.outer.map_or(Ok(None), |outer| outer.find(name)),
        }
    }
}
