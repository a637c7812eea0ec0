//! The locks of stream tables, against refreshes in the background.

use std::time::{Duration, Instant};

use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::lock::Lock;
use crate::pg::{database, latch};
use crate::refresh::graph;

/// Serialises refreshes, definitions and drops of one stream table until the end of the transaction.
pub fn lock(id: i32) {
    Lock::StreamTable(id).acquire();
}

/// How long a cancelled background refresh may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// Cancels a background refresh of a stream table instead of waiting for it.
pub fn end_background(id: i32, relation: Oid) {
    const POLL: Duration = Duration::from_millis(5);
    let began = Instant::now();
    // The tick that holds the lock may be refreshing another table at the moment.
    while Lock::StreamTable(id).is_held_elsewhere() && database::is_refreshing() && began.elapsed() < ENDING {
        database::cancel_refresh(relation);
        latch::pause(POLL);
    }
}

/// The same for a refresh that does not end by itself within this time.
pub fn end_long_background(id: i32, relation: Oid) {
    const GRACE: Duration = Duration::from_millis(20);
    const POLL: Duration = Duration::from_millis(1);
    let began = Instant::now();
    while Lock::StreamTable(id).is_held_elsewhere() && database::is_refreshing() {
        if began.elapsed() > GRACE {
            return end_background(id, relation);
        }
        latch::pause(POLL);
    }
}

/// The same lock, after a background refresh was cancelled.
pub fn lock_ending_refresh(id: i32, relation: Oid) {
    end_background(id, relation);
    lock(id);
}

/// Locks these stream tables and all that a refresh of them refreshes, in the order of refreshes. A session that locked one table
/// first and refreshed then could deadlock with a refresh.
pub fn lock_with_upstream(ids: &[i32]) -> Result<()> {
    let mut sorted = graph::edges()?.refreshed_with(ids);
    sorted.sort_unstable();
    sorted.into_iter().for_each(lock);
    Ok(())
}
