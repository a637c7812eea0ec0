//! What is counted of one source.

use std::ops::{AddAssign, Neg, Sub};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32};

use crate::counter::Counter;
use crate::rows::Row;
use crate::text::Name;
use crate::version::Version;

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

impl Sub for Size {
    type Output = Size;

    fn sub(self, other: Size) -> Size {
        Size { rows: self.rows - other.rows, bytes: self.bytes - other.bytes }
    }
}

impl Neg for Size {
    type Output = Size;

    fn neg(self) -> Size {
        Size::default() - self
    }
}

/// What the catalog says of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    pub relation: u32,
    pub schema: String,
    pub name: String,
    /// The stream table that it is.
    pub stream_table: Option<i32>,
}

#[repr(C)]
#[derive(Default)]
pub struct SourceRow {
    version: Version,
    relation: AtomicU32,
    /// 0 for none.
    stream_table: AtomicI32,
    schema: Name,
    name: Name,
    captured_rows: Counter,
    captured_bytes: Counter,
    pending_rows: AtomicI64,
    pending_bytes: AtomicI64,
}

/// What a [`SourceRow`] holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub described: Described,
    pub captured_rows: u64,
    pub captured_bytes: u64,
    pub pending: Size,
}

impl Row for SourceRow {
    fn clear(&self) {
        self.describe(&Described::default());
        [&self.captured_rows, &self.captured_bytes].into_iter().for_each(Counter::clear);
        self.pending_rows.store(0, Relaxed);
        self.pending_bytes.store(0, Relaxed);
    }
}

impl SourceRow {
    /// Takes over what the catalog says. Where another process does so at the same moment, its description stays.
    pub fn describe(&self, described: &Described) {
        self.version.try_write(|| {
            self.relation.store(described.relation, SeqCst);
            self.stream_table.store(described.stream_table.unwrap_or(0), SeqCst);
            self.schema.set(&described.schema);
            self.name.set(&described.name);
        });
    }

    /// Counts changes that a transaction has captured.
    pub fn captured(&self, size: Size) {
        self.captured_rows.add(size.rows.max(0) as u64);
        self.captured_bytes.add(size.bytes.max(0) as u64);
    }

    /// Counts changes that are pending from now on, or none any more where the size is negative.
    pub fn pending(&self, size: Size) {
        self.pending_rows.fetch_add(size.rows, Relaxed);
        self.pending_bytes.fetch_add(size.bytes, Relaxed);
    }

    pub fn read(&self) -> Counted {
        let described = self.version.read(|| Described {
            relation: self.relation.load(SeqCst),
            schema: self.schema.get(),
            name: self.name.get(),
            stream_table: Some(self.stream_table.load(SeqCst)).filter(|id| *id != 0),
        });
        let pending = |count: &AtomicI64| count.load(Relaxed).max(0);
        Counted {
            described: described.unwrap_or_default(),
            captured_rows: self.captured_rows.get(),
            captured_bytes: self.captured_bytes.get(),
            pending: Size { rows: pending(&self.pending_rows), bytes: pending(&self.pending_bytes) },
        }
    }
}
