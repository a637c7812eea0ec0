//! Constructs that cannot be maintained incrementally, found by their keywords.

use super::lexer::{Token, starts_with};
use crate::error::{Error, Result};
use crate::refuse::UNKNOWN;

/// Sequences of keywords, and the construct, reason and hint of the refusal for any of them.
type Refused = (&'static [&'static str], &'static str, &'static str, &'static str);

#[rustfmt::skip]
const REFUSED: &[Refused] = &[
    (&["FOR UPDATE", "FOR NO KEY", "FOR SHARE", "FOR KEY SHARE"], "a row locking clause",
     "a stored result cannot hold locks on the rows it was computed from",
     "Remove FOR UPDATE or FOR SHARE from the query."),
    (&["INSERT", "UPDATE", "DELETE", "MERGE"], "a data-modifying statement in WITH",
     "a defining query must only read",
     "Move the change into a statement of its own."),
    (&["TABLESAMPLE"], "TABLESAMPLE",
     "which rows a sample holds depends on where they are stored, not on their values",
     "Select rows by a hash of their key instead."),
    (&["ONLY"], "ONLY",
     "the changes of inherited tables are captured together with those of their children",
     "Read the table without ONLY, or filter by tableoid."),
    (&["ROWS FROM"], "ROWS FROM",
     "its rows are paired by position, which a delta does not have",
     "Use unnest with several arrays, or one function."),
    (&["EXCLUDE"], "a window frame with EXCLUDE",
     "the incremental compiler does not know such frames",
     "Use a frame without EXCLUDE."),
    (&["SEARCH", "CYCLE"], "SEARCH or CYCLE in a recursive query",
     "the order and the paths that they add cannot be maintained row by row",
     "Compute the path or the cycle mark in the recursive query itself."),
    (&["COLLATION FOR"], "COLLATION FOR",
     "it describes an expression, not its value",
     "Use the name of the collation."),
    (&["SIMILAR"], "SUBSTRING with SIMILAR",
     UNKNOWN,
     "Use substring(text from pattern) with a POSIX regular expression."),
    (&["AT LOCAL"], "AT LOCAL",
     "its result depends on the session's time zone",
     "Use AT TIME ZONE with a named zone."),
    (&["IS DOCUMENT", "IS NOT DOCUMENT"], "IS DOCUMENT",
     UNKNOWN,
     "Use xml_is_well_formed_document(text)."),
    (&["IS JSON", "IS NOT JSON"], "IS JSON",
     UNKNOWN,
     "Use a function that tests the text."),
];

const XML: &str = "XML functions of the SQL standard";
const JSON: &str = "JSON functions of the SQL standard";
const KEYWORD_SYNTAX: &str = "the incremental compiler does not know their keyword arguments";

/// Refuses tokens among which are those of such a construct.
pub fn check(tokens: &[Token]) -> Result<()> {
    for at in 0..tokens.len() {
        let rest = &tokens[at..];
        let Token::Keyword(word) = &tokens[at] else { continue };
        let is_next = |words: &&str| starts_with(rest, words);
        if let Some((_, construct, reason, hint)) = REFUSED.iter().find(|(sequences, ..)| sequences.iter().any(is_next))
        {
            return Err(Error::unsupported(construct, reason, hint));
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
