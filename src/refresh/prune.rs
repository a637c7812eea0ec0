//! Which change rows may go: those that every consumer has seen or will never ask for.
//!
//! **Law:** no consumer's frontier comes to lie before a row that was pruned. A row that is pruned under snapshot P is
//! visible in P and committed, and the locks are looked at later than P. For each consumer then:
//! - its frontier sees the row, and frontiers only grow; or
//! - its next refresh recomputes. No refresh of it is under way, and one that starts now takes its snapshot
//!   after P: what it reads holds the row; or
//! - it is being created by a transaction of which the catalog does not tell yet: then that transaction wants the
//!   changes kept, unless it keeps the writers out.

use std::collections::BTreeSet;

use ivm::frontier::Frontier;

use crate::capture;
use crate::catalog::frontier::{self, Consumer};
use crate::catalog::quietly;
use crate::error::Result;
use crate::pg::object;
use crate::pg::snapshot::Snapshot;
use crate::pg::spi;

/// Removes from these sources what every consumer has seen by now. In the transaction of a refresh, or in one of its own.
pub fn prune(sources: &BTreeSet<i32>) -> Result<()> {
    sources.iter().try_for_each(|source| remove(*source))
}

/// Removes from a source what can be seen by now and no consumer needs.
pub fn remove(source: i32) -> Result<()> {
    let now = Snapshot::latest();
    if let Some(frontiers) = frontiers(source)? {
        quietly(|| capture::prune(source, &frontiers, &now))?;
    }
    Ok(())
}

/// What the consumers that follow the changes of a source have seen; `None` while others are about to start.
fn frontiers(source: i32) -> Result<Option<Vec<Frontier>>> {
    if object::are_changes_kept(source) {
        return Ok(None);
    }
    let found = consumers(source)?;
    let starting = recomputed(&found);
    if starting.is_empty() {
        return Ok(Some(followed(found)));
    }
    if starting.iter().any(|id| object::is_stream_table_busy(*id)) {
        return Ok(None);
    }
    // One that was filled before we looked at its lock has a frontier by now.
    let found = consumers(source)?;
    Ok(recomputed(&found).is_subset(&starting).then(|| followed(found)))
}

fn consumers(source: i32) -> Result<Vec<Consumer>> {
    let now = Snapshot::latest();
    quietly(|| spi::connect(Some(&now), |session| frontier::of_source(session, source)))
}

fn recomputed(consumers: &[Consumer]) -> BTreeSet<i32> {
    consumers.iter().filter(|consumer| consumer.follows.is_none()).map(|consumer| consumer.id).collect()
}

fn followed(consumers: Vec<Consumer>) -> Vec<Frontier> {
    consumers.into_iter().filter_map(|consumer| consumer.follows).collect()
}
