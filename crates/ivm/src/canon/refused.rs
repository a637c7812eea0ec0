//! Constructs that cannot be maintained incrementally, found by their keywords.

use super::lexer::{Token, starts_with};
use crate::error::{Error, Result};
use crate::refuse::UNKNOWN;

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
        reason: "the changes of inherited tables are captured together with those of their children",
        hint: "Read the table without ONLY, or filter by tableoid.",
    },
    Refused {
        keywords: &[&["ROWS", "FROM"]],
        construct: "ROWS FROM",
        reason: "its rows are paired by position, which a delta does not have",
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
        reason: UNKNOWN,
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
        reason: UNKNOWN,
        hint: "Use xml_is_well_formed_document(text).",
    },
    Refused {
        keywords: &[&["IS", "JSON"], &["IS", "NOT", "JSON"]],
        construct: "IS JSON",
        reason: UNKNOWN,
        hint: "Use a function that tests the text.",
    },
];

const XML: &str = "XML functions of the SQL standard";
const JSON: &str = "JSON functions of the SQL standard";
const KEYWORD_SYNTAX: &str = "the incremental compiler does not know their keyword arguments";

/// Refuses tokens among which are those of such a construct.
pub fn check(tokens: &[Token]) -> Result<()> {
    for at in 0..tokens.len() {
        let rest = &tokens[at..];
        let Token::Keyword(word) = &tokens[at] else { continue };
        let known = |refused: &&Refused| refused.keywords.iter().any(|words| starts_with(rest, words));
        if let Some(refused) = REFUSED.iter().find(known) {
            return Err(Error::unsupported(refused.construct, refused.reason, refused.hint));
        }
        let calls = rest.get(1) == Some(&Token::Mark("("));
        if calls && word.starts_with("XML") {
            return Err(Error::unsupported(XML, KEYWORD_SYNTAX, "Use functions such as xpath()."));
        }
        if calls && word.starts_with("JSON") {
            return Err(Error::unsupported(JSON, KEYWORD_SYNTAX, "Use functions such as jsonb_build_object()."));
        }
    }
    Ok(())
}
