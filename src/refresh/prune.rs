//! Prunes change rows: those that every consumer has read or will never read.
//!
//! **Law:** no consumer's frontier ever lies before a row that was pruned. A row that is pruned under snapshot P is visible in
//! P and committed, and the locks are checked later than P was taken. For each consumer then:
//! - its frontier sees the row, and frontiers only grow; or
//! - its next refresh recomputes. No refresh of it is running, and one that starts now takes its snapshot after P, in which
//!   the row is part of the source; or
//! - it is being created by a transaction that has not committed: that transaction has the changes retained, unless it locks
//!   the writers out.
//!
//! The change rows that a stream table has not read are retained until it is refreshed, or resumed. Beyond
//! `pg_trickle.max_buffer_bytes` the table is marked to recompute instead.

use std::collections::BTreeSet;

use ivm::frontier::Frontier;

use crate::catalog::frontier::{self, Consumer};
use crate::catalog::{quietly, stream_table};
use crate::error::Result;
use crate::pg::lock::Lock;
use crate::pg::snapshot::Snapshot;
use crate::pg::spi;
use crate::{capture, guc};

/// Removes the change rows of these sources that no consumer needs. In the transaction of a refresh, or in one of its own.
pub fn prune(sources: &BTreeSet<i32>) -> Result<()> {
    sources.iter().try_for_each(|source| remove(*source))
}

/// Removes the change rows of a source that are visible by now and that no consumer needs.
pub fn remove(source: i32) -> Result<()> {
    let now = Snapshot::latest();
    if let Some(frontiers) = frontiers(source)? {
        quietly(|| capture::prune(source, &frontiers, &now))?;
    }
    Ok(())
}

/// The frontiers of the consumers that apply the changes of a source; `None` while others are about to.
fn frontiers(source: i32) -> Result<Option<Vec<Frontier>>> {
    if Lock::Changes(source).is_held_elsewhere() {
        return Ok(None);
    }
    let found = consumers(source)?;
    let starting = recomputed(&found);
    if starting.is_empty() {
        return Ok(Some(followed(found)));
    }
    if starting.iter().any(|id| Lock::StreamTable(*id).is_held_elsewhere()) {
        return Ok(None);
    }
    // One that was filled before its lock was checked has a frontier by now.
    let found = consumers(source)?;
    Ok(recomputed(&found).is_subset(&starting).then(|| followed(found)))
}

fn consumers(source: i32) -> Result<Vec<Consumer>> {
    let now = Snapshot::latest();
    spi::connect(Some(&now), |session| frontier::of_source(session, source))
}

fn recomputed(consumers: &[Consumer]) -> BTreeSet<i32> {
    consumers.iter().filter(|consumer| consumer.follows.is_none()).map(|consumer| consumer.id).collect()
}

fn followed(consumers: Vec<Consumer>) -> Vec<Frontier> {
    consumers.into_iter().filter_map(|consumer| consumer.follows).collect()
}

/// Bounds the change buffers of these sources: a consumer with more unread changes than that is marked to recompute, with a
/// line in the log, and rows that no consumer needs then are pruned. Takes no lock that it would wait for: a consumer that is
/// locked is left for the next check. To be called in a transaction of its own, or at the end of one.
pub fn bound_buffers(sources: &BTreeSet<i32>) -> Result<()> {
    let Some(most) = guc::max_buffer_bytes() else { return Ok(()) };
    for source in sources {
        if capture::bytes(*source)? > most && mark_late_consumers(*source, most)? {
            remove(*source)?;
        }
    }
    Ok(())
}

/// Marks the consumers with more unread changes than `most` bytes to recompute; whether any was marked.
fn mark_late_consumers(source: i32, most: i64) -> Result<bool> {
    let now = Snapshot::latest();
    spi::connect(Some(&now), |session| {
        let mut any = false;
        for consumer in frontier::of_source(session, source)? {
            let Some(seen) = consumer.follows else { continue };
            let bytes = capture::unread_bytes(source, &seen, &now)?;
            if bytes <= most as u64 {
                continue;
            }
            let reason = format!(
                "change buffer pgtrickle_changes.changes_{source} has {bytes} bytes that it has not read, more than \
                 pg_trickle.max_buffer_bytes ({most})"
            );
            // With its lock: no refresh that has not read the mark can be running.
            let id = consumer.id;
            if Lock::StreamTable(id).try_acquire() && frontier::try_reinitialize(session, id, &reason)? {
                let name = stream_table::display(id);
                pgrx::log!("stream table {name} will be recomputed when it is refreshed again: {reason}");
                any = true;
            }
        }
        Ok(any)
    })
}
