//! One error type for the extension, and the one place where it becomes a PostgreSQL error report.

pub use monitor::tables::Kind;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

/// Everything that can fail, with what a user needs to act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// About the query or the graph, from the compiler.
    #[error(transparent)]
    Query(#[from] ivm::Error),
    /// About the request, or raised by the server.
    #[error("{}", .0.message)]
    Report(Box<Report>),
    /// A statement of the incremental refresh, which the server refused while it was analysed or planned.
    #[error("PostgreSQL refuses what follows the changes: {}", .0.message)]
    Unplanned(Box<Report>),
    /// What a stream table reads was altered since the snapshot of its refresh, as this says.
    #[error("{0} while it was read")]
    Altered(String),
    /// This stream table must be rebuilt before it is refreshed.
    #[error("a stream table was not rebuilt")]
    Stale(i32),
    /// A stream table of which others hold the lock, too, has to be recomputed.
    #[error("a stream table is changed by other transactions")]
    Shared,
    /// A stream table that was left out of a tick has changed.
    #[error("a stream table that shows the same moment has changed")]
    Incomplete,
    /// A delta used more than its caller allowed.
    #[error("following the changes takes longer than recomputing")]
    Abandoned,
    /// A broken invariant of ours.
    #[error("internal error: {0}")]
    Bug(&'static str),
    /// A broken invariant of ours, with the figures that break it.
    #[error("internal error: {0}")]
    Broken(&'static str, String),
}

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Debug)]
pub struct Report {
    pub code: PgSqlErrorCode,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// The hint where the server refuses a statement that was generated from a query.
const REWRITE: &str = "Write the query in another way, or use refresh mode FULL.";

fn sqlstate(code: PgSqlErrorCode) -> String {
    let code = code as i32;
    (0..5).filter_map(|place| char::from_u32(((code >> (6 * place)) & 0x3F) as u32 + '0' as u32)).collect()
}

impl Error {
    pub fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Error {
        Error::Report(Box::new(Report { code, message: message.into(), detail: None, hint: None }))
    }

    pub fn detail(mut self, text: impl Into<String>) -> Error {
        if let Error::Report(report) = &mut self {
            report.detail = Some(text.into());
        }
        self
    }

    /// Adds a sentence to the detail.
    pub fn more_detail(mut self, text: &str) -> Error {
        if let Error::Report(report) = &mut self {
            let detail = report.detail.take().map_or_else(String::new, |detail| detail + " ");
            report.detail = Some(detail + text);
        }
        self
    }

    pub fn hint(mut self, text: impl Into<String>) -> Error {
        if let Error::Report(report) = &mut self {
            report.hint = Some(text.into());
        }
        self
    }

    /// Why a query cannot be maintained from changes and is recomputed, where this is such an error: the construct, or the
    /// server's message about a statement that was generated from the query.
    pub fn as_reason(&self) -> Option<ivm::Error> {
        let report = match self {
            Error::Query(error @ ivm::Error::Unsupported { .. }) => return Some(error.clone()),
            Error::Unplanned(report) => report,
            _ => return None,
        };
        let detail = report.detail.as_deref().map(|detail| format!(": {}", detail.trim_end_matches('.')));
        let reason = format!(
            "PostgreSQL refuses a statement that follows the changes, {}{} (SQLSTATE {})",
            report.message,
            detail.unwrap_or_default(),
            sqlstate(report.code)
        );
        Some(ivm::Error::unsupported("this query", &reason, REWRITE))
    }

    /// The same error, when it was raised while a generated statement was analysed or planned. Transient errors and those of
    /// privileges are returned unchanged.
    pub fn while_planned(self) -> Error {
        match (self.kind(), self) {
            (Kind::User | Kind::Schema, Error::Report(report))
                if report.code != PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE =>
            {
                Error::Unplanned(report)
            }
            (_, other) => other,
        }
    }

    /// Whether a refresh that failed with this may succeed once no other transaction changes its table: by recomputing it.
    pub fn needs_lock(&self) -> bool {
        matches!(self, Error::Shared | Error::Altered(_)) || self.as_reason().is_some() || self.kind() == Kind::User
    }

    /// The text for the log and the history, which have no DETAIL: the figures of a bug are included.
    pub fn in_full(&self) -> String {
        match self {
            Error::Broken(_, figures) => format!("{self}: {figures}"),
            _ => self.to_string(),
        }
    }

    /// The text with the hint, for the log.
    pub fn with_hint(&self) -> String {
        let hint = if let Error::Report(report) = self { report.hint.as_deref() } else { None };
        hint.map_or_else(|| self.in_full(), |hint| format!("{self}. {hint}"))
    }

    pub fn code(&self) -> PgSqlErrorCode {
        match self {
            Error::Query(ivm::Error::Unsupported { .. }) | Error::Unplanned(_) => {
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED
            }
            Error::Query(ivm::Error::Schedule { .. }) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::Query(ivm::Error::Cycle(_)) => PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            Error::Altered(_) | Error::Stale(_) | Error::Shared | Error::Incomplete | Error::Abandoned => {
                PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE
            }
            Error::Query(_) | Error::Bug(_) | Error::Broken(..) => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            Error::Report(report) => report.code,
        }
    }

    /// The code's five characters.
    pub fn sqlstate(&self) -> String {
        sqlstate(self.code())
    }

    /// Decided by the SQLSTATE alone. Transient are connection exceptions (class 08), transaction rollbacks (40), insufficient resources (53), locks and objects
    /// in use (of 55), operator intervention (57), system errors (58), snapshots too old (72). Undefined names and mismatched
    /// types (of 42) mean that the schema changed.
    pub fn kind(&self) -> Kind {
        if matches!(self, Error::Bug(_) | Error::Broken(..) | Error::Query(ivm::Error::Bug(_))) {
            return Kind::Bug;
        }
        let (code, state) = (self.code(), self.sqlstate());
        let transient = match &state[..2] {
            "08" | "40" | "53" | "57" | "58" | "72" => true,
            "55" => [PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, PgSqlErrorCode::ERRCODE_OBJECT_IN_USE].contains(&code),
            _ => code == PgSqlErrorCode::ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
        };
        let schema = [
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION,
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        ];
        if transient {
            Kind::Transient
        } else if schema.contains(&code) {
            Kind::Schema
        } else {
            Kind::User
        }
    }
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

impl From<chunk::Damaged> for Error {
    fn from(_: chunk::Damaged) -> Error {
        Error::Bug("a chunk ends in the middle of an entry")
    }
}

impl From<Error> for ErrorReport {
    #[track_caller]
    fn from(error: Error) -> ErrorReport {
        let code = error.code();
        let (detail, hint) = match &error {
            Error::Query(ivm::Error::Unsupported { reason, hint, .. }) => (Some(sentence(reason)), Some(hint.clone())),
            Error::Query(ivm::Error::Schedule { reason, .. }) => (
                Some(sentence(reason)),
                Some("Use a duration such as '1s' or '5m', a cron expression, '@hourly', or 'calculated'.".to_owned()),
            ),
            Error::Report(report) => (report.detail.clone(), report.hint.clone()),
            Error::Unplanned(report) => (report.detail.clone(), Some(REWRITE.to_owned())),
            Error::Broken(_, figures) => (Some(figures.clone()), None),
            Error::Altered(_) => (None, Some("Try it again.".to_owned())),
            _ => (None, None),
        };
        let mut out = ErrorReport::new(code, error.to_string(), "pg_trickle");
        if let Some(detail) = detail.filter(|text| !text.is_empty()) {
            out = out.set_detail(detail);
        }
        if let Some(hint) = hint.filter(|text| !text.is_empty()) {
            out = out.set_hint(hint);
        }
        out
    }
}
