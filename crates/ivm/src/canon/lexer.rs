//! Tokens of canonical SQL.

use std::fmt;

use crate::error::{Error, Result};
use crate::sql::ident::Ident;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// An unquoted word in capitals, `true` or `false`.
    Keyword(String),
    /// Any other word. Whether it was quoted matters to type names alone.
    Name {
        name: Ident,
        quoted: bool,
    },
    Number(String),
    String(String),
    /// `B'…'` and `X'…'`.
    Bits(char, String),
    Operator(String),
    /// One of [`PUNCTUATION`].
    Mark(&'static str),
}

/// Longer marks before those that they begin with.
const PUNCTUATION: [&str; 9] = ["::", ":", "(", ")", "[", "]", ",", ".", ";"];
const OPERATOR: &str = "+-*/<>=~!@#%^&|`?";
/// Not an operator, though it is spelled like one: it names an argument.
const ARROW: &str = "=>";

/// The tokens of a query, without comments and without the semicolon at the end.
pub fn tokens(sql: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { rest: sql };
    let mut tokens = vec![];
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    tokens.pop_if(|token| *token == Token::Mark(";"));
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Token>> {
        self.skip_blanks()?;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        if let Some(mark) = PUNCTUATION.into_iter().find(|mark| self.rest.starts_with(mark)) {
            self.rest = &self.rest[mark.len()..];
            return Ok(Some(Token::Mark(mark)));
        }
        let mut chars = self.rest.chars();
        Ok(Some(match (first, chars.nth(1)) {
            ('-', Some('-')) => return Err(unexpected("comment")),
            ('"', _) => Token::Name { name: Ident::new(self.quoted('"')?), quoted: true },
            ('\'', _) => Token::String(self.quoted('\'')?),
            ('E', Some('\'')) => Token::String(self.escaped()?),
            ('B' | 'X', Some('\'')) => {
                self.rest = &self.rest[1..];
                Token::Bits(first, self.quoted('\'')?)
            }
            _ if first.is_ascii_digit() => Token::Number(self.number().to_owned()),
            _ if is_word(first) => word(self.take_while(is_word)),
            _ if OPERATOR.contains(first) => match self.operator() {
                ARROW => Token::Mark(ARROW),
                symbol => Token::Operator(symbol.to_owned()),
            },
            _ => return Err(unexpected(first)),
        }))
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, is: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest.find(|c| !is(c)).unwrap_or(self.rest.len()))
    }

    /// Skips white space and block comments, which are ours.
    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with("/*") {
                return Ok(());
            }
            let end = self.rest.find("*/").ok_or_else(|| unexpected("end of a comment"))?;
            self.take(end + 2);
        }
    }

    /// The text between two quotes, each quote within it doubled.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let mut text = String::new();
        loop {
            self.take(1);
            let end = self.rest.find(quote).ok_or_else(|| unexpected("end of a quoted text"))?;
            text.push_str(self.take(end));
            self.take(1);
            if !self.rest.starts_with(quote) {
                return Ok(text);
            }
            text.push(quote);
        }
    }

    /// `E'…'`, in which the server prints backslashes doubled.
    fn escaped(&mut self) -> Result<String> {
        self.take(1);
        let text = self.quoted('\'')?;
        let parts: Vec<&str> = text.split(r"\\").collect();
        match parts.iter().any(|part| part.contains('\\')) {
            true => Err(unexpected("escape")),
            false => Ok(parts.join(r"\")),
        }
    }

    fn number(&mut self) -> &'a str {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let whole = digits(self.rest);
        match self.rest[whole..].strip_prefix('.') {
            Some(fraction) => self.take(whole + 1 + digits(fraction)),
            None => self.take(whole),
        }
    }

    /// As many characters of operators as there are before a comment.
    fn operator(&mut self) -> &'a str {
        let text = &self.rest[..self.rest.find(|c| !OPERATOR.contains(c)).unwrap_or(self.rest.len())];
        let comment = ["--", "/*"].into_iter().filter_map(|start| text.find(start)).filter(|at| *at > 0).min();
        self.take(comment.unwrap_or(text.len()))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn word(text: &str) -> Token {
    let capitals = text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    match capitals && text.chars().any(|c| c.is_ascii_uppercase()) || text == "true" || text == "false" {
        true => Token::Keyword(text.to_owned()),
        false => Token::Name { name: Ident::new(text), quoted: false },
    }
}

fn unexpected(what: impl fmt::Display) -> Error {
    Error::Syntax(format!("unexpected {what}"))
}

impl Token {
    pub fn is_keyword(&self, word: &str) -> bool {
        matches!(self, Token::Keyword(own) if own == word)
    }
}

/// Whether tokens start with these keywords.
pub fn starts_with(tokens: &[Token], words: &str) -> bool {
    words.split(' ').enumerate().all(|(at, word)| tokens.get(at).is_some_and(|token| token.is_keyword(word)))
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Keyword(text) | Token::Number(text) | Token::Operator(text) => f.write_str(text),
            Token::Name { name, .. } => write!(f, "{name}"),
            Token::String(text) => write!(f, "'{text}'"),
            Token::Bits(prefix, digits) => write!(f, "{prefix}'{digits}'"),
            Token::Mark(mark) => f.write_str(mark),
        }
    }
}
