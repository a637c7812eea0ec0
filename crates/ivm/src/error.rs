//! What can be wrong with a query, said so that a user can act on it.

/// An error about a query or a graph of queries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The construct cannot be maintained by its delta: the stream table runs FULL, with this reason.
    #[error("{construct} cannot be maintained incrementally")]
    Unsupported { construct: String, reason: String, hint: String },
    /// The canonical SQL could not be read.
    #[error("canonical SQL not understood: {0}")]
    Syntax(String),
    /// Stream tables would depend on each other in a circle; the names along it.
    #[error("stream tables would depend on each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// A schedule that is neither a duration, nor cron, nor `calculated`.
    #[error("invalid schedule \"{text}\"")]
    Schedule { text: String, reason: String },
    /// The catalog could not answer (a relation is gone, a statement did not prepare).
    #[error("{0}")]
    Catalog(String),
    /// The reference evaluator does not know an operation, or the operation has no result.
    #[error("cannot evaluate: {0}")]
    Evaluation(String),
    /// A broken invariant of ours.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn unsupported(construct: &str, reason: &str, hint: &str) -> Error {
        Error::Unsupported { construct: construct.to_owned(), reason: reason.to_owned(), hint: hint.to_owned() }
    }
}
