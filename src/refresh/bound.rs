//! How large a change buffer may grow for those who do not read it.
//!
//! A stream table that is paused, or reads one that is, keeps the change rows that it has not seen for the day it is
//! resumed. Beyond a size that is no service: it is told to start over then, and the rows may go.

use std::collections::BTreeSet;

use crate::catalog::{frontier, quietly};
use crate::error::Result;
use crate::pg::snapshot::Snapshot;
use crate::pg::{object, relation, spi};
use crate::refresh::prune;
use crate::{capture, guc};

/// Looks at the change buffers of these sources. Where one is larger than `pg_trickle.max_buffer_bytes` the consumers
/// that are not refreshed are marked to start over, with a line in the log for each, and what nobody needs then is
/// pruned. Waits for nobody: a consumer that somebody is at work on is left for the next time. For a transaction of its
/// own, or the end of one.
pub fn bound_buffers(sources: &BTreeSet<i32>) -> Result<()> {
    let Some(most) = guc::max_buffer_bytes() else { return Ok(()) };
    for source in sources {
        let bytes = capture::bytes(*source)?;
        if bytes > most && give_up(*source, bytes, most)? {
            prune::remove(*source)?;
        }
    }
    Ok(())
}

/// Tells the consumers that are not refreshed to start over; whether there was one that would not anyway.
fn give_up(source: i32, bytes: i64, most: i64) -> Result<bool> {
    let now = Snapshot::latest();
    quietly(|| {
        spi::connect(Some(&now), |session| {
            let mut any = false;
            for (id, relid) in frontier::idle_of_source(session, source)? {
                let reason = format!(
                    "change buffer pgtrickle_changes.changes_{source} has {bytes} bytes, more than pg_trickle.max_buffer_bytes ({most})"
                );
                // Its lock first: no refresh that has not seen the mark can be under way.
                if object::try_lock_stream_table(id) && frontier::try_reinitialize(session, id, &reason)? {
                    let name = relation::display(relid);
                    pgrx::log!("stream table {name} will be recomputed when it is refreshed again: {reason}");
                    any = true;
                }
            }
            Ok(any)
        })
    })
}
