//! The first rows of an order: ORDER BY and LIMIT, or, for each partition, a row number that is compared with them.

use super::{Renderer, item};
use crate::error::Result;
use crate::expr::{Call, Expr as Generic, Over, Window};
use crate::plan::{ColId, TopK};
use crate::sql::ast::{Distinct, Expr, From, Limit, Order, Query, Select, col};
use crate::sql::ident::{Ident, QName};

/// The name of the row number.
const PLACE: &str = "place";

impl Renderer<'_> {
    pub fn top_k(&mut self, top: &TopK, ids: &[ColId], names: &[Ident]) -> Result<Query> {
        match top.partition.is_empty() {
            true => self.limited(top, ids, names),
            false => self.numbered(top, ids, names),
        }
    }

    fn limited(&mut self, top: &TopK, ids: &[ColId], names: &[Ident]) -> Result<Query> {
        let block = self.flat(&top.input)?;
        let columns = block.columns.clone();
        let order_by = self.sort_keys(top, &columns)?;
        let count = top.limit.as_ref().map(|e| self.expr(e, &columns)).transpose()?;
        let offset = top.offset.as_ref().map(|e| self.expr(e, &columns)).transpose()?;
        let limit = count.map(|count| Limit { count: Some(count), with_ties: top.ties });
        Ok(Query { order_by, limit, offset, ..block.select(ids, names, Distinct::No)? })
    }

    /// The order without constants, which ORDER BY would take for the numbers of columns.
    fn sort_keys(&mut self, top: &TopK, columns: &super::expr::Columns) -> Result<Vec<Order>> {
        let mut keys = self.orders(&top.order, columns)?;
        keys.retain(|key| !key.expr.columns().is_empty() || !key.expr.subqueries().is_empty());
        Ok(keys)
    }

    fn numbered(&mut self, top: &TopK, ids: &[ColId], names: &[Ident]) -> Result<Query> {
        let block = self.flat(&top.input)?;
        let columns = block.columns.clone();
        let place = super::names::fresh(PLACE, names);
        let partition_by = top.partition.iter().filter_map(|id| columns.get(id).cloned()).collect();
        let order_by = self.sort_keys(top, &columns)?;
        let mut call = Call::new(QName::bare(if top.ties { "rank" } else { "row_number" }), vec![]);
        call.over = Some(Over::Window(Window { base: None, partition_by, order_by, frame: None }));
        let (limit, offset) = (top.limit.as_ref(), top.offset.as_ref());
        let limit = limit.map(|e| self.expr(e, &columns)).transpose()?;
        let offset = offset.map(|e| self.expr(e, &columns)).transpose()?;
        let mut inner = block.select(ids, names, Distinct::No)?;
        if let crate::sql::ast::Body::Select(select) = &mut inner.body {
            select.items.push(item(Generic::Call(Box::new(call)), &place));
        }
        let alias = self.aliases.subquery();
        let own = |name: &Ident| col(alias.as_str(), name.as_str());
        let select = Select {
            items: names.iter().map(|name| item(own(name), name)).collect(),
            from: vec![From::derived(inner, alias.as_str())],
            filter: Some(within(own(&place), limit, offset)),
            ..Select::default()
        };
        Ok(Query::select(select))
    }
}

/// `offset < place <= offset + limit`.
fn within(place: Expr, limit: Option<Expr>, offset: Option<Expr>) -> Expr {
    let mut conditions = vec![];
    if let Some(limit) = limit {
        let last = match &offset {
            Some(offset) => Expr::binary("+", offset.clone(), limit),
            None => limit,
        };
        conditions.push(Expr::binary("<=", place.clone(), last));
    }
    conditions.extend(offset.map(|offset| Expr::binary(">", place, offset)));
    Expr::all(conditions)
}
