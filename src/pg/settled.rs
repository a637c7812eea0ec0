//! Pages of a change buffer without visible rows, which are not read again.
//!
//! Consumed rows remain until no transaction of the server can see them and vacuum has run: under load, or while a
//! transaction stays open, these are many. A backend remembers the pages on which it found every row *dead* to a snapshot:
//! deleted by a transaction that the snapshot sees, or inserted by one that was rolled back.
//!
//! **Law:** a page is skipped only if a scan of it under this snapshot would find no row.
//! - Rows are inserted through [`note_insert`] alone, which counts them in shared memory before they can be committed. A page
//!   with the count at which its rows were found dead has the same rows, or fewer.
//! - A row that was dead to a snapshot is dead to every later one.
//! - The count is read later than the snapshot was taken, and earlier than the page: a row that is missed had not been
//!   committed when it was.
//! - A table that is rewritten is invalidated.
//!
//! Pages may share a count, which then changes for no reason. Without shared memory every page is read. It makes no
//! difference which consumer has read which rows. See `storage/bufpage.h`, `access/heap/heapam_visibility.c`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::pg_sys;

use crate::pg::invalidation::Invalidation;
use crate::pg::shmem::{PAGE_INSERT_COUNTERS, my_database, shared};
use crate::pg::snapshot::Snapshot;

/// The pages of one table.
#[derive(Default)]
struct Pages {
    /// The count of each page at which all its rows were dead; `None` where they never were.
    counts: Vec<Option<u64>>,
    /// The latest snapshot to which they were.
    snapshot: u64,
}

/// How many rows were inserted into the pages of one table. Neighbours have neighbouring counts, from a place that is hashed
/// from the table.
struct Counts {
    all: &'static [AtomicU64; PAGE_INSERT_COUNTERS],
    first: u32,
}

impl Counts {
    /// `None` where nothing is shared.
    fn of(table: pg_sys::Oid) -> Option<Counts> {
        let first = (table.to_u32() ^ my_database().to_u32().rotate_left(16)).wrapping_mul(0x9E37_79B1);
        shared().map(|shared| Counts { all: &shared.page_inserts, first })
    }

    fn at(&self, block: u32) -> &AtomicU64 {
        &self.all[self.first.wrapping_add(block) as usize % PAGE_INSERT_COUNTERS]
    }

    fn read(&self, block: u32) -> u64 {
        self.at(block).load(Ordering::SeqCst)
    }
}

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Pages>> = RefCell::default();
}

/// Counts an insert into a page: called after the row is there, and before it can be committed.
pub fn note_insert(table: pg_sys::Oid, block: u32) {
    if let Some(counts) = Counts::of(table) {
        counts.at(block).fetch_add(1, Ordering::SeqCst);
    }
}

/// The first consecutive pages, of these, that may have visible rows.
pub fn next(table: pg_sys::Oid, snapshot: &Snapshot, pages: Range<u32>) -> Option<Range<u32>> {
    KNOWN.with_borrow(|known| {
        let known = known.get(&table).filter(|known| known.snapshot <= snapshot.number());
        let Some((known, counts)) = known.zip(Counts::of(table)) else {
            return Some(pages).filter(|it| !it.is_empty());
        };
        let settled = |block: &u32| {
            let found = known.counts.get(*block as usize).copied().flatten();
            found.is_some_and(|found| found == counts.read(*block))
        };
        let first = pages.clone().find(|block| !settled(block))?;
        Some(first..(first..pages.end).find(settled).unwrap_or(pages.end))
    })
}

/// Notes which of these pages, which were just read, have only rows that are dead to `snapshot`.
///
/// # Safety
/// The table is open and has these pages.
pub unsafe fn note(table: pg_sys::Relation, snapshot: &Snapshot, pages: Range<u32>) {
    // SAFETY: by contract.
    let id = unsafe { (*table).rd_id };
    let Some(counts) = Counts::of(id) else { return };
    KNOWN.with_borrow_mut(|known| {
        let known = known.entry(id).or_default();
        known.snapshot = known.snapshot.max(snapshot.number());
        known.counts.resize(known.counts.len().max(pages.end as usize), None);
        for block in pages {
            let count = counts.read(block);
            // SAFETY: by contract.
            known.counts[block as usize] = unsafe { is_all_dead(table, block, snapshot) }.then_some(count);
        }
    });
}

/// Evicts a table that changed: it may have been dropped, or have fewer pages.
pub fn invalidate(what: Invalidation) {
    KNOWN.with_borrow_mut(|known| match what {
        Invalidation::Relation(Some(table)) => _ = known.remove(&table),
        Invalidation::Relation(None) => known.clear(),
        Invalidation::Row(_) => {}
    });
}

/// Whether all rows of a page are dead to `snapshot`.
unsafe fn is_all_dead(table: pg_sys::Relation, block: u32, snapshot: &Snapshot) -> bool {
    // SAFETY: by the contract of the caller; the page is pinned, and locked against changes.
    unsafe {
        let buffer = pg_sys::ReadBuffer(table, block);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let page = pg_sys::BufferGetPage(buffer);
        let mut lines = 1..=pg_sys::PageGetMaxOffsetNumber(page);
        let dead = lines.all(|line| {
            let item = pg_sys::PageGetItemId(page, line);
            (*item).lp_flags() != pg_sys::LP_NORMAL || is_dead(pg_sys::PageGetItem(page, item).cast(), snapshot)
        });
        pg_sys::UnlockReleaseBuffer(buffer);
        dead
    }
}

/// Whether a row is dead to `snapshot`, by the hint bits that a scan has set.
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
