//! Errors of queries and of graphs of queries, with what a user needs to act on them.

use std::fmt;

/// An error about a query or a graph of queries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The construct cannot be maintained by its delta: the stream table runs FULL, with this reason.
    #[error("{construct} cannot be maintained incrementally")]
    Unsupported { construct: String, reason: String, hint: String },
    /// The text is not canonical SQL.
    #[error("canonical SQL not understood: {0}")]
    Syntax(String),
    /// Stream tables would depend on each other in a circle; the names along it.
    #[error("stream tables would depend on each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// A schedule that is neither a duration, nor cron, nor `calculated`.
    #[error("invalid schedule \"{text}\"")]
    Schedule { text: String, reason: String },
    /// The catalog has no answer: a relation was dropped, a statement could not be prepared.
    #[error("{0}")]
    Catalog(String),
    /// The reference evaluator lacks an operation, or the operation has no result.
    #[cfg(feature = "testing")]
    #[error("cannot evaluate: {0}")]
    Evaluation(String),
    /// A broken invariant of ours.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `reason` and `hint` say why, in a clause, and what to write instead, in a sentence.
    pub fn unsupported(construct: impl fmt::Display, reason: &str, hint: &str) -> Error {
        Error::Unsupported { construct: construct.to_string(), reason: reason.to_owned(), hint: hint.to_owned() }
    }
}
