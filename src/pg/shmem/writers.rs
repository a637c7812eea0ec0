//! The newest transactions that wrote changes.
//!
//! **Law:** no change that a snapshot sees was written by a newer transaction than [`Writers::newest`] says once the snapshot was
//! taken. A writer raises it before it writes, and so before it commits; what was written before the server started is not counted.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use pgrx::pg_sys::Oid;

/// Sources that share a row are taken to change together.
const ROWS: usize = 4096;

#[repr(C)]
pub struct Writers {
    newest: [AtomicU64; ROWS],
    writes: [AtomicU64; ROWS],
    /// Up to this one transactions that had been prepared may have committed: what they wrote before the server started is not counted.
    prepared: AtomicU64,
    /// All transactions that began before the server started are older than this one; 0 as long as it is not known.
    first: AtomicU64,
    /// Of definitions, or of objects that queries may depend on: what any stream table shows may have changed with them.
    catalog: AtomicU64,
}

fn row(database: Oid, source: i32) -> usize {
    (database.to_u32().wrapping_mul(0x9e37_79b1) ^ source as u32) as usize % ROWS
}

impl Writers {
    /// A transaction is about to write changes of a source.
    pub fn raise(&self, database: Oid, source: i32, xid: u64) {
        let row = row(database, source);
        self.newest[row].fetch_max(xid, SeqCst);
        self.writes[row].fetch_add(1, SeqCst);
    }

    /// How often transactions were about to write changes of a source.
    pub fn writes(&self, database: Oid, source: i32) -> u64 {
        self.writes[row(database, source)].load(SeqCst)
    }

    /// A transaction changes what stream tables depend on beside their sources.
    pub fn raise_all(&self, xid: u64) {
        self.catalog.fetch_max(xid, SeqCst);
    }

    /// The newest transaction that changed what stream tables depend on beside their sources.
    pub fn newest_of_catalog(&self) -> u64 {
        self.catalog.load(SeqCst)
    }

    /// A transaction that is newer than all that began before the server started: `next`, the next one, where it was not asked before.
    pub fn first(&self, next: u64) -> u64 {
        match self.first.compare_exchange(0, next, SeqCst, SeqCst) {
            Ok(_) => next,
            Err(first) => first,
        }
    }

    /// A transaction up to this one that was prepared is about to commit.
    pub fn raise_prepared(&self, xid: u64) {
        self.prepared.fetch_max(xid, SeqCst);
    }

    /// The newest transaction that wrote changes of a source.
    pub fn newest_change(&self, database: Oid, source: i32) -> u64 {
        self.newest[row(database, source)].load(SeqCst).max(self.prepared.load(SeqCst))
    }

    /// The newest transaction that wrote changes of a source, or could have changed what they mean.
    pub fn newest(&self, database: Oid, source: i32) -> u64 {
        self.newest_change(database, source).max(self.catalog.load(SeqCst))
    }
}
