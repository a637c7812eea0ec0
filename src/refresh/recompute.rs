//! Recomputes stream tables, whatever rows their tables hold.

use crate::catalog::stream_table::{self, Status};
use crate::error::Result;
use crate::pg::spi;
use crate::refresh::{build, graph, locks};

/// Rebuilds a stream table with its direct and indirect readers, which may have read wrong rows of it: their next refresh
/// recomputes them. The tables to refresh, in order; one that is paused is recomputed when it is resumed.
pub fn recompute(id: i32) -> Result<Vec<i32>> {
    locks::lock_with_upstream(&graph::edges()?.with_readers(id))?;
    // The readers may have changed while others held the locks.
    let tables = graph::edges()?.with_readers(id);
    locks::lock_with_upstream(&tables)?;
    let mut wanted = vec![];
    for table in tables {
        let Some(found) = spi::connect(None, |session| stream_table::find(session, table))? else { continue };
        build::rebuild(&found, "it was asked to be recomputed")?;
        if table == id || found.status == Status::Active {
            wanted.push(table);
        }
    }
    Ok(graph::edges()?.in_order(&wanted))
}
