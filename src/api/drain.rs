//! `drain`, `is_drained`, `undrain`: suspending background refreshes of a database, for maintenance. Changes are still
//! captured, and refreshing by hand works.

use std::time::{Duration, Instant};

use pgrx::PgSqlErrorCode::{ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::timeout_or;
use crate::error::{Error, Result};
use crate::pg::{database, latch, wake};
use crate::refresh::Absence;

/// How long a session waits by default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two checks whether the last refresh has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Lets no new background refresh begin in this database, and waits for the running ones. False if the timeout ends first:
/// they continue, and none follows them. Holds until `undrain()` or a restart of the server.
#[pg_extern]
fn drain(timeout: default!(Option<Interval>, "'1 minute'")) -> std::result::Result<bool, ErrorReport> {
    Ok(wait(timeout)?)
}

/// Whether this database is drained and no background refresh is running.
#[pg_extern]
fn is_drained() -> bool {
    wake::is_drained()
}

/// Lets background refreshes begin again.
#[pg_extern]
fn undrain() -> std::result::Result<(), ErrorReport> {
    Ok(set(false)?)
}

fn wait(timeout: Option<Interval>) -> Result<bool> {
    let timeout = timeout_or(DEFAULT_TIMEOUT, timeout)?;
    set(true)?;
    let started = Instant::now();
    while !wake::is_drained() {
        if started.elapsed() >= timeout {
            return Ok(false);
        }
        latch::pause(POLL_INTERVAL);
    }
    Ok(true)
}

fn set(drained: bool) -> Result<()> {
    if !database::is_own() {
        return Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of the database")
            .detail("Draining stops the background refreshes of all stream tables in it."));
    }
    if wake::set_drained(drained) {
        return Ok(());
    }
    let message = "no pg_trickle scheduler is running for this database";
    Err(match Absence::configured().or_else(Absence::observed) {
        Some(absence) => absence.into_error(message, ""),
        None => Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .detail("There are no background refreshes to drain."),
    })
}
