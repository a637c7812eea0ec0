//! What a query calls, wherever in it: functions and the values that look like keywords.

use crate::expr::{Expr as Generic, Keyword};
use crate::sql::ast::{Body, Cte, Distinct, Expr, From, Group, Item, JoinOn, Limit, Order, Query, Select, With};
use crate::sql::ident::QName;
use crate::sql::print::is_keyword_call;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Names of called functions, each once, in reading order; `COALESCE` and its kin are not functions.
    pub functions: Vec<QName>,
    pub keywords: Vec<Keyword>,
    /// The relations of every FROM clause, those of WITH included.
    pub relations: Vec<QName>,
}

/// Collects the references of a query and all its subqueries.
pub fn references(query: &Query) -> References {
    let mut references = References::default();
    references.query(query);
    references
}

fn add<T: PartialEq + Clone>(list: &mut Vec<T>, item: &T) {
    if !list.contains(item) {
        list.push(item.clone());
    }
}

impl References {
    fn query(&mut self, query: &Query) {
        let Query { with, body, order_by, limit, offset } = query;
        if let Some(With { recursive: _, ctes }) = with {
            for Cte { name: _, columns: _, materialized: _, query, comment: _ } in ctes {
                self.query(query);
            }
        }
        match body {
            Body::Select(select) => self.select(select),
            Body::Values(rows) => rows.iter().flatten().for_each(|e| self.expr(e)),
            Body::SetOp { op: _, all: _, left, right } => {
                self.query(left);
                self.query(right);
            }
        }
        self.orders(order_by);
        if let Some(Limit { count: Some(count), with_ties: _ }) = limit {
            self.expr(count);
        }
        offset.iter().for_each(|e| self.expr(e));
    }

    fn select(&mut self, select: &Select) {
        let Select { distinct, items, from, filter, group_once: _, group_by, having, windows } = select;
        match distinct {
            Distinct::No | Distinct::Rows => {}
            Distinct::On(keys) => keys.iter().for_each(|e| self.expr(e)),
        }
        items.iter().for_each(|Item { expr, alias: _ }| self.expr(expr));
        from.iter().for_each(|from| self.from(from));
        filter.iter().for_each(|e| self.expr(e));
        for key in group_by {
            match key {
                Group::Empty => {}
                Group::Expr(e) => self.expr(e),
                Group::Rollup(sets) | Group::Cube(sets) | Group::Sets(sets) => {
                    sets.iter().flatten().for_each(|e| self.expr(e));
                }
            }
        }
        having.iter().for_each(|e| self.expr(e));
        windows.iter().flat_map(|(_, window)| window.children()).for_each(|e| self.expr(e));
    }

    fn from(&mut self, from: &From) {
        match from {
            From::Table { name, alias: _ } => add(&mut self.relations, name),
            From::Derived { query, alias: _, lateral: _ } => self.query(query),
            From::Function { call, alias: _, lateral: _, ordinality: _ } => self.expr(call),
            From::Join { kind: _, left, right, on, alias: _ } => {
                self.from(left);
                self.from(right);
                if let JoinOn::On(condition) = on {
                    self.expr(condition);
                }
            }
        }
    }

    fn orders(&mut self, keys: &[Order]) {
        keys.iter().for_each(|key| self.expr(&key.expr));
    }

    fn expr(&mut self, e: &Expr) {
        e.visit(&mut |node| match node {
            Generic::Call(call) if !is_keyword_call(&call.name) => add(&mut self.functions, &call.name),
            Generic::Keyword(keyword, _) => add(&mut self.keywords, keyword),
            _ => {}
        });
        e.subqueries().into_iter().for_each(|query| self.query(query));
    }
}
