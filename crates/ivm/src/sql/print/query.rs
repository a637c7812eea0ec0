//! Queries as text: WITH, set operations, SELECT and what follows it.

use super::{Printer, commas};
use crate::sql::ast::{Body, Cte, Distinct, Expr, Group, Item, Limit, Query, Select, SetOp, With};

impl Printer {
    pub(super) fn query(&mut self, q: &Query) {
        let Query { with, body, order_by, limit, offset } = q;
        self.with(with);
        self.body(body);
        if !order_by.is_empty() {
            self.line();
            self.put("ORDER BY");
            self.list(order_by, Self::order);
        }
        if let Some(offset) = offset {
            self.line();
            self.put("OFFSET ");
            self.expr(offset);
        }
        if let Some(limit) = limit {
            self.line();
            self.limit(limit);
        }
    }

    fn limit(&mut self, limit: &Limit) {
        let Limit { count, with_ties } = limit;
        match (count, with_ties) {
            (None, _) => self.put("LIMIT ALL"),
            (Some(count), false) => {
                self.put("LIMIT ");
                self.expr(count);
            }
            (Some(count), true) => {
                self.put("FETCH FIRST (");
                self.expr(count);
                self.put(") ROWS WITH TIES");
            }
        }
    }

    pub(super) fn with(&mut self, with: &Option<With>) {
        let Some(With { recursive, ctes }) = with else { return };
        self.put(if *recursive { "WITH RECURSIVE" } else { "WITH" });
        for (i, cte) in ctes.iter().enumerate() {
            if i > 0 {
                self.put(",");
            }
            self.line();
            self.cte(cte);
        }
        self.line();
    }

    fn cte(&mut self, cte: &Cte) {
        let Cte { name, columns, materialized, query, comment } = cte;
        if let Some(comment) = comment {
            self.put(format_args!("/* {} */", comment.replace("*/", "* /").replace("/*", "/ *")));
            self.line();
        }
        self.put(name);
        if !columns.is_empty() {
            self.put(format_args!("({})", commas(columns)));
        }
        self.put(match materialized {
            None => " AS (",
            Some(true) => " AS MATERIALIZED (",
            Some(false) => " AS NOT MATERIALIZED (",
        });
        self.block(|p| p.query(query));
        self.put(")");
    }

    fn body(&mut self, body: &Body) {
        match body {
            Body::Select(select) => self.select(select),
            Body::Values(rows) => {
                self.put("VALUES");
                self.list(rows, |p, row| {
                    p.put("(");
                    p.exprs(row);
                    p.put(")");
                });
            }
            Body::SetOp { op, all, left, right } => {
                self.operand(left, Some((*op, *all)));
                self.line();
                self.put(match op {
                    SetOp::Union => "UNION",
                    SetOp::Intersect => "INTERSECT",
                    SetOp::Except => "EXCEPT",
                });
                self.put(if *all { " ALL" } else { "" });
                self.line();
                self.operand(right, None);
            }
        }
    }

    /// One side of a set operation. A left side of the same operation needs no parentheses.
    fn operand(&mut self, query: &Query, chain: Option<(SetOp, bool)>) {
        let Query { with, body, order_by, limit, offset } = query;
        let bare = with.is_none() && order_by.is_empty() && limit.is_none() && offset.is_none();
        let simple = match body {
            Body::Select(_) | Body::Values(_) => true,
            Body::SetOp { op, all, .. } => Some((*op, *all)) == chain,
        };
        match bare && simple {
            true => self.body(body),
            false => self.subquery(query),
        }
    }

    fn select(&mut self, select: &Select) {
        let Select { distinct, items, from, filter, group_once, group_by, having, windows } = select;
        self.put("SELECT");
        match distinct {
            Distinct::No => {}
            Distinct::Rows => self.put(" DISTINCT"),
            Distinct::On(keys) => {
                self.put(" DISTINCT ON (");
                self.exprs(keys);
                self.put(")");
            }
        }
        self.list(items, |p, Item { expr, alias }| {
            p.expr(expr);
            if let Some(alias) = alias {
                p.put(format_args!(" AS {alias}"));
            }
        });
        if !from.is_empty() {
            self.line();
            self.put("FROM");
            self.list(from, Self::from);
        }
        self.condition("WHERE", filter);
        if !group_by.is_empty() {
            self.line();
            self.put(if *group_once { "GROUP BY DISTINCT" } else { "GROUP BY" });
            self.list(group_by, Self::group);
        }
        self.condition("HAVING", having);
        if !windows.is_empty() {
            self.line();
            self.put("WINDOW");
            self.list(windows, |p, (name, window)| {
                p.put(format_args!("{name} AS "));
                p.window(window);
            });
        }
    }

    pub(super) fn condition(&mut self, keyword: &str, condition: &Option<Expr>) {
        let Some(condition) = condition else { return };
        self.line();
        self.put(keyword);
        self.conjunction(condition);
    }

    fn group(&mut self, group: &Group) {
        let (keyword, sets) = match group {
            Group::Expr(e) => return self.expr(e),
            Group::Empty => return self.put("()"),
            Group::Rollup(sets) => ("ROLLUP", sets),
            Group::Cube(sets) => ("CUBE", sets),
            Group::Sets(sets) => ("GROUPING SETS", sets),
        };
        self.put(format_args!("{keyword} ("));
        for (i, set) in sets.iter().enumerate() {
            self.put(if i > 0 { ", (" } else { "(" });
            self.exprs(set);
            self.put(")");
        }
        self.put(")");
    }
}
