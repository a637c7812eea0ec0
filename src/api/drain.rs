//! `drain`, `is_drained`, `undrain`: a database without background refreshes, for maintenance. Changes are captured
//! all the same, and refreshing by hand works.

use std::time::{Duration, Instant};

use pgrx::PgSqlErrorCode::{ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::patience;
use crate::error::{Error, Result};
use crate::pg::{database, latch, wake};

/// How long a session waits by default.
const USUAL: Duration = Duration::from_secs(60);
/// How often a session looks whether the last refresh is over.
const LOOK: Duration = Duration::from_millis(5);

/// Lets no background refresh begin in this database, and waits until those under way are over. False when the
/// timeout comes first: they go on, and none follows them. Until `undrain()`, or until the server restarts.
#[pg_extern]
fn drain(timeout: default!(Option<Interval>, "'1 minute'")) -> std::result::Result<bool, ErrorReport> {
    Ok(wait(timeout)?)
}

/// Whether background refreshes are held off in this database, and none is under way.
#[pg_extern]
fn is_drained() -> bool {
    wake::drained()
}

/// Lets background refreshes begin again.
#[pg_extern]
fn undrain() -> std::result::Result<(), ErrorReport> {
    Ok(set(false)?)
}

fn wait(timeout: Option<Interval>) -> Result<bool> {
    let patience = patience(timeout, USUAL)?;
    set(true)?;
    let started = Instant::now();
    while !wake::drained() {
        if started.elapsed() >= patience {
            return Ok(false);
        }
        latch::pause(LOOK);
    }
    Ok(true)
}

fn set(drained: bool) -> Result<()> {
    if !database::is_own() {
        return Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of the database")
            .detail("Background refreshes are everybody's."));
    }
    match wake::drain(drained) {
        true => Ok(()),
        false => {
            Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "nothing is refreshed here in the background")
                .detail("No scheduler of pg_trickle is known for this database.")
                .hint("Add pg_trickle to shared_preload_libraries and restart the server."))
        }
    }
}
