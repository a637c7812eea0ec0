//! Set-returning functions: in FROM, joined with the row that they are called for, or in a select list of their own.

use super::block::{Block, crossed, joined};
use super::{Renderer, names};
use crate::error::{Error, Result};
use crate::expr::Expr as Generic;
use crate::plan::{ColId, Column, Project, Unnest};
use crate::sql::ast::{Alias, Distinct, Expr, From, JoinKind, JoinOn, Query, col};
use crate::sql::ident::Ident;

impl Renderer<'_> {
    /// A SELECT whose list makes several rows of one: no other operator may share it.
    pub fn expand(&mut self, expand: &Project, ids: &[ColId], names: &[Ident]) -> Result<Query> {
        let mut block = self.flat(&expand.input)?;
        block.columns = self.computed(&expand.columns, &block.columns)?;
        block.select(ids, names, Distinct::No)
    }

    /// `…, LATERAL f(x) AS f(a, b)`.
    pub fn unnest(&mut self, unnest: &Unnest) -> Result<Block> {
        let mut block = self.flat_if(&unnest.input, |block| !unnest.outer || !block.from.is_empty())?;
        let Generic::Call(call) = &unnest.call else { return Err(Error::Bug("a FROM item that is no call")) };
        let name = self.aliases.take(&call.name.name);
        let call = Box::new(self.expr(&unnest.call, &block.columns)?);
        let columns: Vec<Column> = unnest.columns.iter().map(|(column, _)| column.clone()).collect();
        let listed = names::unique(&columns);
        for (column, own) in columns.iter().zip(&listed) {
            block.columns.insert(column.id, col(name.as_str(), own.as_str()));
        }
        let types = unnest.columns.iter().map(|(_, ty)| ty.clone());
        let alias = Some(Alias { name, columns: listed.into_iter().zip(types).collect() });
        let lateral = !block.from.is_empty();
        let function = From::Function { call, alias, lateral, ordinality: unnest.ordinality };
        match unnest.outer {
            false => block.from.push(function),
            true => {
                let left = crossed(std::mem::take(&mut block.from));
                let on = JoinOn::On(Expr::bool(true));
                block.from = left.map(|left| joined(JoinKind::Left, left, function, on)).into_iter().collect();
            }
        }
        Ok(block)
    }
}
