//! The snapshot of a tick, and its frontier. See `utils/time/snapmgr.c`.

use std::cell::{Cell, RefCell};

use ivm::frontier::Frontier;
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::defer::Defer;
use crate::pg::xact;

/// A registered snapshot of the present, whatever the isolation level of the transaction.
pub struct Snapshot {
    raw: pg_sys::Snapshot,
    owner: pg_sys::ResourceOwner,
    number: u64,
    /// Statements see of this transaction what the snapshot sees, and not what it has written since.
    fixed: bool,
}

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    /// What the one with the greatest number sees.
    static LATEST: RefCell<Option<Frontier>> = const { RefCell::new(None) };
    /// The transaction's own snapshot must not be taken yet.
    static UNFIXED: Cell<bool> = const { Cell::new(false) };
}

impl Snapshot {
    /// Belongs to the top transaction: it outlives the subtransactions of a tick.
    pub fn latest() -> Snapshot {
        let number = TAKEN.get() + 1;
        TAKEN.set(number);
        // SAFETY: inside a transaction. The snapshot for a catalog without a cache is a new one, and not the transaction's.
        let taken = unsafe {
            match UNFIXED.get() {
                true => pg_sys::GetCatalogSnapshot(pg_sys::InvalidOid),
                false => pg_sys::GetLatestSnapshot(),
            }
        };
        // SAFETY: the registered copy lives until it is unregistered below.
        unsafe {
            let owner = pg_sys::TopTransactionResourceOwner;
            let raw = pg_sys::RegisterSnapshotOnOwner(taken, owner);
            let snapshot = Snapshot { raw, owner, number, fixed: false };
            LATEST.set(Some(snapshot.frontier()));
            snapshot
        }
    }

    /// What a statement runs under for which none was given, where that must not be the transaction's.
    pub(super) fn instead_of_fixing() -> Option<Snapshot> {
        UNFIXED.get().then(Snapshot::latest)
    }

    /// The active snapshot, as that of a statement.
    pub fn of_caller() -> Snapshot {
        // SAFETY: a query that calls a function has one.
        unsafe { Snapshot::of_statement(pg_sys::GetActiveSnapshot()) }
    }

    /// The snapshot of a running statement. Statements under it write nothing.
    ///
    /// # Safety
    /// A snapshot of this transaction.
    pub unsafe fn of_statement(raw: pg_sys::Snapshot) -> Snapshot {
        // SAFETY: by contract.
        unsafe {
            let owner = pg_sys::TopTransactionResourceOwner;
            let raw = pg_sys::RegisterSnapshotOnOwner(raw, owner);
            let mut snapshot = Snapshot { raw, owner, number: 0, fixed: true };
            let frontier = snapshot.frontier();
            // It sees all that those see which were taken so far, or nothing is known.
            if LATEST.with_borrow(|latest| latest.as_ref().is_none_or(|latest| frontier.covers(latest))) {
                snapshot.number = TAKEN.get() + 1;
                TAKEN.set(snapshot.number);
                LATEST.set(Some(frontier));
            }
            snapshot
        }
    }

    /// The snapshot of a transaction that keeps one, which sees everything that it has written so far.
    pub fn of_transaction() -> Snapshot {
        // SAFETY: inside a transaction.
        unsafe { Snapshot::of_statement(pg_sys::GetTransactionSnapshot()) }.with_own()
    }

    /// The same snapshot, which sees everything that this transaction has written.
    pub fn with_own(&self) -> Snapshot {
        // SAFETY: the copy is registered before it is popped.
        unsafe {
            let owner = pg_sys::TopTransactionResourceOwner;
            pg_sys::PushCopiedSnapshot(self.raw);
            pg_sys::UpdateActiveSnapshotCommandId();
            let raw = pg_sys::RegisterSnapshotOnOwner(pg_sys::GetActiveSnapshot(), owner);
            pg_sys::PopActiveSnapshot();
            Snapshot { raw, owner, number: self.number, fixed: false }
        }
    }

    /// Whether it sees a top transaction of this server, which wrote something.
    pub fn sees(&self, xid: u64) -> bool {
        let next = xact::next_xid();
        // Those that are 2³¹ older have ended.
        // SAFETY: registered.
        xid < next
            && (next - xid >= 1 << 31
                || !unsafe { pg_sys::XidInMVCCSnapshot(pg_sys::TransactionId::from_inner(xid as u32), self.raw) })
    }

    /// Whether it sees all transactions below this one.
    pub fn sees_below(&self, xid: u64) -> bool {
        // SAFETY: registered.
        widen(unsafe { (*self.raw).xmin.into_inner() }, xact::next_xid()) >= xid
    }

    /// The command of this transaction from which on it sees nothing.
    pub fn command(&self) -> u32 {
        // SAFETY: registered.
        unsafe { (*self.raw).curcid }
    }

    pub fn is_fixed(&self) -> bool {
        self.fixed
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
        // SAFETY: a registered snapshot with `xcnt` ids in `xip`, and `subxcnt` in `subxip`.
        let (next, own, xmax, mut running) = unsafe {
            let snapshot = &*self.raw;
            // A server that follows another one does not know which of them are subtransactions.
            let (count, xip) = match snapshot.takenDuringRecovery {
                true => (snapshot.subxcnt.max(0) as u32, snapshot.subxip),
                false => (snapshot.xcnt, snapshot.xip),
            };
            let xip = if count == 0 { &[][..] } else { std::slice::from_raw_parts(xip, count as usize) };
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

/// Runs `f` before the transaction has a snapshot, and leaves it without one: REPEATABLE READ begins with the first. False, and
/// does nothing, where it has.
pub fn unfixed(f: impl FnOnce() -> Result<()>) -> Result<bool> {
    // SAFETY: plain variables of this backend.
    if unsafe { pg_sys::FirstSnapshotSet || pg_sys::ActiveSnapshotSet() } {
        return Ok(false);
    }
    let _fix = Defer(|| UNFIXED.set(false));
    UNFIXED.set(true);
    // The server takes the transaction's where none is active.
    Snapshot::latest().active(f).map(|()| true)
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
