//! The FROM clause: tables, subqueries, functions and joins.

use super::lexer::Token;
use super::parser::{Parser, syntax};
use crate::error::Result;
use crate::expr::{Expr as Generic, TypeName};
use crate::refuse;
use crate::sql::ast::{Alias, Expr, From, JoinKind, JoinOn};
use crate::sql::ident::{Ident, QName};

impl Parser {
    pub fn from(&mut self) -> Result<From> {
        let mut left = self.relation()?;
        while let Some(kind) = self.take_one() {
            let right = self.relation()?;
            let on = match () {
                () if kind == JoinKind::Cross => JoinOn::None,
                () if self.take_words("USING") => {
                    let columns = self.tuple(Self::name)?;
                    if self.at_word("AS") {
                        return Err(refuse::using_alias());
                    }
                    JoinOn::Using(columns)
                }
                () => {
                    self.expect_word("ON")?;
                    JoinOn::On(self.expr()?)
                }
            };
            left = From::Join { kind, left: Box::new(left), right: Box::new(right), on, alias: None };
        }
        Ok(left)
    }

    fn relation(&mut self) -> Result<From> {
        let lateral = self.take_words("LATERAL");
        if self.opens_query(0) {
            let query = Box::new(self.enclosed(Self::query)?);
            return match self.alias()? {
                Some(alias) => Ok(From::Derived { query, alias, lateral }),
                None => syntax("subquery in FROM without an alias"),
            };
        }
        if !lateral && self.at_mark("(") {
            return match (self.enclosed(Self::from)?, self.alias()?) {
                (From::Join { kind, left, right, on, alias: None }, alias) => {
                    Ok(From::Join { kind, left, right, on, alias })
                }
                (from, None) => Ok(from),
                (_, Some(alias)) => syntax(alias.name),
            };
        }
        let name = self.relation_name()?;
        if !lateral && !self.at_mark("(") {
            return Ok(From::Table { name, alias: self.alias()? });
        }
        let call = Box::new(self.plain_call(name)?);
        let ordinality = self.take_words("WITH ORDINALITY");
        Ok(From::Function { call, alias: self.alias()?, lateral, ordinality })
    }

    /// The name of a table or a function. `UNNEST` is what PostgreSQL prints for `unnest` of several arrays.
    fn relation_name(&mut self) -> Result<QName> {
        match self.rest(0) {
            [Token::Keyword(word), Token::Mark("("), ..] if word == "UNNEST" => {
                self.next();
                Ok(QName::bare("unnest"))
            }
            [Token::Keyword(word), Token::Mark("("), ..] => Err(refuse::not_a_call(word)),
            _ => self.qname(),
        }
    }

    fn plain_call(&mut self, name: QName) -> Result<Expr> {
        match self.call_of(name)? {
            Generic::Call(call) if !call.star && !call.distinct && call.order_by.is_empty() => Ok(Generic::Call(call)),
            _ => syntax("aggregate in FROM"),
        }
    }

    fn alias(&mut self) -> Result<Option<Alias>> {
        if !self.take_words("AS") && !matches!(self.peek(), Some(Token::Name { .. })) {
            return Ok(None);
        }
        let name = self.name()?;
        let columns = if self.at_mark("(") { self.tuple(Self::alias_column)? } else { vec![] };
        Ok(Some(Alias { name, columns }))
    }

    /// A column's name, and its type where the function does not itself declare it.
    fn alias_column(&mut self) -> Result<(Ident, Option<TypeName>)> {
        let name = self.name()?;
        let typed = !self.at_mark(",") && !self.at_mark(")");
        Ok((name, if typed { Some(self.type_name()?) } else { None }))
    }
}
