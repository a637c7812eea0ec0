//! Type names as `format_type` prints them: multi-word names, modifiers, array brackets.

use sqlparser::tokenizer::Token;

use crate::sql::ident::Ident;

/// The fields of an interval, the longer before those that they start with.
const INTERVAL: [&[&str]; 13] = [
    &["year", "to", "month"],
    &["day", "to", "hour"],
    &["day", "to", "minute"],
    &["day", "to", "second"],
    &["hour", "to", "minute"],
    &["hour", "to", "second"],
    &["minute", "to", "second"],
    &["year"],
    &["month"],
    &["day"],
    &["hour"],
    &["minute"],
    &["second"],
];

/// The type name that the tokens start with, and how many of them it takes.
pub fn type_name(tokens: &[Token]) -> Option<(String, usize)> {
    let mut reader = Reader { tokens, at: 0, text: String::new() };
    reader.type_name()?;
    Some((reader.text, reader.at))
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    text: String,
}

impl Reader<'_> {
    fn type_name(&mut self) -> Option<()> {
        let first = self.bare().unwrap_or_default().to_owned();
        self.word()?;
        match first.as_str() {
            "double" => self.words(&["precision"]) || self.qualified()?,
            "character" | "bit" => self.words(&["varying"]),
            "interval" => INTERVAL.iter().any(|fields| self.words(fields)),
            "time" | "timestamp" => {
                self.modifier()?;
                self.words(&["with", "time", "zone"]) || self.words(&["without", "time", "zone"])
            }
            _ => self.qualified()?,
        };
        self.modifier()?;
        while self.tokens[self.at..].starts_with(&[Token::LBracket, Token::RBracket]) {
            self.at += 2;
            self.text.push_str("[]");
        }
        Some(())
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    /// The next token when it is an unquoted word.
    fn bare(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    /// Takes one word of a name, as it was spelled.
    fn word(&mut self) -> Option<()> {
        let Some(Token::Word(word)) = self.peek() else { return None };
        match word.quote_style {
            None if word.value.chars().any(|c| c.is_ascii_uppercase()) => return None,
            None => self.text.push_str(&word.value.clone()),
            Some(_) => self.text.push_str(&Ident::new(&word.value).to_string()),
        }
        self.at += 1;
        Some(())
    }

    /// Takes `.name` if it follows.
    fn qualified(&mut self) -> Option<bool> {
        let qualified = self.take(&Token::Period);
        if qualified {
            self.text.push('.');
            self.word()?;
        }
        Some(qualified)
    }

    /// Takes these words, or nothing.
    fn words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        for word in words {
            if self.bare() != Some(word) {
                self.at = start;
                return false;
            }
            self.at += 1;
        }
        self.text.push(' ');
        self.text.push_str(&words.join(" "));
        true
    }

    /// A modifier in parentheses, which for a user's type may hold words and strings.
    fn modifier(&mut self) -> Option<()> {
        if !self.take(&Token::LParen) {
            return Some(());
        }
        self.text.push('(');
        loop {
            let token = self.peek()?;
            let text = match token {
                Token::RParen | Token::Comma | Token::Number(..) => token.to_string(),
                Token::Word(word) if word.quote_style.is_none() => word.value.clone(),
                Token::CustomBinaryOperator(sign) if sign == "-" => sign.clone(),
                _ => return None,
            };
            let end = *token == Token::RParen;
            self.text.push_str(&text);
            self.at += 1;
            if end {
                return Some(());
            }
        }
    }
}
