//! The columns of a query: names and types, found as PostgreSQL's analysis would.

use super::{MemoryCatalog, expr};
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, TypeName};
use crate::sql::ast::{Alias, Body, Expr, From, Item, JoinOn, Name, Query, Select};
use crate::sql::ident::Ident;

/// A column's name and the name of its type.
pub type Column = (Ident, String);

/// What names mean at one place of a query.
#[derive(Clone)]
pub struct Scope<'a> {
    pub catalog: &'a MemoryCatalog,
    ctes: Vec<(Ident, Vec<Column>)>,
    items: Vec<(Ident, Vec<Column>)>,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    pub fn new(catalog: &'a MemoryCatalog) -> Scope<'a> {
        Scope { catalog, ctes: vec![], items: vec![], outer: None }
    }

    fn inner(&'a self) -> Scope<'a> {
        Scope { catalog: self.catalog, ctes: self.ctes.clone(), items: vec![], outer: Some(self) }
    }

    pub fn column(&self, name: &Name) -> Result<String> {
        let mut items = self.items.iter().filter(|(alias, _)| name.relation.as_ref().is_none_or(|r| r == alias));
        let found = items.find_map(|(_, columns)| columns.iter().find(|(column, _)| *column == name.column));
        match (found, self.outer) {
            (Some((_, ty)), _) => Ok(ty.clone()),
            (None, Some(outer)) => outer.column(name),
            (None, None) => Err(Error::Catalog(format!("column \"{}\" does not exist", name.column))),
        }
    }
}

/// The output columns of a query.
pub fn query(query: &Query, scope: &Scope) -> Result<Vec<Column>> {
    let mut inner = scope.inner();
    for cte in query.with.iter().flat_map(|with| &with.ctes) {
        // The first arm of a recursive query has the columns of all of it.
        let named = match &cte.query.body {
            Body::SetOp { left, .. } if query.with.iter().any(|with| with.recursive) => left,
            _ => &cte.query,
        };
        let columns = self::query(named, &inner)?;
        inner.ctes.push((cte.name.clone(), renamed(columns, cte.columns.iter())));
    }
    match &query.body {
        Body::Select(s) => select(s, &inner),
        Body::Values(rows) => {
            let width = rows.first().map_or(0, Vec::len);
            let column = |at: usize| {
                let types = rows.iter().map(|row| expr::infer(&row[at], &inner)).collect::<Result<Vec<_>>>()?;
                Ok((Ident::new(format!("column{}", at + 1)), expr::common(types)))
            };
            (0..width).map(column).collect()
        }
        Body::SetOp { left, right, .. } => {
            let (left, right) = (self::query(left, &inner)?, self::query(right, &inner)?);
            let paired = left.into_iter().zip(right);
            Ok(paired.map(|((name, left), (_, right))| (name, expr::common(vec![left, right]))).collect())
        }
    }
}

fn select(select: &Select, scope: &Scope) -> Result<Vec<Column>> {
    let mut inner = Scope { catalog: scope.catalog, ctes: scope.ctes.clone(), items: vec![], outer: scope.outer };
    for item in &select.from {
        let items = from(item, &inner)?;
        inner.items.extend(items);
    }
    let mut conditions = select.filter.iter().chain(&select.having);
    conditions.try_for_each(|condition| expr::infer(condition, &inner).map(drop))?;
    let column = |Item { expr, alias }: &Item| {
        let name = alias.clone().unwrap_or_else(|| default_name(expr));
        Ok((name, expr::infer(expr, &inner)?))
    };
    select.items.iter().map(column).collect()
}

/// The scope of the select list of a query without CTEs.
pub fn within<'a>(select: &Select, scope: &'a Scope<'a>) -> Result<Scope<'a>> {
    let mut inner = scope.inner();
    for item in &select.from {
        let items = from(item, &inner)?;
        inner.items.extend(items);
    }
    Ok(inner)
}

fn default_name(expr: &crate::sql::ast::Expr) -> Ident {
    match expr {
        crate::expr::Expr::Column(name) => name.column.clone(),
        crate::expr::Expr::Call(call) => call.name.name.clone(),
        _ => Ident::new("?column?"),
    }
}

fn from(item: &From, scope: &Scope) -> Result<Vec<(Ident, Vec<Column>)>> {
    Ok(match item {
        From::Table { name, alias } => {
            let cte = scope.ctes.iter().rev().find(|(cte, _)| name.schema.is_none() && *cte == name.name);
            let columns = match cte {
                Some((_, columns)) => columns.clone(),
                None => {
                    let columns = &scope.catalog.find(name)?.columns;
                    columns.iter().map(|column| (column.name.clone(), column.ty.name.clone())).collect()
                }
            };
            vec![aliased(alias.as_ref(), &name.name, columns)]
        }
        From::Derived { query, alias, .. } => {
            vec![aliased(Some(alias), &alias.name, self::query(query, scope)?)]
        }
        From::Function { call, alias, ordinality, .. } => {
            let alias = alias.as_ref().ok_or(Error::Catalog("a function in FROM without an alias".to_owned()))?;
            vec![(alias.name.clone(), returned(call, alias, *ordinality, scope)?)]
        }
        From::Join { left, right, on, alias, .. } => {
            let mut items = from(left, scope)?;
            let mut beside = scope.clone();
            beside.items.extend(items.clone());
            items.extend(from(right, &beside)?);
            match (alias, on) {
                (Some(alias), JoinOn::Using(merged)) => {
                    let all: Vec<Column> = items.into_iter().flat_map(|(_, columns)| columns).collect();
                    let first = |name: &Ident| all.iter().find(|(column, _)| column == name).cloned();
                    let rest = all.iter().filter(|(name, _)| !merged.contains(name)).cloned();
                    let columns = merged.iter().filter_map(first).chain(rest).collect();
                    vec![aliased(Some(alias), &alias.name, columns)]
                }
                (Some(alias), _) => {
                    let all = items.into_iter().flat_map(|(_, columns)| columns).collect();
                    vec![aliased(Some(alias), &alias.name, all)]
                }
                (None, _) => items,
            }
        }
    })
}

/// The columns of a function in FROM: each as its alias declares it, else as the function returns it.
fn returned(call: &Expr, alias: &Alias, ordinality: bool, scope: &Scope) -> Result<Vec<Column>> {
    let mut types = match call {
        Generic::Call(call) if call.name.name.as_str() == "unnest" => {
            call.args.iter().map(|arg| Ok(expr::element(&expr::infer(&arg.value, scope)?))).collect::<Result<_>>()?
        }
        call => vec![expr::infer(call, scope)?],
    };
    types.extend(ordinality.then(|| "bigint".to_owned()));
    let column = |(at, (name, declared)): (usize, &(Ident, Option<TypeName>))| {
        let ty = declared.as_ref().map(|ty| ty.0.clone()).or_else(|| types.get(at).cloned());
        Ok((name.clone(), ty.ok_or(Error::Catalog(format!("column {name} of a function has no known type")))?))
    };
    alias.columns.iter().enumerate().map(column).collect()
}

fn aliased(alias: Option<&Alias>, name: &Ident, columns: Vec<Column>) -> (Ident, Vec<Column>) {
    match alias {
        None => (name.clone(), columns),
        Some(alias) => (alias.name.clone(), renamed(columns, alias.columns.iter().map(|(name, _)| name))),
    }
}

fn renamed<'a>(columns: Vec<Column>, names: impl Iterator<Item = &'a Ident>) -> Vec<Column> {
    let mut names = names.cloned();
    columns.into_iter().map(|(name, ty)| (names.next().unwrap_or(name), ty)).collect()
}
