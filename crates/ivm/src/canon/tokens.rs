//! Tokens of canonical SQL, made unmistakable.
//!
//! Unquoted words in capitals are keywords and all others are names, because PostgreSQL prints them
//! so; every name is passed on quoted, so that no word that is special to the parser's other dialects
//! can act. Operators become single tokens with their schema. Type names and whole rows become single
//! words under quote marks of other dialects, which no text can contain here: `TYPE`, `CALL` and `ROW`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace, Word};

use super::{dialect::Canonical, refused, types};
use crate::error::{Error, Result};

/// The quote mark of identifiers.
pub const QUOTED: char = '"';
/// Marks a word that is the text of a type name.
pub const TYPE: char = '[';
/// Marks a word that is a relation's alias and means its whole row.
pub const ROW: char = '`';
/// Marks the name of a call that stands for a construct that the parser's tree has no place for.
pub const CALL: char = '[';

/// Ends the schema in the text of a qualified operator.
pub const SCHEMA_END: char = '\0';

/// The marked call that stands for `FETCH FIRST … ROWS WITH TIES`.
pub const TIES: &str = "ties";
/// The marked call that stands first in the list of GROUP BY DISTINCT.
pub const GROUPED_ONCE: &str = "distinct";

/// What a list of grouping sets follows.
const GROUPINGS: [&str; 3] = ["ROLLUP", "CUBE", "SETS"];

pub fn tokens(sql: &str) -> Result<Vec<Token>> {
    let input = lex(sql)?;
    refused::check(&input)?;
    let mut rewriter = Rewriter { input: &input, at: 0, output: Vec::with_capacity(input.len() + 16) };
    while rewriter.at < input.len() {
        rewriter.step()?;
    }
    Ok(rewriter.output)
}

/// Whether the token is an unquoted word that PostgreSQL prints as a keyword.
pub fn is_keyword(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && is_keyword_text(&word.value))
}

fn is_keyword_text(word: &str) -> bool {
    let capitals = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    capitals && word.chars().any(|c| c.is_ascii_uppercase()) || word == "true" || word == "false"
}

/// Whether the tokens start with these keywords.
pub fn starts_with(tokens: &[Token], words: &[&str]) -> bool {
    let is = |token: &Token, text: &str| is_keyword(token) && matches!(token, Token::Word(word) if word.value == text);
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, text)| is(token, text))
}

fn is_name(token: &Token) -> bool {
    matches!(token, Token::Word(_)) && !is_keyword(token)
}

fn marked(value: impl Into<String>, mark: char) -> Token {
    Token::Word(Word { value: value.into(), quote_style: Some(mark), keyword: Keyword::NoKeyword })
}

/// Splits the text, joins the pieces of operators and drops white space, block comments (ours) and
/// the semicolon at the end.
fn lex(sql: &str) -> Result<Vec<Token>> {
    let dialect = Canonical::default();
    let lexed = Tokenizer::new(&dialect, sql).tokenize().map_err(|error| Error::Syntax(error.to_string()))?;
    let mut tokens: Vec<Token> = Vec::with_capacity(lexed.len());
    let mut apart = true;
    for token in lexed {
        let star = matches!(tokens.last(), Some(Token::Period | Token::LParen)) && token == Token::Mul;
        match token {
            Token::Whitespace(Whitespace::SingleLineComment { .. }) => {
                return Err(Error::Syntax("unexpected comment".to_owned()));
            }
            Token::Whitespace(_) => {
                apart = true;
                continue;
            }
            token if is_operator(&token) && !star => match tokens.last_mut() {
                Some(Token::CustomBinaryOperator(symbol)) if !apart => symbol.push_str(&token.to_string()),
                _ => tokens.push(Token::CustomBinaryOperator(token.to_string())),
            },
            token => tokens.push(token),
        }
        apart = false;
    }
    tokens.pop_if(|token| *token == Token::SemiColon);
    Ok(tokens)
}

fn is_operator(token: &Token) -> bool {
    let literal = matches!(token, Token::Word(_) | Token::Number(..) | Token::RArrow | Token::SingleQuotedString(_));
    !literal && token.to_string().chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c))
}

struct Rewriter<'a> {
    input: &'a [Token],
    at: usize,
    output: Vec<Token>,
}

impl Rewriter<'_> {
    /// Rewrites the tokens at the cursor and moves it behind them.
    fn step(&mut self) -> Result<()> {
        let rest = &self.input[self.at..];
        match rest {
            [Token::DoubleColon, ..] => {
                self.copy(1);
                self.type_name()?;
            }
            [Token::LParen, ..] if self.at_column_definitions() => self.column_definitions()?,
            [Token::Word(word), Token::Period, Token::Mul, ..] => {
                self.output.push(marked(&word.value, ROW));
                self.at += 3;
            }
            [name @ Token::Word(word), ..] if is_name(name) => {
                self.output.push(marked(&word.value, QUOTED));
                self.at += 1;
            }
            [Token::Word(_), Token::LParen, ..] if starts_with(rest, &["OPERATOR"]) => self.operator()?,
            [Token::Word(_), Token::LParen, ..] if GROUPINGS.iter().any(|word| starts_with(rest, &[word])) => {
                self.copy(2);
                self.grouping_sets()?;
            }
            [Token::Word(_), ..] => self.keyword(),
            _ => self.copy(1),
        }
        Ok(())
    }

    fn copy(&mut self, count: usize) {
        self.output.extend_from_slice(&self.input[self.at..self.at + count]);
        self.at += count;
    }

    fn keyword(&mut self) {
        let rest = &self.input[self.at..];
        if starts_with(rest, &["LIMIT", "ALL"]) {
            self.output.extend([Token::make_keyword("LIMIT"), Token::make_keyword("NULL")]);
            self.at += 2;
        } else if starts_with(rest, &["GROUP", "BY", "DISTINCT"]) {
            self.copy(2);
            let call = [marked(GROUPED_ONCE, CALL), Token::LParen, Token::make_keyword("NULL"), Token::RParen];
            self.output.extend(call.into_iter().chain([Token::Comma]));
            self.at += 1;
        } else if starts_with(rest, &["FETCH", "FIRST"]) {
            self.output.extend([Token::make_keyword("LIMIT"), marked(TIES, CALL), Token::LParen]);
            self.at += 2;
        } else if starts_with(rest, &["ROWS", "WITH", "TIES"]) {
            self.output.push(Token::RParen);
            self.at += 3;
        } else {
            if starts_with(rest, &["PRECEDING"]) || starts_with(rest, &["FOLLOWING"]) {
                self.enclose_offset();
            }
            self.copy(1);
        }
    }

    /// `'1 day'::interval PRECEDING` to `('1 day'::interval) PRECEDING`: the parser takes a bare string
    /// there for the start of an interval of its own.
    fn enclose_offset(&mut self) {
        let Some(start) = self.output.len().checked_sub(3) else { return };
        if let [Token::SingleQuotedString(_), Token::DoubleColon, Token::Word(_)] = self.output[start..] {
            self.output.insert(start, Token::LParen);
            self.output.push(Token::RParen);
        }
    }

    /// `OPERATOR(schema.symbol)` to one token.
    fn operator(&mut self) -> Result<()> {
        let mut symbol = String::new();
        self.at += 2;
        loop {
            match self.input.get(self.at) {
                Some(Token::RParen) => break,
                Some(Token::Word(word)) if symbol.is_empty() => symbol.push_str(&word.value),
                Some(Token::Period) => symbol.push(SCHEMA_END),
                Some(token) if is_operator(token) => symbol.push_str(&token.to_string()),
                _ => return Err(Error::Syntax("unexpected OPERATOR".to_owned())),
            }
            self.at += 1;
        }
        self.at += 1;
        self.output.push(Token::CustomBinaryOperator(symbol));
        Ok(())
    }

    /// Encloses each grouping set that is an expression starting with a parenthesis, `(a)::text` or a
    /// subquery: the parser takes that parenthesis for the whole set's.
    fn grouping_sets(&mut self) -> Result<()> {
        loop {
            let (start, mut depth, mut closed) = (self.output.len(), 0, false);
            loop {
                match self.input.get(self.at) {
                    None => return Ok(()),
                    Some(Token::Comma | Token::RParen) if depth == 0 => break,
                    Some(_) => {}
                }
                let from = self.at;
                self.step()?;
                let count = |token| self.input[from..self.at].iter().filter(|t| **t == token).count();
                depth += count(Token::LParen);
                depth -= count(Token::RParen);
                closed |= depth == 0 && self.output.last() == Some(&Token::RParen);
            }
            let query =
                self.output.get(start + 1).is_some_and(|first| starts_with(std::slice::from_ref(first), &["SELECT"]));
            let goes_on = closed && self.output.last() != Some(&Token::RParen);
            if self.output.get(start) == Some(&Token::LParen) && (query || goes_on) {
                self.output.insert(start, Token::LParen);
                self.output.push(Token::RParen);
            }
            let end = self.input[self.at] == Token::RParen;
            self.copy(1);
            if end {
                return Ok(());
            }
        }
    }

    fn type_name(&mut self) -> Result<()> {
        let Some((name, count)) = types::type_name(&self.input[self.at..]) else {
            return Err(Error::Syntax("type name expected".to_owned()));
        };
        self.output.push(marked(name, TYPE));
        self.at += count;
        Ok(())
    }

    /// Whether the parenthesis opens the column definitions of a function in FROM: a call, an alias,
    /// and in the parentheses two names in a row.
    fn at_column_definitions(&self) -> bool {
        let (before, after) = self.input.split_at(self.at);
        let [call @ .., alias] = before else { return false };
        let call = match call {
            [call @ .., word] if starts_with(std::slice::from_ref(word), &["AS"]) => call,
            call => call,
        };
        let ends_call = match call {
            [.., Token::RParen] => true,
            [.., word] => starts_with(std::slice::from_ref(word), &["ORDINALITY"]),
            [] => false,
        };
        ends_call && is_name(alias) && matches!(after, [_, name, ty, ..] if is_name(name) && is_name(ty))
    }

    fn column_definitions(&mut self) -> Result<()> {
        loop {
            self.copy(1);
            self.step()?;
            self.type_name()?;
            match self.input.get(self.at) {
                Some(Token::Comma) => {}
                Some(Token::RParen) => break,
                Some(token) => return Err(Error::Syntax(format!("unexpected {token} in a column definition list"))),
                None => return Err(Error::Syntax("unfinished column definition list".to_owned())),
            }
        }
        self.copy(1);
        Ok(())
    }
}
