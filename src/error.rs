//! One error type for the extension, and the one place where it becomes a PostgreSQL error report.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

/// Everything that can go wrong, with what a user needs to act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// About the query or the graph, from the compiler.
    #[error(transparent)]
    Query(#[from] ivm::Error),
    /// About the request or raised by the server: SQLSTATE, message, detail, hint.
    #[error("{}", .0.message)]
    Report(Box<Report>),
    /// What follows the changes of a query was refused by the server while it was analysed or planned.
    #[error("PostgreSQL refuses what follows the changes: {}", .0.message)]
    Unplanned(Box<Report>),
    /// A broken invariant of ours, named.
    #[error("internal error: {0}")]
    Bug(&'static str),
    /// A broken invariant, and the figures that break it.
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

/// What to do about an error, decided from its SQLSTATE and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Data or privileges: counts towards suspension.
    User,
    /// The shape of a source changed: start over.
    Schema,
    /// Goes away by itself: retry after a pause.
    Transient,
    /// Ours.
    Bug,
}

/// What to do where the server refuses a statement that we made of a query.
const REWRITE: &str = "Write the query in another way, or use refresh mode FULL.";

/// The five characters of a code.
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

    pub fn hint(mut self, text: impl Into<String>) -> Error {
        if let Error::Report(report) = &mut self {
            report.hint = Some(text.into());
        }
        self
    }

    /// Why a query that cannot be followed is recomputed, where the error says so: the construct, or what the server said
    /// of a statement that we made of the query.
    pub fn as_reason(&self) -> Option<ivm::Error> {
        let report = match self {
            Error::Query(error @ ivm::Error::Unsupported { .. }) => return Some(error.clone()),
            Error::Unplanned(report) => report,
            _ => return None,
        };
        let detail = report.detail.as_deref().map(|detail| format!(": {}", detail.trim_end_matches('.')));
        let said = format!(
            "PostgreSQL refuses a statement that follows the changes, {}{} (SQLSTATE {})",
            report.message,
            detail.unwrap_or_default(),
            sqlstate(report.code)
        );
        Some(ivm::Error::unsupported("this query", &said, REWRITE))
    }

    /// The same error, when it came up while a statement of ours was analysed or planned. What comes from the moment, or is
    /// a matter of rights, stays what it is.
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

    /// The text for the log and the history, where nobody sees a DETAIL: of our own bugs it must be all we know.
    pub fn in_full(&self) -> String {
        match self {
            Error::Broken(_, figures) => format!("{self}: {figures}"),
            _ => self.to_string(),
        }
    }

    pub fn code(&self) -> PgSqlErrorCode {
        match self {
            Error::Query(ivm::Error::Unsupported { .. }) | Error::Unplanned(_) => {
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED
            }
            Error::Query(ivm::Error::Schedule { .. }) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::Query(ivm::Error::Cycle(_)) => PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            Error::Query(_) | Error::Bug(_) | Error::Broken(..) => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            Error::Report(report) => report.code,
        }
    }

    /// The code's five characters.
    pub fn sqlstate(&self) -> String {
        sqlstate(self.code())
    }

    /// Errors that a later attempt may not meet are transient: connection exceptions (class 08), transaction rollbacks (40),
    /// insufficient resources (53), locks and objects in use (of 55), operator intervention (57), system errors (58), snapshots
    /// too old (72). Class 42 says that names or types are not what they were.
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
