//! `wait_for_stream_table`: reading what was just written.

use std::time::{Duration, Instant};

use pgrx::PgSqlErrorCode::{
    ERRCODE_INVALID_TRANSACTION_STATE, ERRCODE_LOCK_NOT_AVAILABLE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{given, patience, resolve};
use crate::error::{Error, Result};
use crate::pg::shmem::shared;
use crate::pg::subxact::undone;
use crate::pg::{guard, latch, xact};
use crate::{guc, refresh};

/// How long it waits by default.
const USUAL: Duration = Duration::from_secs(30);
/// Between two looks: from the first, doubling, to the longest. A refresh takes about a millisecond.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Waits until a stream table shows everything that was committed before the call, and tells whether it does: false
/// when the time is over. The next statement sees it; the one that waits goes by the snapshot it began with, which
/// the server keeps, and VACUUM heeds, as for any statement that takes as long.
#[pg_extern]
fn wait_for_stream_table(
    name: Option<&str>,
    timeout: default!(Option<Interval>, "'30 seconds'"),
) -> std::result::Result<bool, ErrorReport> {
    Ok(wait(given("name", name)?, timeout)?)
}

fn wait(name: &str, timeout: Option<Interval>) -> Result<bool> {
    let time = Time::of(timeout)?;
    require_workers()?;
    require_fresh_snapshots()?;
    // Nothing is held while it sleeps: neither snapshots of ours nor locks, which end with these subtransactions.
    let mut wait = refresh::Wait::new(within(time.left(), || resolve(name))?.1);
    let mut pause = FIRST_PAUSE;
    loop {
        // It looks from the table to its sources, and DROP locks from the sources to the table. Who lets go of what
        // he has long before the server looks for a deadlock is part of none.
        match within(time.left().min(LONGEST_PAUSE), || wait.look()) {
            Ok(true) => return Ok(true),
            // Somebody drops, rewrites or truncates a source, and has not committed it.
            Err(error) if error.code() != ERRCODE_LOCK_NOT_AVAILABLE => return Err(error),
            Ok(false) | Err(_) if time.left().is_zero() => return Ok(false),
            Ok(false) | Err(_) => latch::pause(pause.min(time.left())),
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// What is left of the time to wait.
struct Time {
    began: Instant,
    whole: Duration,
}

impl Time {
    fn of(timeout: Option<Interval>) -> Result<Time> {
        Ok(Time { began: Instant::now(), whole: patience(timeout, USUAL)? })
    }

    fn left(&self) -> Duration {
        self.whole.saturating_sub(self.began.elapsed())
    }
}

/// Looks, and waits for each lock only so long.
fn within<R>(patience: Duration, look: impl FnOnce() -> Result<R>) -> Result<R> {
    let patience = patience.as_millis().clamp(1, i32::MAX as u128).to_string();
    undone(|| guard::with_settings(&[("lock_timeout", &patience)], look))
}

fn require_workers() -> Result<()> {
    let reason = match (shared().is_some(), guc::enabled()) {
        (true, true) => return Ok(()),
        (true, false) => "The setting pg_trickle.enabled is off.",
        (false, _) => "pg_trickle is not in shared_preload_libraries.",
    };
    Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "no workers refresh stream tables")
        .detail(reason)
        .hint("Call pgtrickle.refresh_stream_table() instead of waiting."))
}

fn require_fresh_snapshots() -> Result<()> {
    if !xact::keeps_its_snapshot() {
        return Ok(());
    }
    Err(Error::new(
        ERRCODE_INVALID_TRANSACTION_STATE,
        "cannot wait for a stream table in a transaction with one snapshot",
    )
    .detail("In REPEATABLE READ and SERIALIZABLE its statements would not see what it has waited for.")
    .hint("Use READ COMMITTED, or wait before the transaction begins."))
}
