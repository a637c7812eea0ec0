//! A change buffer as a heap: append, scan, delete without the executor. No privileges are checked and no triggers fire, because
//! only we use these tables. See `access/heap/heapam.c`.

use std::marker::PhantomData;
use std::ops::Range;

use chunk::{Stamp, UNRECORDED};
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::relation::{self, Open};
use crate::pg::row::Aligned;
use crate::pg::settled::{self, Content};
use crate::pg::snapshot::Snapshot;

/// An open, locked table.
pub struct Table(Open);

/// A row of a scan; valid until the scan moves on.
pub struct Stored<'a> {
    pub stamp: Stamp,
    pub place: pg_sys::ItemPointerData,
    stored: *mut pg_sys::varlena,
    /// The length of the stamp.
    stamp_len: usize,
    scan: PhantomData<&'a ()>,
}

mod raw {
    use pgrx::pg_sys;
    unsafe extern "C-unwind" {
        pub fn PredicateLockRelation(relation: pg_sys::Relation, snapshot: pg_sys::Snapshot);
    }
}

/// A change buffer has one column, a bytea.
const WIDTH: usize = 1;

impl Table {
    /// `None` if there is no such change buffer. The lock is held until the transaction ends.
    pub fn open(oid: pg_sys::Oid, lock: u32) -> Option<Table> {
        let relation = Open::locked(oid, lock)?;
        // SAFETY: just opened.
        let width = unsafe { (*(*relation.0).rd_att).natts as usize };
        (width == WIDTH).then_some(Table(relation))
    }

    /// Pages, empty ones included.
    pub fn pages(&self) -> u32 {
        self.0.pages()
    }

    /// Bytes on disk, with its TOAST table and empty pages.
    pub fn bytes(&self) -> i64 {
        let toast = relation::pages(self.0.form().reltoastrelid);
        (i64::from(self.pages()) + i64::from(toast)) * i64::from(pg_sys::BLCKSZ)
    }

    /// Appends a row: a whole varlena with a four-byte header.
    pub fn append(&self, chunk: &[u8]) {
        let mut values = [pg_sys::Datum::from(chunk.as_ptr() as usize); WIDTH];
        // SAFETY: the value is of the type of a change buffer's column; the tuple is freed after the server
        // has copied it.
        unsafe {
            let tuple = pg_sys::heap_form_tuple((*(self.0).0).rd_att, values.as_mut_ptr(), [false; WIDTH].as_mut_ptr());
            let command = pg_sys::GetCurrentCommandId(true);
            // Not for publications of all tables.
            let options = pg_sys::TABLE_INSERT_NO_LOGICAL as i32;
            pg_sys::heap_insert((self.0).0, tuple, command, options, std::ptr::null_mut());
            settled::note_insert((*(self.0).0).rd_id, pgrx::itemptr::item_pointer_get_block_number(&(*tuple).t_self));
            pg_sys::heap_freetuple(tuple);
        }
    }

    /// In a SERIALIZABLE transaction, has every transaction that appends a row after `snapshot` conflict with what this one reads.
    pub fn lock_predicate(&self, snapshot: &Snapshot) {
        // SAFETY: open as long as self; without effect in other isolation levels.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| raw::PredicateLockRelation((self.0).0, snapshot.raw()));
        }
    }

    /// Calls `f` for every row that `snapshot` sees, except on pages that `passes` takes for not wanted by what they hold.
    /// Pages without any row that is not dead are always passed over.
    pub fn for_each_unless(
        &self,
        snapshot: &Snapshot,
        mut passes: impl FnMut(&Content) -> bool,
        mut f: impl FnMut(&Stored) -> Result<()>,
    ) -> Result<()> {
        let mut rest = 0..self.pages();
        // SAFETY: open as long as self.
        let id = unsafe { (*(self.0).0).rd_id };
        let mut passes = |content: &Content| content.span.is_empty() || passes(content);
        while let Some(pages) = settled::next(id, snapshot, &mut rest, &mut passes) {
            let toasted = self.scan(pages.clone(), snapshot, &mut f)?;
            // SAFETY: as above; it is not truncated while it is open and locked.
            unsafe { settled::note((self.0).0, snapshot, pages, &toasted) };
        }
        Ok(())
    }

    /// Calls `f` for every row that `snapshot` sees.
    pub fn for_each(&self, snapshot: &Snapshot, f: impl FnMut(&Stored) -> Result<()>) -> Result<()> {
        self.for_each_unless(snapshot, |_| false, f)
    }

    /// Returns the rows in the TOAST table, each with its page.
    fn scan(
        &self,
        pages: Range<u32>,
        snapshot: &Snapshot,
        f: &mut impl FnMut(&Stored) -> Result<()>,
    ) -> Result<Vec<(u32, Content)>> {
        use pg_sys::ScanOptions::{SO_ALLOW_PAGEMODE, SO_ALLOW_STRAT, SO_TYPE_SEQSCAN};
        // SAFETY: the table is open as long as self; the tuple is used up before the scan moves on.
        unsafe {
            let desc = (*(self.0).0).rd_att;
            let flags = SO_TYPE_SEQSCAN | SO_ALLOW_STRAT | SO_ALLOW_PAGEMODE;
            let none = std::ptr::null_mut();
            let scan = Scan(pg_sys::heap_beginscan((self.0).0, snapshot.raw(), 0, none, none.cast(), flags));
            pg_sys::heap_setscanlimits(scan.0, pages.start, pages.end - pages.start);
            let (mut values, mut nulls) = ([pg_sys::Datum::from(0); WIDTH], [false; WIDTH]);
            let mut toasted = vec![];
            loop {
                let tuple = pg_sys::heap_getnext(scan.0, pg_sys::ScanDirection::ForwardScanDirection);
                if tuple.is_null() {
                    return Ok(toasted);
                }
                pg_sys::heap_deform_tuple(tuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
                let row = Stored::read(values[0].cast_mut_ptr(), (*tuple).t_self)?;
                if pgrx::varatt_is_1b_e(row.stored) {
                    let block = pgrx::itemptr::item_pointer_get_block_number(&row.place);
                    toasted.push((block, Content::of(row.stamp.xid, row.bytes())));
                }
                f(&row)?;
            }
        }
    }

    /// Deletes a row of a scan; `false` if a concurrent transaction is deleting it or has deleted it.
    pub fn delete(&self, place: &pg_sys::ItemPointerData) -> bool {
        let mut place = *place;
        let mut failure = pg_sys::TM_FailureData::default();
        // SAFETY: a place of this table; the call does not wait.
        unsafe {
            let command = pg_sys::GetCurrentCommandId(true);
            let none = std::ptr::null_mut();
            let result = pg_sys::heap_delete((self.0).0, &mut place, command, none, false, &mut failure, false);
            result == pg_sys::TM_Result::TM_Ok
        }
    }
}

impl Stored<'_> {
    /// # Safety
    /// `stored` is the varlena of the row at `place`, and lives as long as the result.
    unsafe fn read<'a>(stored: *mut pg_sys::varlena, place: pg_sys::ItemPointerData) -> Result<Stored<'a>> {
        let mut room = [0; Stamp::LONGEST];
        // SAFETY: by contract.
        let (stamp, stamp_len) = Stamp::read(unsafe { tail(stored, &mut room) })?;
        Ok(Stored { stamp, place, stored, stamp_len, scan: PhantomData })
    }

    /// Copies the entries.
    pub fn entries<'a>(&self, into: &'a mut Aligned) -> Result<&'a [u8]> {
        let stored = self.stored;
        // SAFETY: a varlena of the scan; a copy made by the server is freed after it was read.
        unsafe {
            let plain = pg_sys::pg_detoast_datum_packed(stored);
            let filled = into.fill(content(plain));
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
            filled?;
        }
        let bytes = into.bytes();
        Ok(&bytes[..bytes.len() - self.stamp_len])
    }

    /// The bytes of the value, uncompressed.
    pub fn bytes(&self) -> usize {
        // SAFETY: a varlena of the scan.
        unsafe { raw_size(self.stored) }
    }

    /// Whether it stands for changes whose values are too large to be recorded, and maybe for others.
    pub fn is_oversize(&self) -> bool {
        self.stamp.layout == UNRECORDED && self.bytes() > self.stamp_len
    }
}

/// The bytes of a varlena without its header, uncompressed.
///
/// # Safety
/// It is one.
unsafe fn raw_size(varlena: *mut pg_sys::varlena) -> usize {
    // SAFETY: by contract.
    unsafe { pg_sys::toast_raw_datum_size(pg_sys::Datum::from(varlena)) - pg_sys::VARHDRSZ }
}

/// The last bytes of a varlena, as many as fit; from a TOAST table no more are read.
///
/// # Safety
/// It is one.
unsafe fn tail(stored: *mut pg_sys::varlena, room: &mut [u8]) -> &[u8] {
    // SAFETY: by contract.
    unsafe {
        if !pgrx::varatt_is_1b_e(stored) {
            return tail_of(content(stored), room);
        }
        let size = raw_size(stored);
        let len = size.min(room.len());
        let slice = pg_sys::pg_detoast_datum_slice(stored, (size - len) as i32, len as i32);
        let tail = tail_of(content(slice), room);
        pg_sys::pfree(slice.cast());
        tail
    }
}

/// A varlena without its header.
///
/// # Safety
/// It is stored inline, and lives as long as `'a`.
unsafe fn content<'a>(varlena: *const pg_sys::varlena) -> &'a [u8] {
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts(pgrx::vardata_any(varlena).cast(), pgrx::varsize_any_exhdr(varlena)) }
}

fn tail_of<'a>(bytes: &[u8], room: &'a mut [u8]) -> &'a [u8] {
    let len = bytes.len().min(room.len());
    room[..len].copy_from_slice(&bytes[bytes.len() - len..]);
    &room[..len]
}

struct Scan(pg_sys::TableScanDesc);

impl Drop for Scan {
    fn drop(&mut self) {
        // SAFETY: begun by its maker, ended once.
        unsafe { pg_sys::heap_endscan(self.0) };
    }
}
