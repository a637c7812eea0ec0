//! The tokens that are left to read, and the pieces that every rule of the grammar uses.

use super::lexer::{Token, starts_with};
use crate::error::{Error, Result};
use crate::refuse;
use crate::sql::ident::{Ident, QName};
use crate::words::Word;

/// How deep queries and expressions may nest. A level takes stack, here and in every later stage, which is larger
/// without optimisation; a server process has 8 MB of it.
pub const DEPTH: usize = if cfg!(debug_assertions) { 50 } else { 100 };

pub struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    pub fn new(tokens: Vec<Token>) -> Parser {
        Parser { tokens, at: 0, depth: 0 }
    }

    pub fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// The tokens from the `n`-th on, counted from the next one.
    pub fn rest(&self, n: usize) -> &[Token] {
        self.tokens.get(self.at + n..).unwrap_or_default()
    }

    pub fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// The error that the next token is none that may come here.
    pub fn unexpected<T>(&self) -> Result<T> {
        match self.peek() {
            Some(token) => syntax(token),
            None => syntax("end"),
        }
    }

    pub fn at_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Mark(own)) if *own == mark)
    }

    pub fn at_word(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is_keyword(word))
    }

    pub fn take_mark(&mut self, mark: &str) -> bool {
        let found = self.at_mark(mark);
        self.at += usize::from(found);
        found
    }

    /// Takes these keywords, or nothing.
    pub fn take_words(&mut self, words: &str) -> bool {
        let found = starts_with(self.rest(0), words);
        self.at += if found { words.split(' ').count() } else { 0 };
        found
    }

    /// Takes one of the words of an enumeration, or nothing.
    pub fn take_one<T: Word>(&mut self) -> Option<T> {
        T::ALL.iter().copied().find(|word| self.take_words(word.text()))
    }

    pub fn expect_mark(&mut self, mark: &str) -> Result<()> {
        if self.take_mark(mark) { Ok(()) } else { self.unexpected() }
    }

    pub fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.take_words(word) { Ok(()) } else { self.unexpected() }
    }

    /// One or more items, separated by commas.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take_mark(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( … )`.
    pub fn enclosed<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.expect_mark("(")?;
        let inner = inner(self)?;
        self.expect_mark(")")?;
        Ok(inner)
    }

    /// `(item, …)`, which may be empty.
    pub fn tuple<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.enclosed(|p| if p.at_mark(")") { Ok(vec![]) } else { p.list(item) })
    }

    pub fn name(&mut self) -> Result<Ident> {
        match self.peek() {
            Some(Token::Name { name, .. }) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected(),
        }
    }

    /// A name with an optional schema.
    pub fn qname(&mut self) -> Result<QName> {
        let first = self.name()?;
        match self.take_mark(".") {
            true => Ok(QName { schema: Some(first), name: self.name()? }),
            false => Ok(QName { schema: None, name: first }),
        }
    }

    /// Reads something that is nested one level deeper.
    pub fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(refuse::too_deep(DEPTH));
        }
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// Whether the `n`-th token opens the parentheses of a query. A query may itself start with one in parentheses, and
    /// only what follows those tells it from an expression.
    pub fn opens_query(&self, n: usize) -> bool {
        let [Token::Mark("("), first, ..] = self.rest(n) else { return false };
        ["SELECT", "WITH", "VALUES"].into_iter().any(|word| first.is_keyword(word))
            || self.opens_query(n + 1) && self.is_operand(n + 1)
    }

    /// Whether what follows the parentheses that open at the `n`-th token belongs to a query.
    fn is_operand(&self, n: usize) -> bool {
        const CLAUSES: [&str; 7] = ["UNION", "INTERSECT", "EXCEPT", "ORDER", "OFFSET", "LIMIT", "FETCH"];
        let mut depth = 0;
        let closes = |token: &Token| {
            depth += i32::from(*token == Token::Mark("(")) - i32::from(*token == Token::Mark(")"));
            depth == 0
        };
        let close = self.rest(n).iter().position(closes);
        let next = close.and_then(|close| self.rest(n + close + 1).first());
        next.is_some_and(|next| *next == Token::Mark(")") || CLAUSES.into_iter().any(|word| next.is_keyword(word)))
    }
}

pub fn syntax<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Syntax(format!("unexpected {what}")))
}
