//! Calls with their windows, and the constructs that begin with a keyword.

use super::lexer::Token;
use super::parser::{Parser, syntax};
use crate::error::Result;
use crate::expr::{Argument, Bound, Call, Expr as Generic, Frame, Keyword, Literal, Over, Special, Window};
use crate::refuse;
use crate::sql::ast::{self, Expr, Name, Query};
use crate::sql::ident::{Ident, QName};
use crate::sql::print::is_keyword_call;
use crate::words::Word;

impl Parser {
    /// The call of a function, after its name.
    pub fn call_of(&mut self, name: QName) -> Result<Expr> {
        // It would print as the construct of the grammar.
        if is_keyword_call(&name) {
            return Err(refuse::keyword_name(&name));
        }
        let mut call: ast::Call = Call::new(name, vec![]);
        self.enclosed(|p| {
            call.distinct = p.take_words("DISTINCT");
            call.star = p.take_star();
            if !call.star && !p.at_mark(")") {
                call.args = p.list(Self::argument)?;
            }
            call.order_by = p.orders()?;
            Ok(())
        })?;
        if self.take_words("WITHIN GROUP") {
            call.within_group = self.enclosed(Self::orders)?;
        }
        if self.take_words("FILTER") {
            call.filter = Some(self.enclosed(|p| {
                p.expect_word("WHERE")?;
                p.expr()
            })?);
        }
        if self.take_words("OVER") {
            let named = matches!(self.peek(), Some(Token::Name { .. }));
            call.over = Some(if named { Over::Named(self.name()?) } else { Over::Window(self.window()?) });
        }
        Ok(Generic::Call(Box::new(call)))
    }

    fn take_star(&mut self) -> bool {
        let star = matches!(self.rest(0), [Token::Operator(symbol), Token::Mark(")"), ..] if symbol == "*");
        if star {
            self.next();
        }
        star
    }

    pub fn orders(&mut self) -> Result<Vec<ast::Order>> {
        if self.take_words("ORDER BY") { self.list(Self::order) } else { Ok(vec![]) }
    }

    fn argument(&mut self) -> Result<Argument<Name, Query>> {
        let mut name: Option<Ident> = None;
        if let [Token::Name { .. }, Token::Mark("=>"), ..] = self.rest(0) {
            name = Some(self.name()?);
            self.expect_mark("=>")?;
        }
        let variadic = self.take_words("VARIADIC");
        Ok(Argument { name, variadic, value: self.expr()? })
    }

    pub fn window(&mut self) -> Result<ast::Window> {
        self.enclosed(|p| {
            let base = if matches!(p.peek(), Some(Token::Name { .. })) { Some(p.name()?) } else { None };
            let partition_by = if p.take_words("PARTITION BY") { p.list(Self::expr)? } else { vec![] };
            let order_by = p.orders()?;
            Ok(Window { base, partition_by, order_by, frame: p.frame()? })
        })
    }

    fn frame(&mut self) -> Result<Option<Frame<Name, Query>>> {
        let Some(unit) = self.take_one() else { return Ok(None) };
        if !self.take_words("BETWEEN") {
            return Ok(Some(Frame { unit, start: self.bound()?, end: None }));
        }
        let start = self.bound()?;
        self.expect_word("AND")?;
        Ok(Some(Frame { unit, start, end: Some(self.bound()?) }))
    }

    fn bound(&mut self) -> Result<Bound<Name, Query>> {
        if self.take_words("CURRENT ROW") {
            return Ok(Bound::CurrentRow);
        }
        let offset = if self.take_words("UNBOUNDED") { None } else { Some(self.plain_operand()?) };
        let precedes = self.take_words("PRECEDING");
        if !precedes {
            self.expect_word("FOLLOWING")?;
        }
        Ok(match (offset, precedes) {
            (None, true) => Bound::UnboundedPreceding,
            (None, false) => Bound::UnboundedFollowing,
            (Some(offset), true) => Bound::Preceding(offset),
            (Some(offset), false) => Bound::Following(offset),
        })
    }

    /// What begins with this keyword.
    pub fn keyword(&mut self, word: &str) -> Result<Expr> {
        Ok(match word {
            "NULL" => Expr::null(),
            "true" | "TRUE" => Expr::bool(true),
            "false" | "FALSE" => Expr::bool(false),
            "CASE" => self.case()?,
            "EXISTS" => Generic::Exists(Box::new(self.enclosed(Self::query)?)),
            "ARRAY" if self.at_mark("(") => Generic::ArrayOf(Box::new(self.enclosed(Self::query)?)),
            "ARRAY" => {
                self.expect_mark("[")?;
                let items = if self.at_mark("]") { vec![] } else { self.list(Self::expr)? };
                self.expect_mark("]")?;
                Generic::Array(items)
            }
            "ROW" => Generic::Row(self.tuple(Self::value)?),
            "GROUPING" => Generic::Grouping(self.tuple(Self::expr)?),
            "COALESCE" | "GREATEST" | "LEAST" | "NULLIF" => {
                Expr::call(&word.to_ascii_lowercase(), self.tuple(Self::expr)?)
            }
            "EXTRACT" | "POSITION" | "SUBSTRING" | "OVERLAY" | "TRIM" | "NORMALIZE" => {
                self.enclosed(|p| p.special(word))?
            }
            _ => match Keyword::ALL.iter().find(|keyword| keyword.text() == word) {
                Some(keyword) => Generic::Keyword(*keyword, self.precision()?),
                None if self.at_mark("(") => return Err(refuse::unknown(word)),
                None => return syntax(word),
            },
        })
    }

    fn precision(&mut self) -> Result<Option<u32>> {
        if !self.at_mark("(") {
            return Ok(None);
        }
        match self.enclosed(Self::expr)? {
            Generic::Literal(Literal::Number(digits)) => digits.parse().map(Some).or_else(|_| syntax(digits)),
            _ => syntax("precision"),
        }
    }

    /// A function that separates its operands by keywords, after its opening parenthesis.
    fn special(&mut self, word: &str) -> Result<Expr> {
        let mut operands = vec![];
        let special = match word {
            "EXTRACT" => {
                let field = self.name()?;
                self.operand_after("FROM", &mut operands)?;
                Special::Extract(field)
            }
            "POSITION" => {
                operands.push(self.plain_operand()?);
                self.expect_word("IN")?;
                operands.push(self.plain_operand()?);
                Special::Position
            }
            "SUBSTRING" => {
                operands.push(self.expr()?);
                let from = self.at_word("FROM");
                for word in ["FROM", "FOR"].into_iter().skip(usize::from(!from)) {
                    if self.at_word(word) {
                        self.operand_after(word, &mut operands)?;
                    }
                }
                Special::Substring { from }
            }
            "OVERLAY" => {
                operands.push(self.expr()?);
                self.operand_after("PLACING", &mut operands)?;
                self.operand_after("FROM", &mut operands)?;
                if self.at_word("FOR") {
                    self.operand_after("FOR", &mut operands)?;
                }
                Special::Overlay
            }
            "TRIM" => {
                let Some(side) = self.take_one() else { return self.unexpected() };
                if !self.at_word("FROM") {
                    operands.push(self.expr()?);
                }
                self.operand_after("FROM", &mut operands)?;
                Special::Trim(side)
            }
            _ => {
                operands.push(self.expr()?);
                Special::Normalize(if self.take_mark(",") { self.normal_form() } else { None })
            }
        };
        Ok(Generic::Special(special, operands))
    }

    fn operand_after(&mut self, word: &str, operands: &mut Vec<Expr>) -> Result<()> {
        self.expect_word(word)?;
        operands.push(self.expr()?);
        Ok(())
    }
}
