//! Reading one's own writes: a statement that reads stream tables waits until these show what its session has committed.
//!
//! **Invariant:** a statement that must see changes sees them, or it fails, or it warns. It takes a snapshot after the wait, where
//! nothing has been read under the one that it has; any other snapshot is checked itself.

use std::time::{Duration, Instant};

use pgrx::PgLogLevel;
use pgrx::PgSqlErrorCode::{
    ERRCODE_LOCK_NOT_AVAILABLE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_QUERY_CANCELED,
    ERRCODE_T_R_SERIALIZATION_FAILURE,
};
use pgrx::pg_sys::panic::ErrorReport;

use crate::catalog::stream_table;
use crate::error::{Error, Result};
use crate::guc::{self, OnFailure};
use crate::pg::reading::Reading;
use crate::pg::shmem::Signal;
use crate::pg::snapshot::{self, Snapshot};
use crate::pg::spi::{self, Session};
use crate::pg::subxact::rolled_back;
use crate::pg::writes::Needs;
use crate::pg::{call, latch, relation, wake, xact};
use crate::refresh::absence::Absence;
use crate::refresh::behind::{Wait, with_lock_timeout};
use crate::refresh::freshness::{self, Known, Reader};
use crate::refresh::live;

/// A tick that a commit has set off takes less than this. Later one is requested, and later yet the catalog is looked into.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const PAUSE_BEFORE_LOOK: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Waits until the stream tables that are about to be read show what is needed; whether the statement has to take a later
/// snapshot.
pub fn before_reading(reading: &Reading, needs: Needs) -> Result<bool> {
    let tables = match freshness::tables() {
        Ok(tables) => tables,
        Err(error) if error.code() == ERRCODE_QUERY_CANCELED || xact::is_parallel() => return Err(error),
        Err(error) => return without_catalog(reading, error),
    };
    let reader = Reader::Statement(&reading.snapshot);
    // What is read live shows it by itself.
    let stored = reading.relations.iter().filter(|relation| !live::is_live(**relation));
    let read = stored.filter_map(|relation| tables.get(relation));
    let spread = tables.values().filter(|_| reading.spreads);
    // So does what writers maintain.
    let deferred = read.chain(spread).filter(|known| !known.table.immediate);
    let stale: Vec<&Known> = deferred.filter(|known| !known.shows(&needs, &reader)).collect();
    if stale.is_empty() {
        return Ok(false);
    }
    show(&stale, reading, needs)
}

/// The catalog cannot be read, because it is of another version, or there is no such extension any more, or not yet: only statements
/// that read a stream table fail.
fn without_catalog(reading: &Reading, error: Error) -> Result<bool> {
    let is_read = |session: &Session| {
        let ids = reading.relations.iter().map(|relation| stream_table::id_of(session, *relation));
        Ok(ids.collect::<Result<Vec<_>>>()?.into_iter().flatten().next().is_some())
    };
    match rolled_back(|| spi::connect_to_any_version(is_read)) {
        Ok(true) => fail(error).map(|()| false),
        Err(error) if error.code() == ERRCODE_QUERY_CANCELED => Err(error),
        Ok(false) | Err(_) => Ok(false),
    }
}

fn show(stale: &[&Known], reading: &Reading, needs: Needs) -> Result<bool> {
    if !reading.can_move {
        let mut old = vec![];
        for known in stale {
            if !shows_in(known, reading, needs)? {
                old.push(*known);
            }
        }
        let Some(known) = old.first() else { return Ok(false) };
        fail(wait(stale, needs, !xact::is_parallel())?.unwrap_or_else(|| too_old(known)))?;
        return Ok(false);
    }
    match wait(stale, needs, true)? {
        None => Ok(true),
        Some(failure) => fail(failure).map(|()| false),
    }
}

/// Whether the statement's own snapshot sees in the table what is needed; not where DDL holds a lock for long.
fn shows_in(known: &Known, reading: &Reading, needs: Needs) -> Result<bool> {
    if xact::is_parallel() || needs.other > 0 && xact::is_unfinished(needs.other) {
        return Ok(false);
    }
    let (began, definition, snapshot) = (Instant::now(), known.definition(), &reading.snapshot);
    loop {
        match with_lock_timeout(LONGEST_PAUSE, || Wait::of_writes(known.table.id, needs).check_under(snapshot)) {
            Ok(true) => {
                known.verify(needs, definition, snapshot.frontier());
                return Ok(true);
            }
            Err(error) if error.code() == ERRCODE_QUERY_CANCELED => return Err(error),
            Err(error) if error.code() == ERRCODE_LOCK_NOT_AVAILABLE => latch::pause(FIRST_PAUSE),
            // The snapshot may not even see the table.
            Ok(false) | Err(_) => return Ok(false),
        }
        if began.elapsed() > guc::read_your_writes_timeout() {
            return Ok(false);
        }
    }
}

/// Before a transaction takes the snapshot that it keeps: waits for all stream tables that are behind. A table that cannot be waited
/// for is an error where it is read.
pub fn before_fixed_snapshot(needs: Needs) {
    let waited = snapshot::unfixed(|| {
        let began = Instant::now();
        let mut shown = vec![];
        let tables = freshness::tables()?;
        for known in tables.values() {
            let definition = known.definition();
            let shows =
                || Ok::<bool, Error>(known.shows(&needs, &Reader::Later) || wait(&[known], needs, true)?.is_none());
            match shows() {
                Ok(true) => shown.push((known, definition)),
                Err(error) if error.code() == ERRCODE_QUERY_CANCELED => return Err(error),
                Ok(false) | Err(_) => {}
            }
            if began.elapsed() > guc::read_your_writes_timeout() {
                break;
            }
        }
        // What refreshes publish later is not about the transaction's snapshot.
        let at = Snapshot::latest().frontier();
        shown.into_iter().for_each(|(known, definition)| known.verify(needs, definition, at.clone()));
        Ok(())
    });
    if let Err(error) = waited
        && error.code() == ERRCODE_QUERY_CANCELED
    {
        call::raise(error);
    }
}

/// Waits until all snapshots from now on see in these tables what is needed; else says why they do not.
fn wait(stale: &[&Known], needs: Needs, reads_catalog: bool) -> Result<Option<Error>> {
    let (began, timeout) = (Instant::now(), guc::read_your_writes_timeout());
    let signal = wake::refreshed();
    let mut left: Vec<(&Known, Wait)> = stale.iter().map(|it| (*it, Wait::of_writes(it.table.id, needs))).collect();
    // The commit has woken the scheduler for tables that are refreshed at once.
    let mut at_once = signal.is_some() && stale.iter().all(|known| known.table.at_once);
    let (mut pause, mut look_at) =
        if at_once { (PAUSE_BEFORE_LOOK, FIRST_PAUSE) } else { (FIRST_PAUSE, Duration::ZERO) };
    loop {
        signal.into_iter().for_each(Signal::prepare);
        left.retain(|(known, _)| !known.shows(&needs, &Reader::Later));
        if !left.is_empty() && began.elapsed() >= look_at.min(timeout) {
            let only_requests = std::mem::take(&mut at_once) && began.elapsed() < timeout;
            let failure = match reads_catalog && !only_requests {
                true => look(&mut left, needs)?,
                false => None,
            };
            left.iter().for_each(|(known, _)| wake::request_refresh(known.table.id));
            if failure.is_some() {
                Signal::cancel();
                return Ok(failure);
            }
            (look_at, pause) = (began.elapsed() + pause, (2 * pause).min(LONGEST_PAUSE));
        }
        let Some((known, _)) = left.first() else { break };
        if began.elapsed() >= timeout {
            Signal::cancel();
            return Ok(Some(too_late(known, timeout)));
        }
        let time = look_at.min(timeout).saturating_sub(began.elapsed());
        match signal {
            Some(signal) => signal.wait(time),
            None => latch::pause(time),
        }
    }
    Signal::cancel();
    Ok(None)
}

/// Leaves the tables of which the catalog says that they do not show what is needed; why one never will, if so.
fn look(left: &mut Vec<(&Known, Wait)>, needs: Needs) -> Result<Option<Error>> {
    if needs.other > 0 && xact::is_unfinished(needs.other) {
        return Ok(None);
    }
    if let Some((known, _)) = left.first().filter(|_| needs.all_to > 0 && xact::is_in_recovery()) {
        let detail = "On a standby it is not known whether a transaction that had been prepared was replayed.";
        return Ok(Some(stale(known, detail)));
    }
    let mut behind = vec![];
    for (known, mut wait) in left.drain(..) {
        let definition = known.definition();
        let now = Snapshot::latest();
        match with_lock_timeout(LONGEST_PAUSE, || wait.check_under(&now)) {
            Ok(true) => known.verify(needs, definition, now.frontier()),
            Ok(false) => behind.push((known, wait)),
            Err(error) if error.code() == ERRCODE_LOCK_NOT_AVAILABLE => behind.push((known, wait)),
            Err(error) if error.code() == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE => return Ok(Some(error)),
            Err(error) => return Err(error),
        }
    }
    *left = behind;
    let Some((known, _)) = left.first() else { return Ok(None) };
    // A standby follows the workers of its primary.
    Ok(match Absence::configured().filter(|_| !xact::is_in_recovery()) {
        Some(absence) => Some(stale(known, absence.reason())),
        None if wake::is_draining() => {
            Some(stale(known, "The refreshes of this database are stopped by pgtrickle.drain()."))
        }
        None => None,
    })
}

/// The statement fails, or warns that it reads older rows.
fn fail(error: Error) -> Result<()> {
    match guc::read_your_writes_on_failure() {
        OnFailure::Error => return Err(error),
        OnFailure::Warning => ErrorReport::from(error).report(PgLogLevel::WARNING),
    }
    Ok(())
}

fn stale(known: &Known, detail: &str) -> Error {
    let what =
        format!("stream table {} does not show what has been written before", relation::display(known.table.relation));
    Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, what).detail(detail)
}

fn too_late(known: &Known, timeout: Duration) -> Error {
    let waited = || format!("The statement has waited for {timeout:?}: see pg_trickle.read_your_writes_timeout.");
    let absence = Absence::observed().map(|absence| absence.reason().to_owned());
    stale(known, &absence.unwrap_or_else(waited)).hint(
        "last_error in pgtrickle.pgt_status() says more. Read it again, or set pg_trickle.read_your_writes_on_failure to warning to \
         read older rows.",
    )
}

fn too_old(known: &Known) -> Error {
    let name = relation::display(known.table.relation);
    let what = format!("could not serialize access: stream table {name} was refreshed after this snapshot");
    Error::new(ERRCODE_T_R_SERIALIZATION_FAILURE, what)
        .detail(
            "The snapshot of a REPEATABLE READ transaction, or of the statement that calls a STABLE function, does not show what has \
             been written before.",
        )
        .hint("Retry the transaction. Declare functions that read stream tables VOLATILE.")
}
