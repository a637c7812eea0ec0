//! What is left to do after ticks: the history, failures, change rows that nobody needs any more.
//!
//! No reader of a stream table waits for any of it, so the workers do it in a transaction of its own, for several ticks
//! at once where they come fast. Should that transaction not come to be, then some lines of the history are missing, and
//! change rows go with the next tick that reads their source.

use std::time::Duration;

use pgrx::PgSqlErrorCode;

use crate::catalog::history::{self, Refresh};
use crate::catalog::{frontier, quietly, stream_table};
use crate::error::{Error, Kind, Result};
use crate::guc;
use crate::pg::spi;
use crate::refresh::tick::Done;
use crate::refresh::{bound_buffers, prune};

/// Writes down what ticks did, and removes the change rows that they were the last to need.
pub fn conclude(done: &Done) -> Result<()> {
    let mut worked = done.outcomes.iter().filter(|outcome| outcome.error.is_none() && outcome.did_work()).peekable();
    if worked.peek().is_some() {
        quietly(|| {
            spi::connect(None, |session| {
                worked.try_for_each(|outcome| history::insert(session, outcome.id, &outcome.refresh))
            })
        })?;
    }
    prune(&done.consumed)?;
    bound_buffers(&done.consumed)
}

/// Writes down that a refresh failed; suspends the stream table after too many failures that will not
/// go away by themselves. True when it is suspended.
pub fn record_failure(id: i32, error: &Error) -> Result<bool> {
    quietly(|| {
        spi::connect(None, |session| {
            let kind = error.kind();
            let count = frontier::failed(session, id, &error.into(), kind != Kind::Transient)?;
            if matches!(kind, Kind::Schema | Kind::Bug) {
                frontier::reinitialize(session, id, &error.in_full())?;
            }
            history::insert(session, id, &Refresh::failed(error, Duration::ZERO))?;
            // A right that was taken away does not come back by itself.
            let denied = error.code() == PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE;
            let suspend = denied || count >= guc::max_consecutive_errors();
            if suspend {
                stream_table::set_status(session, id, stream_table::Status::Suspended)?;
            }
            Ok(suspend)
        })
    })
}
