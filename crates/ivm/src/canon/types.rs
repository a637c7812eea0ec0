//! Type names as `format_type` prints them: multi-word names, modifiers, array brackets.

use super::lexer::Token;
use super::parser::Parser;
use crate::error::Result;
use crate::expr::TypeName;

/// The fields of an interval, the longer before those that they start with.
#[rustfmt::skip]
const INTERVAL: [&[&str]; 13] = [
    &["year", "to", "month"], &["day", "to", "hour"], &["day", "to", "minute"], &["day", "to", "second"],
    &["hour", "to", "minute"], &["hour", "to", "second"], &["minute", "to", "second"],
    &["year"], &["month"], &["day"], &["hour"], &["minute"], &["second"],
];

impl Parser {
    pub fn type_name(&mut self) -> Result<TypeName> {
        let first = self.bare_word().unwrap_or_default().to_owned();
        let mut text = self.type_word()?;
        match first.as_str() {
            "double" if self.words(&["precision"], &mut text) => {}
            "character" | "bit" => _ = self.words(&["varying"], &mut text),
            "interval" => _ = INTERVAL.iter().any(|fields| self.words(fields, &mut text)),
            "time" | "timestamp" => {
                self.modifier(&mut text)?;
                _ = self.words(&["with", "time", "zone"], &mut text)
                    || self.words(&["without", "time", "zone"], &mut text);
            }
            _ if self.take_mark(".") => text = format!("{text}.{}", self.type_word()?),
            _ => {}
        }
        self.modifier(&mut text)?;
        while let [Token::Mark("["), Token::Mark("]"), ..] = self.rest(0) {
            self.take_mark("[");
            self.take_mark("]");
            text.push_str("[]");
        }
        Ok(TypeName(text))
    }

    /// The next token when it is an unquoted name.
    fn bare_word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Name { name, quoted: false }) => Some(name.as_str()),
            _ => None,
        }
    }

    /// One word of a name, as it was spelled.
    fn type_word(&mut self) -> Result<String> {
        let bare = self.bare_word().map(str::to_owned);
        let name = self.name()?;
        Ok(bare.unwrap_or_else(|| name.to_string()))
    }

    /// Takes these words, or nothing.
    fn words(&mut self, words: &[&str], text: &mut String) -> bool {
        let is = |(token, word): (&Token, &&str)| matches!(token, Token::Name { name, quoted: false } if name.as_str() == *word);
        let next = self.rest(0);
        if next.len() < words.len() || !next.iter().zip(words).all(is) {
            return false;
        }
        for word in words {
            self.next();
            text.push(' ');
            text.push_str(word);
        }
        true
    }

    /// A modifier in parentheses, which for a user's type may hold words.
    fn modifier(&mut self, text: &mut String) -> Result<()> {
        if !self.at_mark("(") {
            return Ok(());
        }
        loop {
            match self.peek() {
                Some(token @ (Token::Mark("(" | ")" | ",") | Token::Number(_) | Token::Keyword(_))) => {
                    text.push_str(&token.to_string());
                }
                Some(Token::Name { name, quoted: false }) => text.push_str(name.as_str()),
                Some(Token::Operator(sign)) if sign == "-" => text.push('-'),
                _ => return self.unexpected(),
            }
            if self.next() == Some(Token::Mark(")")) {
                return Ok(());
            }
        }
    }
}
