//! What keeps background workers away from a database, for calls that need them.

use std::sync::atomic::Ordering::SeqCst;

use pgrx::PgSqlErrorCode::{ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_READ_ONLY_SQL_TRANSACTION};

use crate::error::Error;
use crate::guc;
use crate::pg::shmem::shared;
use crate::pg::{bgworker, xact};

/// Why a server has no workers, and what to do.
pub struct Absence {
    reason: String,
    remedy: &'static str,
}

impl Absence {
    fn new(reason: impl Into<String>, remedy: &'static str) -> Absence {
        Absence { reason: reason.into(), remedy }
    }

    /// What the configuration says.
    pub fn configured() -> Option<Absence> {
        if xact::is_in_recovery() {
            let reason = "This server is a standby: the workers of its primary refresh.";
            return Some(Absence::new(reason, "Call it on the primary."));
        }
        match (shared().is_some(), guc::enabled()) {
            (true, true) => None,
            (true, false) => Some(Absence::new("The setting pg_trickle.enabled is off.", "Set it to on.")),
            (false, _) => Some(Absence::new(
                "pg_trickle is not in shared_preload_libraries.",
                "Add pg_trickle to shared_preload_libraries and restart the server.",
            )),
        }
    }

    /// What the processes show, where workers are configured: the server has none for the launcher, or for any scheduler. This
    /// is also so for a moment while they start.
    pub fn observed() -> Option<Absence> {
        let shared = shared()?;
        let has_scheduler = || shared.used_slots().any(|(_, slot)| slot.scheduler.is_running());
        let what = match shared.launcher.is_running() {
            false => "launcher",
            true if shared.scheduler_wanted.load(SeqCst) && !has_scheduler() => "scheduler",
            true => return None,
        };
        let count = bgworker::max_processes();
        let reason =
            format!("The server has no process for the {what} of pg_trickle; max_worker_processes is {count}.");
        Some(Absence::new(reason, "Raise max_worker_processes to 8 or more and restart the server."))
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The error of a call that needs workers.
    pub fn into_error(self, message: &str, instead: &str) -> Error {
        let code = match xact::is_in_recovery() {
            true => ERRCODE_READ_ONLY_SQL_TRANSACTION,
            false => ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        };
        Error::new(code, message).detail(self.reason).hint(format!("{}{instead}", self.remedy))
    }
}
