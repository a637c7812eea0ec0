//! Computing stream tables anew, whatever was done to their tables.

use crate::catalog::quietly;
use crate::catalog::stream_table::{self, Status};
use crate::error::Result;
use crate::pg::spi;
use crate::refresh::{build, loaded, tick};

/// Has a stream table, and all that read it, directly or through others, compiled and computed anew by their next
/// refresh: what they have seen of it is not to be trusted. Those to refresh for it, in order; who is not refreshed at
/// present starts over when it is.
pub fn recompute(id: i32) -> Result<Vec<i32>> {
    tick::lock_with_upstream(&loaded::edges()?.with_readers(id))?;
    // Who reads what may have changed while others held the locks.
    let tables = loaded::edges()?.with_readers(id);
    tick::lock_with_upstream(&tables)?;
    let mut wanted = vec![];
    for table in tables {
        let find = || spi::connect(None, |session| stream_table::find(session, table));
        let Some(found) = quietly(find)? else { continue };
        build::rebuild(&found, "it was asked to be recomputed")?;
        if table == id || found.status == Status::Active {
            wanted.push(table);
        }
    }
    Ok(loaded::edges()?.in_order(&wanted))
}
