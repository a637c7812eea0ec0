//! The first rows of an order: ORDER BY and LIMIT, or, for each partition, a row number that is compared with them.

use super::{Aliases, Renderer, item};
use crate::error::Result;
use crate::expr::{Call, Expr as Generic, Over, Window};
use crate::plan::{ColId, Plan, Ties, TopK};
use crate::sql::ast::{Distinct, Expr, From, Limit, Query, Select, col};
use crate::sql::ident::{Ident, QName};

/// The name of the row number.
const PLACE: &str = "place";

impl Renderer<'_> {
    pub fn top_k(&mut self, top: &TopK, ids: &[ColId], names: &[Ident]) -> Result<Query> {
        let is_limit = top.partition.is_empty() && top.ties != Ties::Together;
        // The DISTINCT of the same SELECT is in its order, be that descending: the server need not read all rows.
        let by_columns = top.order.iter().all(|key| matches!(key.expr, Generic::Column(_)));
        let (input, distinct) = match &top.input {
            Plan::Distinct(distinct) if is_limit && by_columns => (&distinct.input, Distinct::Rows),
            input => (input, Distinct::No),
        };
        let block = self.flat(input)?;
        let columns = block.columns.clone();
        let partition_by: Vec<Expr> = top.partition.iter().filter_map(|id| columns.get(id).cloned()).collect();
        let mut order_by = self.orders(&top.order, &columns)?;
        // ORDER BY would take constants for the numbers of columns.
        order_by.retain(|key| !key.expr.is_constant());
        let limit = top.limit.as_ref().map(|e| self.expr(e, &columns)).transpose()?;
        let offset = top.offset.as_ref().map(|e| self.expr(e, &columns)).transpose()?;
        if is_limit {
            let limit = limit.map(|count| Limit { count: Some(count), with_ties: top.ties == Ties::Follow });
            return Ok(Query { order_by, limit, offset, ..block.select(ids, names, distinct)? });
        }
        let alias = self.aliases.subquery();
        let mut taken = Aliases::of(names);
        let mut places = vec![];
        let mut place = |function: &str| {
            let name = taken.take(&Ident::new(PLACE));
            let mut call = Call::new(QName::bare(function), vec![]);
            let (partition_by, order_by) = (partition_by.clone(), order_by.clone());
            call.over = Some(Over::Window(Window { base: None, partition_by, order_by, frame: None }));
            places.push(item(Generic::Call(Box::new(call)), &name));
            col(alias.as_str(), name.as_str())
        };
        // Rows equal to the last one in the order have its rank, or one before.
        let rank = match top.ties {
            Ties::Follow if limit.is_some() => Some(place("rank")),
            Ties::Together if limit.is_some() => Some(place("dense_rank")),
            _ => None,
        };
        let row_number = (offset.is_some() || rank.is_none()).then(|| place("row_number"));
        let last = rank.or(row_number.clone());
        let conditions = [
            last.zip(limit).map(|(place, limit)| {
                let end = offset.clone().map_or(limit.clone(), |offset| Expr::binary("+", offset, limit));
                Expr::binary("<=", place, end)
            }),
            row_number.zip(offset.clone()).map(|(place, offset)| Expr::binary(">", place, offset)),
        ];
        let filter = Some(Expr::all(conditions.into_iter().flatten().collect()));
        let mut inner = block.select(ids, names, Distinct::No)?;
        if let crate::sql::ast::Body::Select(select) = &mut inner.body {
            select.items.extend(places);
        }
        let shown = names.iter().map(|name| item(col(alias.as_str(), name.as_str()), name)).collect();
        let from = vec![From::derived(inner, alias.as_str())];
        Ok(Query::select(Select { items: shown, from, filter, ..Select::default() }))
    }
}
