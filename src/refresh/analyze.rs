//! A refresh that is run to be measured, and rolled back.

use crate::capture;
use crate::catalog::history::Refresh;
use crate::error::Result;
use crate::pg::subxact::rolled_back;
use crate::refresh::shared::Rebuilds;
use crate::refresh::tick::{Extent, Locks};
use crate::refresh::trace::{self, Ran};
use crate::refresh::{graph, prepared, tick};

/// Refreshes a stream table and everything that it reads, in a subtransaction that is rolled back: what each refresh did,
/// and the statements of this one. Nothing is concluded, so that there is no history and nothing is pruned.
pub fn analyze(id: i32) -> Result<(Vec<Refresh>, Vec<Ran>)> {
    // Changes of the caller that are not written yet must outlive the rollback.
    capture::flush()?;
    let tables = tick::with_upstream(id)?;
    let (refreshes, ran) =
        trace::during(id, || rolled_back(|| tick::tick(&tables, Extent::Upstream, Locks::Wait, Rebuilds::Within)));
    // Their cost models have learned from refreshes that did not take place.
    graph::edges()?.in_order(&[id]).into_iter().for_each(prepared::forget);
    Ok((refreshes?, ran))
}
