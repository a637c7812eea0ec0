//! Pages of a change buffer that hold nothing to see, and are not read again.
//!
//! Consumed rows stay where they are until no transaction of the server may ask for them, and one that stays open puts
//! that off. So that a refresh does not look at all of them each time, a backend remembers of which pages it found every
//! row *dead* to a snapshot: deleted by a transaction that this saw, or left by one that was rolled back.
//!
//! **Law:** a page is left out only if a scan of it under this snapshot would find no row.
//! - A page carries the position in the log of its last change, and no position is given twice. It tells all changes but
//!   hints in logged tables if `wal_level` is above `minimal`, be it vacuum, truncation or a new file that made them;
//!   other tables are always looked at.
//! - A page with the position at which its rows were found dead has the same rows, and what was dead to a snapshot is
//!   dead to every later one.
//! - The position is read later than the snapshot was taken. Who is changing the page right then had not committed when
//!   it was: his rows are not for it.
//!
//! Who consumes the rows, and how far he is, does not come into it. See `storage/bufpage.h`,
//! `access/heap/heapam_visibility.c`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;

use pgrx::pg_sys;

use crate::pg::relation;
use crate::pg::snapshot::Snapshot;

/// What is known of one table.
#[derive(Default)]
struct Pages {
    /// The position of each page at which all its rows were dead. Zero: that was never seen; no page has this position.
    positions: Vec<u64>,
    /// The latest snapshot to which they were.
    snapshot: u64,
}

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Pages>> = RefCell::default();
    static OBSERVING: Cell<bool> = const { Cell::new(false) };
}

/// The first pages in a row, of these, on which there may be something to see.
///
/// # Safety
/// The table is open and has these pages.
pub unsafe fn next(table: pg_sys::Relation, snapshot: &Snapshot, pages: Range<u32>) -> Option<Range<u32>> {
    KNOWN.with_borrow(|known| {
        // SAFETY: by contract.
        let known = unsafe { known.get(&(*table).rd_id) }.filter(|known| known.snapshot <= snapshot.number());
        let settled = |block: &u32| {
            let found = known.and_then(|known| known.positions.get(*block as usize)).filter(|found| **found != 0);
            // SAFETY: by contract.
            found.is_some_and(|found| *found == unsafe { position(table, *block) })
        };
        let first = pages.clone().find(|block| !settled(block))?;
        Some(first..(first..pages.end).find(settled).unwrap_or(pages.end))
    })
}

/// Takes note of what these pages, which were just read, hold for `snapshot`.
///
/// # Safety
/// The table is open and has these pages.
pub unsafe fn note(table: pg_sys::Relation, snapshot: &Snapshot, pages: Range<u32>) {
    // SAFETY: by contract.
    if !unsafe { tells_changes(table) } {
        return;
    }
    if !OBSERVING.replace(true) {
        relation::observe(forget);
    }
    KNOWN.with_borrow_mut(|known| {
        // SAFETY: by contract.
        let known = known.entry(unsafe { (*table).rd_id }).or_default();
        known.snapshot = known.snapshot.max(snapshot.number());
        known.positions.resize(known.positions.len().max(pages.end as usize), 0);
        for block in pages {
            // SAFETY: by contract.
            known.positions[block as usize] = unsafe { position_if_dead(table, block, snapshot) }.unwrap_or(0);
        }
    });
}

/// A table changed, and may be gone or shorter now: what is not known is looked at.
fn forget(table: Option<pg_sys::Oid>) {
    KNOWN.with_borrow_mut(|known| match table {
        Some(table) => _ = known.remove(&table),
        None => known.clear(),
    });
}

/// Whether every change of a page moves its position.
unsafe fn tells_changes(table: pg_sys::Relation) -> bool {
    // SAFETY: open, by the contract of the caller; the setting never changes while the server runs.
    unsafe {
        (*(*table).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
            && pg_sys::wal_level as u32 >= pg_sys::WalLevel::WAL_LEVEL_REPLICA
    }
}

/// The position in the log of a page's last change. As a scan does, this first clears the page of what nobody may ask
/// for any more, if there is much of it: else nobody would, once the page is left out.
unsafe fn position(table: pg_sys::Relation, block: u32) -> u64 {
    // SAFETY: by the contract of the caller; the page is pinned meanwhile.
    unsafe {
        let buffer = pg_sys::ReadBuffer(table, block);
        pg_sys::heap_page_prune_opt(table, buffer);
        let position = pg_sys::BufferGetLSNAtomic(buffer);
        pg_sys::ReleaseBuffer(buffer);
        position
    }
}

/// The same where all rows of the page are dead to `snapshot`.
unsafe fn position_if_dead(table: pg_sys::Relation, block: u32, snapshot: &Snapshot) -> Option<u64> {
    // SAFETY: by the contract of the caller; the page is pinned, and nobody changes it meanwhile.
    unsafe {
        let buffer = pg_sys::ReadBuffer(table, block);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let page = pg_sys::BufferGetPage(buffer);
        let mut lines = 1..=pg_sys::PageGetMaxOffsetNumber(page);
        let dead = lines.all(|line| {
            let item = pg_sys::PageGetItemId(page, line);
            (*item).lp_flags() != pg_sys::LP_NORMAL || is_dead(pg_sys::PageGetItem(page, item).cast(), snapshot)
        });
        let position = dead.then(|| pg_sys::BufferGetLSNAtomic(buffer));
        pg_sys::UnlockReleaseBuffer(buffer);
        position
    }
}

/// Whether a row is dead to `snapshot`, as far as the hints tell that a scan left on it.
unsafe fn is_dead(row: pg_sys::HeapTupleHeader, snapshot: &Snapshot) -> bool {
    let undeleted = pg_sys::HEAP_XMAX_INVALID | pg_sys::HEAP_XMAX_IS_MULTI | pg_sys::HEAP_XMAX_LOCK_ONLY;
    // SAFETY: a row of a page that is locked.
    unsafe {
        let mask = u32::from((*row).t_infomask);
        // The two bits together mean frozen.
        if mask & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_INVALID {
            return true;
        }
        let deleted_by = (*row).t_choice.t_heap.t_xmax;
        mask & (pg_sys::HEAP_XMAX_COMMITTED | undeleted) == pg_sys::HEAP_XMAX_COMMITTED
            && !pg_sys::XidInMVCCSnapshot(deleted_by, snapshot.raw())
    }
}
