//! Queries: WITH, set operations, SELECT and the clauses after it.

use super::lexer::Token;
use super::parser::{DEPTH, Parser, syntax};
use crate::error::Result;
use crate::expr::{Expr as Generic, Literal};
use crate::refuse;
use crate::sql::ast::{Body, Cte, Distinct, Expr, Group, Item, Limit, Query, Select, SetOp, With};

impl Parser {
    pub fn query(&mut self) -> Result<Query> {
        self.deeper(|p| {
            let with = if p.at_word("WITH") { Some(p.with()?) } else { None };
            let inner = p.set_operation()?;
            let order_by = p.orders()?;
            let offset = if p.take_words("OFFSET") { Some(p.expr()?) } else { None };
            let limit = p.limit()?;
            if with.is_none() && order_by.is_empty() && limit.is_none() && offset.is_none() {
                return Ok(inner);
            }
            // `(query) ORDER BY …`: the parentheses hold clauses of their own.
            match inner {
                Query { with: None, body, order_by: own, limit: None, offset: None } if own.is_empty() => {
                    Ok(Query { with, body, order_by, limit, offset })
                }
                _ => syntax("clause after a query in parentheses"),
            }
        })
    }

    fn with(&mut self) -> Result<With> {
        self.expect_word("WITH")?;
        let recursive = self.take_words("RECURSIVE");
        let ctes = self.list(|p| {
            let name = p.name()?;
            let columns = if p.at_mark("(") { p.tuple(Self::name)? } else { vec![] };
            p.expect_word("AS")?;
            let materialized = match p.take_words("NOT MATERIALIZED") {
                true => Some(false),
                false => p.take_words("MATERIALIZED").then_some(true),
            };
            Ok(Cte { name, columns, materialized, query: p.enclosed(Self::query)? })
        });
        Ok(With { recursive, ctes: ctes? })
    }

    fn limit(&mut self) -> Result<Option<Limit>> {
        if self.take_words("FETCH FIRST") {
            let count = Some(self.expr()?);
            return match self.take_words("ROWS WITH TIES") {
                true => Ok(Some(Limit { count, with_ties: true })),
                false => self.unexpected(),
            };
        }
        if !self.take_words("LIMIT") {
            return Ok(None);
        }
        let count = if self.take_words("ALL") { Expr::null() } else { self.expr()? };
        let all = count == Generic::Literal(Literal::Null);
        Ok(Some(Limit { count: (!all).then_some(count), with_ties: false }))
    }

    /// Operands of one operation, from left to right: those of another stand in parentheses.
    fn set_operation(&mut self) -> Result<Query> {
        let mut query = self.operand_of_set()?;
        let Some((op, all)) = self.take_set_operator() else { return Ok(query) };
        let mut operands = 1;
        loop {
            operands += 1;
            if operands > DEPTH {
                return Err(refuse::too_deep(DEPTH));
            }
            let (left, right) = (Box::new(query), Box::new(self.operand_of_set()?));
            query = Query::of(Body::SetOp { op, all, left, right });
            match self.take_set_operator() {
                None => return Ok(query),
                Some(next) if next == (op, all) => {}
                Some(_) => return syntax("set operation of another kind"),
            }
        }
    }

    fn take_set_operator(&mut self) -> Option<(SetOp, bool)> {
        let op = self.take_one()?;
        Some((op, self.take_words("ALL")))
    }

    fn operand_of_set(&mut self) -> Result<Query> {
        if self.at_mark("(") {
            return self.enclosed(Self::query);
        }
        if self.take_words("VALUES") {
            return Ok(Query::of(Body::Values(self.list(|p| p.tuple(Self::value))?)));
        }
        Ok(Query::select(self.select()?))
    }

    fn select(&mut self) -> Result<Select> {
        self.expect_word("SELECT")?;
        let distinct = match self.take_words("DISTINCT") {
            false => Distinct::No,
            true if self.take_words("ON") => Distinct::On(self.tuple(Self::expr)?),
            true => Distinct::Rows,
        };
        let items = match () {
            () if self.at_word("FROM") => vec![],
            () if self.at_end_of_list() => return Err(refuse::no_columns()),
            () => self.list(Self::item)?,
        };
        let from = if self.take_words("FROM") { self.list(Self::from)? } else { vec![] };
        let filter = self.condition("WHERE")?;
        let groups = self.take_words("GROUP BY");
        let group_once = groups && self.take_words("DISTINCT");
        let group_by = if groups { self.list(Self::group)? } else { vec![] };
        let having = self.condition("HAVING")?;
        let windows = match self.take_words("WINDOW") {
            true => self.list(|p| {
                let name = p.name()?;
                p.expect_word("AS")?;
                Ok((name, p.window()?))
            })?,
            false => vec![],
        };
        Ok(Select { distinct, items, from, filter, group_once, group_by, having, windows })
    }

    /// Whether a clause follows that is not FROM, or nothing.
    fn at_end_of_list(&self) -> bool {
        const CLAUSES: [&str; 11] =
            ["WHERE", "GROUP", "HAVING", "WINDOW", "UNION", "INTERSECT", "EXCEPT", "ORDER", "OFFSET", "LIMIT", "FETCH"];
        self.peek()
            .is_none_or(|next| *next == Token::Mark(")") || CLAUSES.into_iter().any(|word| next.is_keyword(word)))
    }

    fn condition(&mut self, word: &str) -> Result<Option<Expr>> {
        if self.take_words(word) { self.expr().map(Some) } else { Ok(None) }
    }

    fn item(&mut self) -> Result<Item> {
        let expr = self.value()?;
        let alias = if self.take_words("AS") { Some(self.name()?) } else { None };
        Ok(Item { expr, alias })
    }

    fn group(&mut self) -> Result<Group> {
        if let [Token::Mark("("), Token::Mark(")"), ..] = self.rest(0) {
            self.tuple(Self::expr)?;
            return Ok(Group::Empty);
        }
        Ok(match () {
            () if self.take_words("ROLLUP") => Group::Rollup(self.tuple(Self::grouping_set)?),
            () if self.take_words("CUBE") => Group::Cube(self.tuple(Self::grouping_set)?),
            () if self.take_words("GROUPING SETS") => Group::Sets(self.tuple(Self::grouping_set)?),
            () => Group::Expr(self.expr()?),
        })
    }

    /// `(a, b)`, `()` or one expression, which may begin with a parenthesis of its own.
    fn grouping_set(&mut self) -> Result<Vec<Expr>> {
        if let [Token::Mark("("), Token::Mark(")"), ..] = self.rest(0) {
            return self.tuple(Self::expr);
        }
        Ok(match self.expr_or_tuple()? {
            (Generic::Row(items), true) => items,
            (e, _) => vec![e],
        })
    }
}
