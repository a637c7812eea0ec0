//! Up to where this transaction has followed its own changes into the stream tables that it maintains.
//!
//! Such a table shows everything that other transactions have committed, and of this one the change rows up to its *position*. So its
//! frontier is that of any snapshot, with this position; none is stored.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

use ivm::frontier::Frontier;
use pgrx::datum::clock_timestamp;

use crate::capture;
use crate::catalog::{frontier, quietly};
use crate::error::Result;
use crate::pg::snapshot::Snapshot;
use crate::pg::spi;
use crate::pg::xact::{self, Nested, Sub, Top};

thread_local! {
    /// By stream table: the number of the last change row that was followed.
    static POSITIONS: RefCell<HashMap<i32, Nested<i32>>> = RefCell::default();
    static OBSERVES: Cell<bool> = const { Cell::new(false) };
}

/// The frontier of a stream table that writers maintain, for a snapshot.
pub fn shown(id: i32, snapshot: &Snapshot) -> Frontier {
    let position = POSITIONS.with_borrow(|all| all.get(&id)?.get().copied());
    snapshot.frontier().with_own(position.zip(xact::top_xid_if_any()).map(|(seq, xid)| (xid, seq)))
}

/// These stream tables show everything that this transaction had written by then: see [`capture::position`].
pub fn record(ids: impl Iterator<Item = i32>, position: Option<(u64, i32)>) {
    let Some((_, seq)) = position else { return };
    if !OBSERVES.replace(true) {
        xact::observe(on_top, on_sub);
    }
    POSITIONS.with_borrow_mut(|all| ids.for_each(|id| all.entry(id).or_insert(Nested::new()).set(seq)));
}

/// The same of one that was refreshed up to now, and that writers maintain from now on.
pub fn record_now(id: i32) {
    record([id].into_iter(), capture::position());
}

/// Stores the frontier of a stream table that writers have maintained up to now, and that workers refresh from now on. One that is to
/// be recomputed needs none.
pub fn store_frontier(id: i32) -> Result<()> {
    capture::flush()?;
    quietly(|| {
        let now = Snapshot::latest();
        spi::connect(Some(&now), |session| {
            let (seen, ids) = (frontier::get(session, &[id])?, [id].into());
            if seen.values().any(|seen| seen.reinitialize.is_some()) {
                return Ok(());
            }
            let shown = now.frontier().with_own(capture::position());
            frontier::advance(session, &seen, (&ids, &BTreeSet::new()), (shown, clock_timestamp()))
        })
    })
}

fn on_top(event: Top) {
    if event != Top::PreCommit {
        POSITIONS.with_borrow_mut(HashMap::clear);
    }
}

fn on_sub(event: Sub) {
    POSITIONS.with_borrow_mut(|all| all.values_mut().for_each(|position| position.on_sub(event)));
}
