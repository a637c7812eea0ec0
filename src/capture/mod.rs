//! Change capture: triggers pack row changes into chunks, chunks become rows of change buffers.
//!
//! | file | what it is |
//! |---|---|
//! | `trigger` | what runs once per changed row |
//! | `format` | how entries are packed |
//! | `stamp` | what a chunk says of itself |
//! | `pending` | chunks not yet written, by subtransaction level |
//! | `buffer` | reading, writing and pruning a change buffer |
//! | `track` | installing capture, and knowing that nothing was missed |
//! | `inspect` | pending changes as rows that people can read |
//! | `cache` | what a backend knows, and when it looks again |

mod buffer;
mod cache;
mod format;
mod inspect;
mod pending;
mod stamp;
mod track;
mod trigger;

pub use buffer::{Pending, Unseen, bytes, empty, has_own, is_behind, pending, prune, rest, sizes, unseen, write};
pub use track::{members_changed, release, track};

use crate::error::Result;
use crate::pg::xact;

pgrx::extension_sql_file!("../../sql/capture.sql", name = "capture", requires = ["bootstrap"]);

/// Writes out everything this backend has captured, so that a snapshot taken afterwards in the same
/// transaction sees it.
pub fn flush() -> Result<()> {
    if trigger::with_pending(pending::Pending::flush)? {
        xact::advance_command();
    }
    Ok(())
}

/// How far this transaction has itself written to change buffers: its id and the number of its last row.
pub fn position() -> Option<(u64, i32)> {
    let seq = trigger::with_pending(|pending| pending.seq());
    (seq > 0).then(|| (xact::top_xid(), seq))
}
