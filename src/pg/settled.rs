//! Pages of a change buffer on which nothing is left to see.
//!
//! Consumed rows stay where they are until no transaction of the server may ask for them, and one that stays open puts
//! that off. So that a refresh does not look at them again and again, a backend remembers the pages on which all rows
//! were deleted, by the position in the log of the page's last change.
//!
//! **Law:** what is deleted to one snapshot is so to every later one, and a page of the same position holds the same
//! rows. Pages of unlogged tables have no position: they are always looked at.
//! See `access/heap/heapam_visibility.c` and `storage/bufpage.h`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use pgrx::pg_sys;

use crate::pg::snapshot::Snapshot;

/// Who looks at a page also clears it of rows that nobody may ask for. So often it gets the chance, which the short
/// transactions of a busy server put off.
const CHANCES: u32 = 64;

/// A page on which all rows were deleted.
#[derive(Clone, Copy, Default)]
struct Page {
    /// Zero: it is none.
    position: u64,
    chances: u32,
}

/// What is known of one table.
#[derive(Default)]
struct Pages {
    pages: Vec<Page>,
    /// The latest snapshot for which it was found out.
    number: u64,
}

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Pages>> = RefCell::default();
}

/// The first pages in a row, of these, on which there may be something for a snapshot.
///
/// # Safety
/// The table is open and has these pages.
pub unsafe fn next(table: pg_sys::Relation, snapshot: &Snapshot, pages: Range<u32>) -> Option<Range<u32>> {
    KNOWN.with_borrow(|known| {
        // SAFETY: by contract.
        let known = unsafe { known.get(&(*table).rd_id) }.filter(|known| known.number <= snapshot.number());
        let settled = |block: &u32| {
            let page = known.and_then(|known| known.pages.get(*block as usize));
            let page = page.filter(|page| page.position != 0 && page.chances >= CHANCES);
            // SAFETY: by contract.
            page.is_some_and(|page| page.position == unsafe { position(table, *block) })
        };
        let first = pages.clone().find(|block| !settled(block))?;
        Some(first..(first..pages.end).find(settled).unwrap_or(pages.end))
    })
}

/// Takes note of what these pages hold for a snapshot, which has just looked at them.
///
/// # Safety
/// The table is open and has these pages.
pub unsafe fn note(table: pg_sys::Relation, snapshot: &Snapshot, pages: Range<u32>) {
    KNOWN.with_borrow_mut(|known| {
        // SAFETY: by contract.
        let known = known.entry(unsafe { (*table).rd_id }).or_default();
        known.number = known.number.max(snapshot.number());
        known.pages.resize(known.pages.len().max(pages.end as usize), Page::default());
        for block in pages {
            let page = &mut known.pages[block as usize];
            // SAFETY: by contract.
            let position = unsafe { position_if_settled(table, block, snapshot) };
            let chances = if position == page.position { page.chances.saturating_add(1) } else { 0 };
            *page = Page { position, chances };
        }
    });
}

/// The position in the log of a page's last change.
unsafe fn position(table: pg_sys::Relation, block: u32) -> u64 {
    // SAFETY: by the contract of the caller; the page is pinned meanwhile.
    unsafe {
        let buffer = pg_sys::ReadBuffer(table, block);
        let position = pg_sys::BufferGetLSNAtomic(buffer);
        pg_sys::ReleaseBuffer(buffer);
        position
    }
}

/// The same where all its rows are deleted to `snapshot`, else zero.
unsafe fn position_if_settled(table: pg_sys::Relation, block: u32, snapshot: &Snapshot) -> u64 {
    // SAFETY: by the contract of the caller; the page is pinned and locked meanwhile.
    unsafe {
        let buffer = pg_sys::ReadBuffer(table, block);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let page = pg_sys::BufferGetPage(buffer);
        let lines = 1..=pg_sys::PageGetMaxOffsetNumber(page);
        let settled = lines.into_iter().all(|line| {
            let item = pg_sys::PageGetItemId(page, line);
            (*item).lp_flags() != pg_sys::LP_NORMAL || is_deleted(pg_sys::PageGetItem(page, item).cast(), snapshot)
        });
        let position = if settled { pg_sys::BufferGetLSNAtomic(buffer) } else { 0 };
        pg_sys::UnlockReleaseBuffer(buffer);
        position
    }
}

/// Whether a row is known to be deleted to `snapshot`, or never came to be. Goes by what was noted on the row when it
/// was looked at, so it may answer no where the answer is yes.
unsafe fn is_deleted(row: pg_sys::HeapTupleHeader, snapshot: &Snapshot) -> bool {
    let none = pg_sys::HEAP_XMAX_IS_MULTI | pg_sys::HEAP_XMAX_LOCK_ONLY;
    // SAFETY: a row of a page that is locked.
    unsafe {
        let mask = u32::from((*row).t_infomask);
        if mask & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_INVALID {
            return true;
        }
        let deleted_by = (*row).t_choice.t_heap.t_xmax;
        mask & (pg_sys::HEAP_XMAX_COMMITTED | none) == pg_sys::HEAP_XMAX_COMMITTED
            && !pg_sys::XidInMVCCSnapshot(deleted_by, snapshot.raw())
    }
}
