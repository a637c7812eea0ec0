//! `wait_for_stream_table`: reading one's own writes.

use std::time::{Duration, Instant};

use pgrx::PgSqlErrorCode::{ERRCODE_INVALID_TRANSACTION_STATE, ERRCODE_LOCK_NOT_AVAILABLE};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{given, resolve, timeout_or};
use crate::error::{Error, Result};
use crate::pg::{latch, xact};
use crate::refresh::{self, Absence, with_lock_timeout};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Pauses between checks double from the first to the longest. A refresh takes about a millisecond.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// How long the launcher and a scheduler may take to start. The postmaster starts a launcher that ended a second later.
const TIME_TO_START: Duration = Duration::from_secs(2);

/// Waits until a stream table shows everything that was committed before the call; false if the timeout ends first. The next
/// statement sees it. The waiting statement itself keeps its snapshot, which holds back VACUUM as that of any other long
/// statement does.
#[pg_extern]
fn wait_for_stream_table(
    name: Option<&str>,
    timeout: default!(Option<Interval>, "'30 seconds'"),
) -> std::result::Result<bool, ErrorReport> {
    Ok(wait(given("name", name)?, timeout)?)
}

fn wait(name: &str, timeout: Option<Interval>) -> Result<bool> {
    let (started, timeout) = (Instant::now(), timeout_or(DEFAULT_TIMEOUT, timeout)?);
    let left = || timeout.saturating_sub(started.elapsed());
    if let Some(absence) = Absence::configured() {
        return Err(without_workers(absence));
    }
    require_fresh_snapshots()?;
    // Between checks it holds neither snapshots nor locks: they end with the subtransaction of each check.
    let mut wait = refresh::Wait::new(with_lock_timeout(left(), || resolve(name))?.1);
    let (mut pause, mut absent_since) = (FIRST_PAUSE, None);
    loop {
        // A check locks the table first and then its sources, DROP locks the sources first. The short lock timeout ends a
        // check long before the deadlock detector runs.
        match with_lock_timeout(left().min(LONGEST_PAUSE), || wait.check()) {
            Ok(true) => return Ok(true),
            // A concurrent transaction drops, rewrites or truncates a source.
            Err(error) if error.code() != ERRCODE_LOCK_NOT_AVAILABLE => return Err(error),
            Ok(false) | Err(_) if left().is_zero() => return Ok(false),
            Ok(false) | Err(_) => latch::pause(pause.min(left())),
        }
        absent_since = match (Absence::observed(), absent_since) {
            (Some(absence), Some(since)) if Instant::elapsed(&since) > TIME_TO_START => {
                return Err(without_workers(absence));
            }
            (Some(_), since) => since.or_else(|| Some(Instant::now())),
            (None, _) => None,
        };
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

fn without_workers(absence: Absence) -> Error {
    let instead = match xact::is_in_recovery() {
        true => "",
        false => " Until then call pgtrickle.refresh_stream_table() instead of waiting.",
    };
    absence.into_error("no background workers refresh stream tables", instead)
}

fn require_fresh_snapshots() -> Result<()> {
    if !xact::keeps_its_snapshot() {
        return Ok(());
    }
    Err(Error::new(
        ERRCODE_INVALID_TRANSACTION_STATE,
        "cannot wait for a stream table in a transaction that keeps its snapshot",
    )
    .detail("In REPEATABLE READ and SERIALIZABLE later statements do not see newer data.")
    .hint("Use READ COMMITTED, or wait before the transaction begins."))
}
