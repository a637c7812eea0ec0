//! Constructs that no stream table can follow incrementally, found by their keywords.

use sqlparser::tokenizer::Token;

use super::tokens::{is_keyword, starts_with};
use crate::error::{Error, Result};

struct Refused {
    /// Any of these keyword sequences.
    keywords: &'static [&'static [&'static str]],
    construct: &'static str,
    reason: &'static str,
    hint: &'static str,
}

const REFUSED: &[Refused] = &[
    Refused {
        keywords: &[&["FOR", "UPDATE"], &["FOR", "NO", "KEY"], &["FOR", "SHARE"], &["FOR", "KEY", "SHARE"]],
        construct: "a row locking clause",
        reason: "a stored result cannot hold locks on the rows it was computed from",
        hint: "Remove FOR UPDATE or FOR SHARE from the query.",
    },
    Refused {
        keywords: &[&["INSERT"], &["UPDATE"], &["DELETE"], &["MERGE"]],
        construct: "a data-modifying statement in WITH",
        reason: "a defining query must only read",
        hint: "Move the change into a statement of its own.",
    },
    Refused {
        keywords: &[&["TABLESAMPLE"]],
        construct: "TABLESAMPLE",
        reason: "which rows a sample holds depends on where they are stored, not on their values",
        hint: "Select rows by a hash of their key instead.",
    },
    Refused {
        keywords: &[&["ONLY"]],
        construct: "ONLY",
        reason: "changes of inherited tables are captured together with those of their children",
        hint: "Read the table without ONLY, or filter by tableoid.",
    },
    Refused {
        keywords: &[&["ROWS", "FROM"]],
        construct: "ROWS FROM",
        reason: "its rows are paired by position, which a delta does not know",
        hint: "Use unnest with several arrays, or one function.",
    },
    Refused {
        keywords: &[&["EXCLUDE"]],
        construct: "a window frame with EXCLUDE",
        reason: "the incremental compiler does not know such frames",
        hint: "Use a frame without EXCLUDE.",
    },
    Refused {
        keywords: &[&["SEARCH"], &["CYCLE"]],
        construct: "SEARCH or CYCLE in a recursive query",
        reason: "the order and the paths that they add cannot be maintained row by row",
        hint: "Compute the path or the cycle mark in the recursive query itself.",
    },
    Refused {
        keywords: &[&["COLLATION", "FOR"]],
        construct: "COLLATION FOR",
        reason: "it describes an expression, not its value",
        hint: "Use the name of the collation.",
    },
    Refused {
        keywords: &[&["SIMILAR"]],
        construct: "SUBSTRING with SIMILAR",
        reason: "the incremental compiler does not know this construct",
        hint: "Use substring(text from pattern) with a POSIX regular expression.",
    },
    Refused {
        keywords: &[&["AT", "LOCAL"]],
        construct: "AT LOCAL",
        reason: "its result depends on the session's time zone",
        hint: "Use AT TIME ZONE with a named zone.",
    },
    Refused {
        keywords: &[&["IS", "DOCUMENT"], &["IS", "NOT", "DOCUMENT"]],
        construct: "IS DOCUMENT",
        reason: "the incremental compiler does not know this construct",
        hint: "Use xml_is_well_formed_document(text).",
    },
    Refused {
        keywords: &[&["IS", "JSON"], &["IS", "NOT", "JSON"]],
        construct: "IS JSON",
        reason: "the incremental compiler does not know this construct",
        hint: "Use a function that tests the text.",
    },
];

const XML: &str = "XML functions of the SQL standard";
const JSON: &str = "JSON functions of the SQL standard";
const KEYWORD_SYNTAX: &str = "the incremental compiler does not know their keyword arguments";

/// The reason why these tokens cannot be followed, if there is one.
pub fn check(tokens: &[Token]) -> Result<()> {
    for at in 0..tokens.len() {
        let rest = &tokens[at..];
        if !is_keyword(&tokens[at]) {
            continue;
        }
        let known = |refused: &&Refused| refused.keywords.iter().any(|words| starts_with(rest, words));
        if let Some(refused) = REFUSED.iter().find(known) {
            return Err(Error::unsupported(refused.construct, refused.reason, refused.hint));
        }
        match rest {
            [Token::Word(word), Token::LParen, ..] if word.value.starts_with("XML") => {
                return Err(Error::unsupported(XML, KEYWORD_SYNTAX, "Use functions such as xpath()."));
            }
            [Token::Word(word), Token::LParen, ..] if word.value.starts_with("JSON") => {
                return Err(Error::unsupported(JSON, KEYWORD_SYNTAX, "Use functions such as jsonb_build_object()."));
            }
            _ => {}
        }
        if starts_with(rest, &["SELECT"]) && has_no_columns(&rest[1..]) {
            return Err(no_columns());
        }
        if starts_with(rest, &["USING"]) && has_alias(&rest[1..]) {
            let hint = "Name the columns by the joined tables.";
            return Err(Error::unsupported(
                "JOIN USING with an alias",
                "the incremental compiler does not know this construct",
                hint,
            ));
        }
    }
    Ok(())
}

/// A query without columns; with a FROM clause it is still good enough for EXISTS.
pub fn no_columns() -> Error {
    Error::unsupported("a select list without columns", "its rows hold nothing to store", "Select at least one column.")
}

/// Whether a clause other than FROM, or the end, follows the word SELECT.
fn has_no_columns(after: &[Token]) -> bool {
    const CLAUSES: [&str; 11] =
        ["WHERE", "GROUP", "HAVING", "WINDOW", "UNION", "INTERSECT", "EXCEPT", "ORDER", "OFFSET", "LIMIT", "FETCH"];
    match after.first() {
        None | Some(Token::RParen) => true,
        Some(_) => CLAUSES.iter().any(|clause| starts_with(after, &[clause])),
    }
}

/// Whether `(column, …) AS` follows the word USING.
fn has_alias(after: &[Token]) -> bool {
    let close = after.iter().position(|token| *token == Token::RParen);
    after.first() == Some(&Token::LParen) && close.is_some_and(|close| starts_with(&after[close + 1..], &["AS"]))
}
