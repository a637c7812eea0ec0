//! Expressions. At most one operator stands on a level of parentheses, AND and OR of several conditions apart.

use super::lexer::Token;
use super::parser::{Parser, syntax};
use crate::error::Result;
use crate::expr::{Case, Direction, Expr as Generic, Index, Literal, Op, Quantified, Special};
use crate::sql::ast::{Expr, Name, Order, Query};
use crate::sql::ident::QName;

/// The forms of Unicode normalization.
const FORMS: [&str; 4] = ["NFC", "NFD", "NFKC", "NFKD"];

impl Parser {
    pub fn expr(&mut self) -> Result<Expr> {
        match self.expr_or_tuple()? {
            (_, true) => syntax("list in parentheses"),
            (e, false) => Ok(e),
        }
    }

    /// An expression that is not a whole row: in a list, `t.*` would be all columns of `t`, and PostgreSQL prints whole
    /// rows with a cast there.
    pub fn value(&mut self) -> Result<Expr> {
        match self.expr()? {
            Generic::WholeRow(_) => syntax("*"),
            e => Ok(e),
        }
    }

    /// An expression, or `(a, b)` as a row and whether it was one: that is a row only where it is compared with a subquery.
    pub fn expr_or_tuple(&mut self) -> Result<(Expr, bool)> {
        let (first, is_tuple) = self.condition_term()?;
        for (word, make) in [("AND", Generic::And as fn(Vec<Expr>) -> Expr), ("OR", Generic::Or)] {
            if !is_tuple && self.at_word(word) {
                let mut parts = vec![first];
                while self.take_words(word) {
                    match self.condition_term()? {
                        (part, false) => parts.push(part),
                        _ => return syntax("list in parentheses"),
                    }
                }
                return Ok((make(parts), false));
            }
        }
        Ok((first, is_tuple))
    }

    fn condition_term(&mut self) -> Result<(Expr, bool)> {
        if self.take_words("NOT") {
            return match self.condition_term()? {
                (e, false) => Ok((Generic::Not(Box::new(e)), false)),
                _ => syntax("list in parentheses"),
            };
        }
        let (left, is_tuple) = self.operand()?;
        self.infix(left, is_tuple)
    }

    /// What follows an operand: an operator with its other operand, or nothing.
    fn infix(&mut self, left: Expr, is_tuple: bool) -> Result<(Expr, bool)> {
        if let Some(op) = self.operator()? {
            return Ok((self.binary(left, is_tuple, op)?, false));
        }
        if self.take_words("IN") {
            return match self.opens_query(0) {
                true => Ok((Generic::InQuery(Box::new(left), Box::new(self.enclosed(Self::query)?)), false)),
                false => self.unexpected(),
            };
        }
        if is_tuple {
            return match (left, self.take_words("OVERLAPS")) {
                (Generic::Row(from), true) => match self.operand()? {
                    (Generic::Row(to), true) if from.len() == 2 && to.len() == 2 => {
                        Ok((Generic::Special(Special::Overlaps, [from, to].concat()), false))
                    }
                    _ => syntax("OVERLAPS"),
                },
                (left, _) => Ok((left, true)),
            };
        }
        let e = match () {
            () if self.take_words("IS") => self.test(left)?,
            () if self.take_words("AT TIME ZONE") => {
                Generic::Special(Special::AtTimeZone, vec![left, self.plain_operand()?])
            }
            () if self.take_words("COLLATE") => Generic::Collate(Box::new(left), self.qname()?),
            () => left,
        };
        Ok((e, false))
    }

    fn test(&mut self, left: Expr) -> Result<Expr> {
        if let Some(test) = self.take_one() {
            return Ok(left.is(test));
        }
        if self.take_words("DISTINCT FROM") {
            return Ok(Generic::Distinct(Box::new(left), Box::new(self.plain_operand()?)));
        }
        if self.take_words("NOT DISTINCT FROM") {
            return Ok(Expr::not_distinct(left, self.plain_operand()?));
        }
        let negated = self.take_words("NOT");
        let form = self.normal_form();
        self.expect_word("NORMALIZED")?;
        Ok(Generic::Special(Special::IsNormalized(form, negated), vec![left]))
    }

    pub fn normal_form(&mut self) -> Option<String> {
        FORMS.into_iter().find(|form| self.take_words(form)).map(str::to_owned)
    }

    /// `left op right`, `left op ANY (…)`, `left op ALL (…)`; a tuple is compared with a subquery only.
    fn binary(&mut self, left: Expr, is_tuple: bool, op: Op) -> Result<Expr> {
        let all = self.take_words("ALL");
        let quantified = all || self.take_words("ANY");
        let is_query = self.opens_query(0);
        if is_tuple && !is_query {
            return syntax("list in parentheses");
        }
        Ok(match (quantified, is_query) {
            (true, true) => {
                let right = self.enclosed(Self::query)?;
                Generic::QuantifiedQuery(Box::new(Quantified { left, op, all, right }))
            }
            (true, false) => {
                let right = self.enclosed(Self::expr)?;
                Generic::Quantified(Box::new(Quantified { left, op, all, right }))
            }
            (false, _) => Generic::Binary(op, Box::new(left), Box::new(self.plain_operand()?)),
        })
    }

    /// An operator, `OPERATOR(schema.symbol)` where it is not found by its symbol alone.
    pub fn operator(&mut self) -> Result<Option<Op>> {
        if let Some(Token::Operator(symbol)) = self.peek() {
            let op = Op::plain(symbol);
            self.next();
            return Ok(Some(op));
        }
        if !self.take_words("OPERATOR") {
            return Ok(None);
        }
        self.enclosed(|p| {
            let schema = p.name()?;
            p.expect_mark(".")?;
            match p.next() {
                Some(Token::Operator(symbol)) => Ok(Some(Op { schema: Some(schema), symbol })),
                _ => p.unexpected(),
            }
        })
    }

    /// An operand that is one value.
    pub fn plain_operand(&mut self) -> Result<Expr> {
        match self.operand()? {
            (e, false) => Ok(e),
            _ => syntax("list in parentheses"),
        }
    }

    /// A primary with its casts, subscripts and fields, after its prefix operator.
    fn operand(&mut self) -> Result<(Expr, bool)> {
        self.deeper(|p| {
            if let Some(op) = p.operator()? {
                return Ok((Generic::Unary(op, Box::new(p.plain_operand()?)), false));
            }
            let in_parentheses = p.at_mark("(");
            let (mut e, is_tuple) = p.primary()?;
            if is_tuple {
                return Ok((e, true));
            }
            let mut has_fields = in_parentheses;
            loop {
                // Adjacent subscripts are one: `a[1:2][1]` is a slice of both dimensions, `(a[1:2])[1]` is not.
                let mut subscripts = vec![];
                while p.at_mark("[") {
                    subscripts.push(p.subscript()?);
                }
                if !subscripts.is_empty() {
                    e = Generic::Subscript(Box::new(e), subscripts);
                    has_fields = true;
                } else if has_fields && p.take_mark(".") {
                    e = Generic::Field(Box::new(e), p.name()?);
                } else {
                    break;
                }
            }
            while p.take_mark("::") {
                e = Generic::Cast(Box::new(e), p.type_name()?);
            }
            Ok((e, false))
        })
    }

    fn subscript(&mut self) -> Result<Index<Name, Query>> {
        self.expect_mark("[")?;
        let from = if self.at_mark(":") { None } else { Some(self.expr()?) };
        let index = match from {
            Some(at) if !self.at_mark(":") => Index::At(at),
            from => {
                self.expect_mark(":")?;
                Index::Slice(from, if self.at_mark("]") { None } else { Some(self.expr()?) })
            }
        };
        self.expect_mark("]")?;
        Ok(index)
    }

    fn primary(&mut self) -> Result<(Expr, bool)> {
        if self.opens_query(0) {
            return Ok((Generic::Scalar(Box::new(self.enclosed(Self::query)?)), false));
        }
        if self.at_mark("(") {
            let mut items = self.enclosed(|p| p.list(Self::expr))?;
            return Ok(match items.len() {
                1 => (items.remove(0), false),
                _ if items.iter().any(|item| matches!(item, Generic::WholeRow(_))) => return syntax("*"),
                _ => (Generic::Row(items), true),
            });
        }
        let e = match self.peek() {
            Some(Token::Name { .. }) => self.named()?,
            Some(Token::Keyword(word)) => {
                let word = word.clone();
                self.next();
                self.keyword(&word)?
            }
            Some(_) => Generic::Literal(self.literal()?),
            None => return self.unexpected(),
        };
        Ok((e, false))
    }

    fn literal(&mut self) -> Result<Literal> {
        let literal = match self.peek() {
            Some(Token::Number(digits)) => Literal::Number(digits.clone()),
            Some(Token::String(text)) => Literal::String(text.clone()),
            Some(Token::Bits(prefix, digits)) => Literal::Bits(*prefix, digits.clone()),
            _ => return self.unexpected(),
        };
        self.next();
        Ok(literal)
    }

    /// A column, a whole row or a call.
    fn named(&mut self) -> Result<Expr> {
        let first = self.name()?;
        if self.take_mark(".") {
            if self.peek() == Some(&Token::Operator("*".to_owned())) {
                self.next();
                return Ok(Generic::WholeRow(first));
            }
            let second = self.name()?;
            return match self.at_mark("(") {
                true => self.call_of(QName { schema: Some(first), name: second }),
                false => Ok(Generic::Column(Name { relation: Some(first), column: second })),
            };
        }
        match self.at_mark("(") {
            true => self.call_of(QName { schema: None, name: first }),
            false => Ok(Generic::Column(Name { relation: None, column: first })),
        }
    }

    /// CASE, after its first word.
    pub fn case(&mut self) -> Result<Expr> {
        let operand = if self.at_word("WHEN") { None } else { Some(self.expr()?) };
        let mut arms = vec![];
        while self.take_words("WHEN") {
            let when = self.expr()?;
            self.expect_word("THEN")?;
            arms.push((when, self.expr()?));
        }
        let otherwise = if self.take_words("ELSE") { Some(self.expr()?) } else { None };
        self.expect_word("END")?;
        Ok(Generic::Case(Box::new(Case { operand, arms, otherwise })))
    }

    pub fn order(&mut self) -> Result<Order> {
        let expr = self.expr()?;
        let direction = match () {
            () if self.take_words("DESC") => Direction::Descending,
            () if self.take_words("USING") => match self.operator()? {
                Some(op) => Direction::Using(op),
                None => return self.unexpected(),
            },
            () => Direction::Ascending,
        };
        let nulls_first = match self.take_words("NULLS FIRST") {
            true => Some(true),
            false => self.take_words("NULLS LAST").then_some(false),
        };
        Ok(Order { expr, direction, nulls_first })
    }
}
