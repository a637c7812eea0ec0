//! The snapshot of a tick, and its frontier. See `utils/time/snapmgr.c`.

use std::cell::Cell;

use ivm::frontier::Frontier;
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::xact;

/// A registered snapshot of the present, whatever the isolation level of the transaction.
pub struct Snapshot {
    raw: pg_sys::Snapshot,
    owner: pg_sys::ResourceOwner,
    number: u64,
}

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

impl Snapshot {
    /// Belongs to the top transaction: it outlives the subtransactions of a tick.
    pub fn latest() -> Snapshot {
        let number = TAKEN.get() + 1;
        TAKEN.set(number);
        // SAFETY: inside a transaction; the registered copy lives until it is unregistered below.
        unsafe {
            let owner = pg_sys::TopTransactionResourceOwner;
            Snapshot { raw: pg_sys::RegisterSnapshotOnOwner(pg_sys::GetLatestSnapshot(), owner), owner, number }
        }
    }

    /// Runs `f` with this as the active snapshot, which the server requires for functions and types that read the catalogs
    /// themselves. Statements of a tick are given their snapshot nevertheless.
    pub fn active<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        pushed(self.raw, f)
    }

    pub fn raw(&self) -> pg_sys::Snapshot {
        self.raw
    }

    /// Of two snapshots of this backend the one with the greater number was taken later, and sees all that the other sees.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The transactions of which this snapshot may see changes: the own one, too.
    pub fn visible(&self) -> Frontier {
        self.frontier().with_own(xact::top_xid_if_any().map(|own| (own, i32::MAX)))
    }

    /// The transactions that this snapshot sees, in 64-bit ids.
    ///
    /// PostgreSQL leaves the own transaction out of the list of those in progress, because command ids decide which of its
    /// writes are visible. A frontier must not include them: the transaction is added to the list here.
    pub fn frontier(&self) -> Frontier {
        // SAFETY: a registered snapshot with `xcnt` ids in `xip`.
        let (next, own, xmax, mut running) = unsafe {
            let snapshot = &*self.raw;
            let xip = match snapshot.xcnt {
                0 => &[][..],
                count => std::slice::from_raw_parts(snapshot.xip, count as usize),
            };
            let next = pg_sys::ReadNextFullTransactionId().value;
            let wide = |xid: pg_sys::TransactionId| widen(xid.into_inner(), next);
            let running: Vec<u64> = xip.iter().map(|xid| wide(*xid)).collect();
            (next, pg_sys::GetTopFullTransactionIdIfAny().value, snapshot.xmax, running)
        };
        if own != 0 {
            running.push(own);
        }
        Frontier::new(widen(xmax.into_inner(), next), running)
    }
}

/// Runs `f` with this as the active snapshot.
pub(super) fn pushed<R>(snapshot: pg_sys::Snapshot, f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: a valid snapshot; popped below, or by abort.
    unsafe {
        pg_sys::PushActiveSnapshot(snapshot);
        let result = f();
        pg_sys::PopActiveSnapshot();
        result
    }
}

/// The 64-bit id of a transaction that is at most 2³¹ older than `next`, the first unassigned id, and not younger.
fn widen(xid: u32, next: u64) -> u64 {
    let candidate = (next & !u64::from(u32::MAX)) | u64::from(xid);
    if candidate > next { candidate - (1 << 32) } else { candidate }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: registered on this owner, unregistered once. Drops run before the server's abort does.
        unsafe { pg_sys::UnregisterSnapshotFromOwner(self.raw, self.owner) };
    }
}
