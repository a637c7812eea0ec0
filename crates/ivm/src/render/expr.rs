//! Expressions over columns become expressions over names.

use std::collections::BTreeMap;

use super::Renderer;
use crate::error::{Error, Result};
use crate::expr::Mapper;
use crate::plan::{self, ColId, Plan};
use crate::sql::ast::{Expr, Query};

/// What a column is in the SELECT under construction.
pub type Columns = BTreeMap<ColId, Expr>;

impl Renderer<'_> {
    /// An expression where `columns` says what its columns are; subqueries see them too.
    pub fn expr(&mut self, e: &plan::Expr, columns: &Columns) -> Result<Expr> {
        e.clone().map_with(&mut Substitution { renderer: self, columns })
    }
}

struct Substitution<'a, 'b> {
    renderer: &'a mut Renderer<'b>,
    columns: &'a Columns,
}

impl Mapper<ColId, Plan> for Substitution<'_, '_> {
    type C2 = crate::sql::ast::Name;
    type Q2 = Query;

    fn column(&mut self, id: ColId) -> Result<Expr> {
        let outer = self.renderer.outer.iter().rev();
        let found = std::iter::once(self.columns).chain(outer).find_map(|columns| columns.get(&id));
        found.cloned().ok_or(Error::Bug("an expression reads a column that its input has not"))
    }

    fn query(&mut self, plan: Plan) -> Result<Query> {
        self.renderer.outer.push(self.columns.clone());
        let query = self.renderer.query(&plan);
        self.renderer.outer.pop();
        query
    }
}
