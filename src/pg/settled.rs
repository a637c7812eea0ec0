//! What the pages of a change buffer hold, so that a reader passes over those without anything for it.
//!
//! Changes that one consumer has read remain until all have, and until no transaction of the server can see them and vacuum
//! has run: beside a consumer that is refreshed rarely, or while a transaction stays open, these are many. A backend
//! remembers of each page the transactions of its rows, without those rows that were *dead* to a snapshot: deleted by a
//! transaction that the snapshot sees, or inserted by one that was rolled back.
//!
//! **Law:** a page is passed over only if it has no row that the caller would want, by the transactions that it is shown.
//! - Rows are inserted through [`note_insert`] alone, which counts them in shared memory before they can be committed. A page
//!   with the count at which it was read has the same rows, or fewer.
//! - A row that was dead to a snapshot is dead to every later one.
//! - The count is read later than the snapshot was taken, and earlier than the page: a row that is missed had not been
//!   committed when it was.
//! - A table that is rewritten is invalidated.
//!
//! Consecutive pages form segments, of which the same is remembered as of a page: a look costs what is new, and little for
//! each segment. Pages, and segments, may share a count, which then changes for no reason. Without shared memory every page
//! is read, and on a standby, where nothing counts the inserts. See `storage/bufpage.h`, `access/heap/heapam_visibility.c`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use chunk::{Header, Stamp};
use ivm::frontier::Span;
use pgrx::pg_sys;

use crate::pg::invalidation::Invalidation;
use crate::pg::shmem::{PAGE_INSERT_COUNTERS, SEGMENT_INSERT_COUNTERS, my_database, shared};
use crate::pg::snapshot::Snapshot;
use crate::pg::xact;

/// Pages of a segment.
const SEGMENT: u32 = 64;
/// Pages that are read before a reader decides about the next ones.
const LONGEST_RUN: u32 = 32;

/// What a page or a segment holds.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// The transactions of rows that are not dead.
    pub span: Span,
    /// Bytes of pages with such rows, and of the values of such rows that are in the TOAST table.
    pub bytes: u64,
}

impl Content {
    const EMPTY: Content = Content { span: Span::EMPTY, bytes: 0 };

    /// Of a row.
    pub fn of(xid: u64, bytes: usize) -> Content {
        Content { span: Span::of(xid), bytes: bytes as u64 }
    }

    fn join(self, other: Content) -> Content {
        Content { span: self.span.join(other.span), bytes: self.bytes + other.bytes }
    }
}

/// What was found, and at which count.
#[derive(Clone, Copy)]
struct Noted {
    count: u64,
    content: Content,
}

/// The pages of one table.
#[derive(Default)]
struct Pages {
    pages: Vec<Option<Noted>>,
    segments: Vec<Option<Noted>>,
    /// The latest snapshot to which rows were dead.
    snapshot: u64,
}

/// How many rows were inserted into the pages and segments of one table. Neighbours have neighbouring counts, from a place
/// that is hashed from the table.
struct Counts {
    pages: &'static [AtomicU64],
    segments: &'static [AtomicU64],
    first: u32,
}

impl Counts {
    /// `None` where nothing is counted.
    fn of(table: pg_sys::Oid) -> Option<Counts> {
        let first = (table.to_u32() ^ my_database().to_u32().rotate_left(16)).wrapping_mul(0x9E37_79B1);
        const { assert!(PAGE_INSERT_COUNTERS.is_power_of_two() && SEGMENT_INSERT_COUNTERS.is_power_of_two()) };
        let shared = shared().filter(|_| !xact::is_in_recovery())?;
        Some(Counts { pages: &shared.page_inserts, segments: &shared.segment_inserts, first })
    }

    fn at(counts: &[AtomicU64], number: u32) -> &AtomicU64 {
        &counts[number as usize % counts.len()]
    }

    fn page(&self, block: u32) -> &AtomicU64 {
        Counts::at(self.pages, self.first.wrapping_add(block))
    }

    fn segment(&self, number: u32) -> &AtomicU64 {
        Counts::at(self.segments, self.first.wrapping_add(number))
    }
}

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Pages>> = RefCell::default();
}

/// Counts an insert into a page: called after the row is there, and before it can be committed.
pub fn note_insert(table: pg_sys::Oid, block: u32) {
    if let Some(counts) = Counts::of(table) {
        counts.page(block).fetch_add(1, Ordering::SeqCst);
        counts.segment(block / SEGMENT).fetch_add(1, Ordering::SeqCst);
    }
}

impl Pages {
    fn page(&self, block: u32, counts: &Counts) -> Option<Content> {
        let noted = (*self.pages.get(block as usize)?)?;
        (noted.count == counts.page(block).load(Ordering::SeqCst)).then_some(noted.content)
    }

    /// What the pages of a segment hold together; `None` where one of them has to be read.
    fn segment(&mut self, number: u32, counts: &Counts) -> Option<Content> {
        let count = counts.segment(number).load(Ordering::SeqCst);
        let cached = self.segments.get(number as usize).copied().flatten();
        if let Some(noted) = cached.filter(|noted| noted.count == count) {
            return Some(noted.content);
        }
        // An insert that is counted from here on moves the count of the segment, too.
        let mut blocks = number * SEGMENT..(number + 1) * SEGMENT;
        let content = blocks.try_fold(Content::EMPTY, |all, block| Some(all.join(self.page(block, counts)?)))?;
        self.segments.resize(self.segments.len().max(number as usize + 1), None);
        self.segments[number as usize] = Some(Noted { count, content });
        Some(content)
    }

    /// How many of the first pages of `rest` are passed over: those of a segment, one, or none.
    fn passed(&mut self, rest: &Range<u32>, counts: &Counts, passes: &mut impl FnMut(&Content) -> bool) -> u32 {
        let block = rest.start;
        let is_whole = block.is_multiple_of(SEGMENT) && rest.end - block >= SEGMENT;
        if is_whole && self.segment(block / SEGMENT, counts).is_some_and(|content| passes(&content)) {
            return SEGMENT;
        }
        u32::from(self.page(block, counts).is_some_and(|content| passes(&content)))
    }
}

/// Takes the next consecutive pages from `rest` that have to be read: neither they nor their segment is known to hold only
/// what is to be passed over.
pub fn next(
    table: pg_sys::Oid,
    snapshot: &Snapshot,
    rest: &mut Range<u32>,
    passes: &mut impl FnMut(&Content) -> bool,
) -> Option<Range<u32>> {
    KNOWN.with_borrow_mut(|known| {
        let mut known =
            known.get_mut(&table).filter(|known| known.snapshot <= snapshot.number()).zip(Counts::of(table));
        let mut run = rest.start..rest.start;
        while rest.start < rest.end && run.len() < LONGEST_RUN as usize {
            let passed = known.as_mut().map_or(0, |(known, counts)| known.passed(rest, counts, passes));
            rest.start += passed.max(1);
            match passed {
                0 => run.end = rest.start,
                _ if run.is_empty() => run = rest.start..rest.start,
                _ => break,
            }
        }
        Some(run).filter(|run| !run.is_empty())
    })
}

/// Notes what these pages hold, which were just read. `toasted`: of each row that `snapshot` sees and that is in the TOAST
/// table, its page and itself.
///
/// # Safety
/// The table is open and has these pages.
pub unsafe fn note(table: pg_sys::Relation, snapshot: &Snapshot, pages: Range<u32>, toasted: &[(u32, Content)]) {
    // SAFETY: by contract.
    let id = unsafe { (*table).rd_id };
    let Some(counts) = Counts::of(id) else { return };
    KNOWN.with_borrow_mut(|known| {
        let known = known.entry(id).or_default();
        known.snapshot = known.snapshot.max(snapshot.number());
        known.pages.resize(known.pages.len().max(pages.end as usize), None);
        for block in pages {
            let count = counts.page(block).load(Ordering::SeqCst);
            let toasted: Vec<_> = toasted.iter().filter(|(of, _)| *of == block).collect();
            // SAFETY: by contract.
            let inline = unsafe { inline(table, block, snapshot) }.filter(|(_, others)| *others == toasted.len());
            let content = inline.map(|(inline, _)| toasted.into_iter().fold(inline, |all, (_, it)| all.join(*it)));
            known.pages[block as usize] = content.map(|content| Noted { count, content });
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

/// What a page holds without the rows in the TOAST table, and how many of those are not dead. Where they are as many as
/// `snapshot` sees, it sees all of them. `None` where a row has no stamp.
unsafe fn inline(table: pg_sys::Relation, block: u32, snapshot: &Snapshot) -> Option<(Content, usize)> {
    // SAFETY: by the contract of the caller; the page is pinned, and locked against changes.
    unsafe {
        let buffer = pg_sys::ReadBuffer(table, block);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let page = pg_sys::BufferGetPage(buffer);
        let mut lines = 1..=pg_sys::PageGetMaxOffsetNumber(page);
        let found = lines.try_fold((Content::EMPTY, 0), |(all, toasted), line| {
            let item = pg_sys::PageGetItemId(page, line);
            if (*item).lp_flags() != pg_sys::LP_NORMAL {
                return Some((all, toasted));
            }
            let row: pg_sys::HeapTupleHeader = pg_sys::PageGetItem(page, item).cast();
            if is_dead(row, snapshot) {
                return Some((all, toasted));
            }
            let start = usize::from((*row).t_hoff);
            let value = std::slice::from_raw_parts(row.cast::<u8>().add(start), (*item).lp_len() as usize - start);
            let is_toasted = Header::of(value) == Header::External;
            let span = if is_toasted { Span::EMPTY } else { Span::of(Stamp::read(value).ok()?.0.xid) };
            let content = Content { span: all.span.join(span), bytes: pg_sys::BLCKSZ.into() };
            Some((content, toasted + usize::from(is_toasted)))
        });
        pg_sys::UnlockReleaseBuffer(buffer);
        found
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
