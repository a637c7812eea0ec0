//! Change capture: triggers pack row changes into chunks, chunks become rows of change buffers.
//!
//! | file | what it is |
//! |---|---|
//! | `trigger` | the capture trigger, called once per changed row |
//! | `pending` | chunks not yet written, by subtransaction level |
//! | `cache` | descriptions of sources and triggers, kept by each backend |
//! | `integrity` | whether changes were lost |
//! | `members` | tables that are attached to a source or detached from it |
//! | `buffer` | reading, writing and pruning a change buffer |
//! | `track` | installing and removing capture |
//! | `early` | installing it before a long transaction |
//! | `inspect` | pending changes as rows of a view |

mod buffer;
mod cache;
mod early;
mod inspect;
mod integrity;
mod members;
mod pending;
mod track;
mod trigger;

pub use buffer::{
    Pending, Unseen, bytes, empty, has_own, lock_predicate, pending, prune, rest, sizes, unread_bytes, unseen, write,
};
pub use early::{Request, Wanted, start};
pub use integrity::{lost_changes, record_loss, require_same_members};
pub use members::{await_members, before_drop, follow};
pub use track::{release, track};

use crate::error::Result;
use crate::pg::invalidation::Invalidation;
use crate::pg::xact;

pgrx::extension_sql_file!("../../sql/capture.sql", name = "capture", requires = ["bootstrap"]);

/// Evicts what the caches of sources have of a relation that changed.
pub fn invalidate(what: Invalidation) {
    cache::invalidate(what);
    integrity::invalidate(what);
}

/// Writes everything this backend has captured, so that a later snapshot of the same transaction sees it.
pub fn flush() -> Result<()> {
    if trigger::with_pending(pending::Pending::flush)? {
        xact::advance_command();
    }
    Ok(())
}

/// Whether this transaction has captured changes.
pub fn has_changes() -> bool {
    trigger::with_pending(|pending| !pending.is_idle())
}

/// The number of the last change of this transaction for which it maintains stream tables.
#[inline]
pub fn last_change() -> u64 {
    trigger::last_change()
}

/// The sources of those after this one.
pub fn changed_after(number: u64) -> Vec<i32> {
    trigger::with_pending(|pending| pending.changed_after(number))
}

/// This transaction's position in change buffers: its id and the number of the last row it has written.
pub fn position() -> Option<(u64, i32)> {
    let seq = trigger::with_pending(|pending| pending.seq());
    (seq > 0).then(|| (xact::top_xid(), seq))
}
