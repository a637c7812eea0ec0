//! Concludes ticks: writes the history, records failures, prunes change rows.
//!
//! No reader of a stream table waits for that, so workers do it in a transaction of its own, for several ticks at once under
//! load. If that transaction fails, some lines of the history are missing, and change rows are pruned after the next tick
//! that reads their source.

use pgrx::PgSqlErrorCode;

use crate::catalog::history::{self, Entry, Refresh, Unwritten};
use crate::catalog::{frontier, stream_table};
use crate::error::{Error, Kind, Result};
use crate::guc;
use crate::pg::{bgworker, counters, spi};
use crate::refresh::{bound_buffers, prune};

/// Writes what is due to the history, and removes the change rows that these refreshes were the last to need.
pub fn conclude(refreshes: Vec<Refresh>, unwritten: &mut Unwritten) -> Result<()> {
    let consumed = refreshes.iter().flat_map(|refresh| refresh.consumed.iter().copied()).collect();
    record(&unwritten.take(refreshes, bgworker::now()))?;
    prune(&consumed)?;
    bound_buffers(&consumed)
}

/// Writes rows of the history.
pub fn record(entries: &[Entry]) -> Result<()> {
    match entries {
        [] => Ok(()),
        _ => spi::connect(None, |session| entries.iter().try_for_each(|entry| entry.insert(session))),
    }
}

/// Logs a refresh that took as long as the setting says, with what it did. One that recomputing would have beaten by far is said
/// once an hour for each stream table.
pub fn log_duration(refresh: &Refresh, name: impl Fn() -> String) {
    if let Some(recompute_ms) = refresh.recompute_ms {
        let text = format!(
            "stream table {} followed its changes in {:.0} ms, and recomputing is expected to take {recompute_ms:.0} ms: refresh mode AUTO takes the cheaper way",
            name(),
            refresh.duration_ms
        );
        let text = match counters::table(refresh.id) {
            Some(row) => row.slow.log_about(&refresh.id.to_string(), &text, bgworker::now()),
            None => Some(text),
        };
        text.into_iter().for_each(|text| pgrx::warning!("{text}"));
    }
    if !refresh.is_applied() || guc::log_min_refresh_duration().is_none_or(|least| refresh.duration_ms < least) {
        return;
    }
    pgrx::log!(
        "stream table {} was refreshed in {:.3} ms: {}, {} change rows, {} rows inserted, {} updated, {} deleted",
        name(),
        refresh.duration_ms,
        refresh.action.as_str(),
        refresh.delta_rows,
        refresh.inserted,
        refresh.updated,
        refresh.deleted
    );
}

/// Records that a refresh failed; suspends the stream table after too many failures that are not transient. True when it
/// is suspended.
pub fn record_failure(refresh: &Refresh, error: &Error) -> Result<bool> {
    let id = refresh.id;
    spi::connect(None, |session| {
        let kind = error.kind();
        let count = frontier::record_failure(session, id, error, kind != Kind::Transient)?;
        if matches!(kind, Kind::Schema | Kind::Bug) {
            frontier::reinitialize(session, id, &error.in_full())?;
        }
        history::insert(session, refresh, 1, history::began(refresh, bgworker::now()))?;
        // Only a user can grant a revoked privilege again.
        let denied = error.code() == PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE;
        let suspend = denied || count >= guc::max_consecutive_errors();
        if suspend {
            stream_table::set_status(session, id, stream_table::Status::Suspended)?;
        }
        Ok(suspend)
    })
}
