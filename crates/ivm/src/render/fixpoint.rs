//! A fixpoint is a `WITH RECURSIVE` of its own.

use super::Renderer;
use crate::error::Result;
use crate::plan::{Fixpoint, Relation};
use crate::recursion::{RECURSION, free_name};
use crate::sql::ast::{Body, Cte, Distinct, From, Item, Query, Select, SetOp, With, col};
use crate::sql::ident::{Ident, QName};

impl Renderer<'_> {
    /// `WITH RECURSIVE … SELECT`, its columns under these names.
    pub fn fixpoint(&mut self, fixpoint: &Fixpoint, names: &[Ident]) -> Result<Query> {
        let own = fixpoint.names();
        let cte = self.aliases.take(&Ident::new(RECURSION));
        let (base, ids) = &fixpoint.base;
        let base = self.block(base)?.select(ids, &own, Distinct::No)?;
        self.recursions.insert(fixpoint.number, cte.clone());
        let (step, ids) = &fixpoint.step;
        let step = self.block(step)?.select(ids, &own, Distinct::No)?;
        self.recursions.remove(&fixpoint.number);
        let body = Body::SetOp { op: SetOp::Union, all: fixpoint.all, left: Box::new(base), right: Box::new(step) };
        let query = Query { with: None, body, order_by: vec![], limit: None, offset: None };
        let items = own.iter().zip(names).map(|(column, name)| {
            let alias = (column != name).then(|| name.clone());
            Item { expr: col(cte.as_str(), column.as_str()), alias }
        });
        let items = items.collect();
        let from = vec![From::Table { name: QName { schema: None, name: cte.clone() }, alias: None }];
        let ctes = vec![Cte { name: cte, columns: own, materialized: None, query }];
        let shown = Query::select(Select { items, from, ..Select::default() });
        Ok(Query { with: Some(With { recursive: true, ctes }), ..shown })
    }

    /// The name of what a scan reads.
    pub fn relation(&self, relation: &Relation) -> QName {
        let Relation::Recursion(number) = relation else { return (self.names)(relation) };
        let name = self.recursions.get(number).cloned().unwrap_or_else(|| free_name(*number));
        QName { schema: None, name }
    }
}
