//! What is counted of one source.

use std::ops::AddAssign;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU32};

use crate::cell::{Cell, Counter, Name, Optional, Versioned, cells};
use crate::rows::Row;

/// Changes in a change buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub rows: i64,
    /// As stored, without the headers of rows and pages.
    pub bytes: i64,
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Size) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

cells! {
    /// What the catalog says of a source.
    DescribedCells => Described {
        #[serde(skip)]
        relation: AtomicU32,
        schema: Name,
        name: Name,
        /// The stream table that it is.
        stream_table: Optional,
    }

    /// Changes that transactions have captured since the start of the server, and those in the change buffer.
    CountedCells => Counted {
        captured_rows: Counter,
        captured_bytes: Counter,
        pending_rows: AtomicI64,
        pending_bytes: AtomicI64,
    }
}

#[repr(C)]
#[derive(Default)]
pub struct SourceRow {
    pub described: Versioned<DescribedCells>,
    pub counted: CountedCells,
}

impl Row for SourceRow {
    fn clear(&self) {
        self.described.clear();
        self.counted.clear();
    }
}

impl SourceRow {
    /// Counts changes that a transaction has captured.
    pub fn captured(&self, size: Size) {
        self.counted.captured_rows.add(size.rows.max(0) as u64);
        self.counted.captured_bytes.add(size.bytes.max(0) as u64);
    }

    /// Counts changes that are pending from now on.
    pub fn pending(&self, size: Size) {
        self.counted.pending_rows.fetch_add(size.rows, Relaxed);
        self.counted.pending_bytes.fetch_add(size.bytes, Relaxed);
    }

    /// Counts changes that are pending no more.
    pub fn pruned(&self, size: Size) {
        self.pending(Size { rows: -size.rows, bytes: -size.bytes });
    }

    /// Takes over what is pending in the change buffer.
    pub fn set_pending(&self, size: Size) {
        self.counted.pending_rows.set(&size.rows);
        self.counted.pending_bytes.set(&size.bytes);
    }
}
