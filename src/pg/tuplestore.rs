//! Rows in memory, spilling to disk: what a delta is stored in. See `utils/sort/tuplestore.c`.

use std::rc::{Rc, Weak};

use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::defer::Defer;
use crate::pg::row::{Row, Values};
use crate::pg::text::c_string;

/// A column of a row type to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDef {
    pub name: String,
    pub ty: pg_sys::Oid,
    pub modifier: i32,
    pub collation: pg_sys::Oid,
}

/// A row type of our own, at most until the end of the top transaction.
pub struct Desc {
    raw: pg_sys::TupleDesc,
}

/// A tuplestore with its row type. It belongs to the top transaction: its rows and temporary files outlive a subtransaction.
pub struct Tuplestore(Rc<Inner>);

struct Inner {
    raw: *mut pg_sys::Tuplestorestate,
    desc: Desc,
}

/// Finds a tuplestore as long as it exists.
pub struct Handle(Weak<Inner>);

/// Runs `f` with allocations and temporary files belonging to the top transaction.
fn in_top_transaction<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: inside a transaction both exist; put back on every way out.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        let _restore = Defer(|| {
            pg_sys::CurrentMemoryContext = context;
            pg_sys::CurrentResourceOwner = owner;
        });
        pg_sys::CurrentMemoryContext = pg_sys::TopTransactionContext;
        pg_sys::CurrentResourceOwner = pg_sys::TopTransactionResourceOwner;
        f()
    }
}

impl Desc {
    pub fn new(columns: &[ColumnDef]) -> Result<Desc> {
        let names = columns.iter().map(|column| c_string(&column.name)).collect::<Result<Vec<_>>>()?;
        // SAFETY: as many entries as the template has room for, numbered from 1.
        let raw = in_top_transaction(|| unsafe {
            let raw = pg_sys::CreateTemplateTupleDesc(columns.len() as i32);
            for (i, (column, name)) in columns.iter().zip(&names).enumerate() {
                let number = i as i16 + 1;
                pg_sys::TupleDescInitEntry(raw, number, name.as_ptr(), column.ty, column.modifier, 0);
                pg_sys::TupleDescInitEntryCollation(raw, number, column.collation);
            }
            raw
        });
        Ok(Desc { raw })
    }

    /// A copy of a row type, constraints and defaults left out.
    ///
    /// # Safety
    /// `desc` is a valid descriptor.
    pub unsafe fn copy(desc: pg_sys::TupleDesc) -> Desc {
        // SAFETY: by contract.
        Desc { raw: in_top_transaction(|| unsafe { pg_sys::CreateTupleDescCopy(desc) }) }
    }

    pub fn width(&self) -> usize {
        // SAFETY: alive as long as self.
        unsafe { (*self.raw).natts as usize }
    }

    /// The same without its last column.
    pub fn without_last(&self) -> Desc {
        // SAFETY: a template of that many columns, each copied.
        let raw = in_top_transaction(|| unsafe {
            let width = (*self.raw).natts - 1;
            let raw = pg_sys::CreateTemplateTupleDesc(width);
            (1..=width as i16).for_each(|number| pg_sys::TupleDescCopyEntry(raw, number, self.raw, number));
            raw
        });
        Desc { raw }
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        // SAFETY: alive as long as self.
        unsafe { attributes(self.raw) }.map(|attribute| attribute.name().to_owned()).collect()
    }

    /// The types of the columns.
    pub fn types(&self) -> Vec<pg_sys::Oid> {
        // SAFETY: as above.
        unsafe { attributes(self.raw) }.map(|attribute| attribute.atttypid).collect()
    }

    /// The collations of the columns.
    pub fn collations(&self) -> Vec<pg_sys::Oid> {
        // SAFETY: as above.
        unsafe { attributes(self.raw) }.map(|attribute| attribute.attcollation).collect()
    }
}

/// The attributes of a row type, dropped columns included.
///
/// # Safety
/// `desc` is valid for as long as `'a`.
pub unsafe fn attributes<'a>(desc: pg_sys::TupleDesc) -> impl Iterator<Item = &'a pg_sys::FormData_pg_attribute> {
    // SAFETY: by contract.
    unsafe { (0..(*desc).natts as usize).map(move |i| &*attribute(desc, i)) }
}

/// Attribute `i`, counted from 0.
///
/// # Safety
/// `desc` is valid and has more than `i` columns.
pub unsafe fn attribute(desc: pg_sys::TupleDesc, i: usize) -> pg_sys::Form_pg_attribute {
    // SAFETY: by contract.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        return (*desc).attrs.as_mut_ptr().add(i);
        #[cfg(feature = "pg18")]
        return pg_sys::TupleDescAttr(desc, i as i32);
    }
}

impl Clone for Desc {
    fn clone(&self) -> Desc {
        // SAFETY: alive as long as self.
        unsafe { Desc::copy(self.raw) }
    }
}

impl Drop for Desc {
    fn drop(&mut self) {
        // SAFETY: a copy of ours, freed once, before its memory context is.
        unsafe { pg_sys::FreeTupleDesc(self.raw) };
    }
}

impl Tuplestore {
    pub fn new(desc: Desc) -> Tuplestore {
        // SAFETY: inside a transaction; ended once, below.
        let raw = in_top_transaction(|| unsafe { pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem) });
        Tuplestore(Rc::new(Inner { raw, desc }))
    }

    pub fn raw(&self) -> *mut pg_sys::Tuplestorestate {
        self.0.raw
    }

    pub fn desc(&self) -> pg_sys::TupleDesc {
        self.0.desc.raw
    }

    pub fn row_type(&self) -> &Desc {
        &self.0.desc
    }

    pub fn rows(&self) -> i64 {
        // SAFETY: alive as long as self.
        unsafe { pg_sys::tuplestore_tuple_count(self.0.raw) }
    }

    /// Appends a copy of a row of datums.
    ///
    /// # Safety
    /// As many values as columns, of their types; by-reference ones are readable during the call.
    pub unsafe fn put(&self, values: &mut [pg_sys::Datum], nulls: &mut [bool]) {
        debug_assert!(values.len() == self.0.desc.width() && nulls.len() == values.len());
        // SAFETY: by contract; the server copies the row.
        unsafe { pg_sys::tuplestore_putvalues(self.0.raw, self.0.desc.raw, values.as_mut_ptr(), nulls.as_mut_ptr()) };
    }

    /// Appends a copy of a row.
    pub fn append(&self, row: &mut Values) -> Result<()> {
        if row.datums.len() != self.0.desc.width() {
            return Err(Error::Bug("a row is as wide as its tuplestore"));
        }
        // SAFETY: as wide as the descriptor; what the values point to is readable now.
        unsafe { self.put(&mut row.datums, &mut row.nulls) };
        Ok(())
    }

    /// Appends a copy of the row that a slot of the same row type holds.
    pub fn put_slot(&self, slot: &Slot) {
        // SAFETY: alive as long as self; the server copies the row.
        unsafe { pg_sys::tuplestore_puttupleslot(self.0.raw, slot.0) };
    }

    /// Appends a copy of the row that has these bytes, through a slot of the same row type.
    ///
    /// # Safety
    /// They are those of a row of this type, as [`Slot::bytes`] returns them, at an address divisible by eight.
    pub unsafe fn put_bytes(&self, slot: &Slot, row: &[u8]) {
        // SAFETY: by contract; the slot neither keeps the row nor frees it.
        unsafe {
            pg_sys::ExecStoreMinimalTuple(row.as_ptr().cast_mut().cast(), slot.0, false);
            self.put_slot(slot);
            pg_sys::ExecClearTuple(slot.0);
        }
    }

    /// The same for a row that [`Slot::words`] has returned.
    ///
    /// # Safety
    /// Its columns are the first ones of this type.
    pub unsafe fn put_words(&self, slot: &Slot, row: &[u64]) {
        // SAFETY: by contract; words are aligned.
        unsafe { self.put_bytes(slot, std::slice::from_raw_parts(row.as_ptr().cast(), size_of_val(row))) };
    }

    /// Calls `f` for every row, independently of other readers.
    pub fn for_each(&self, mut f: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let (mut reader, slot) = (self.reader(), Slot::new(&self.0.desc));
        while reader.next(&slot) {
            f(&slot.row())?;
        }
        Ok(())
    }

    /// Reads from the first row on. Nothing else reads or writes the tuplestore meanwhile.
    pub fn reader(&self) -> Reader<'_> {
        // SAFETY: it was created for random access, so that any number of readers may follow each other.
        unsafe {
            let reader = pg_sys::tuplestore_alloc_read_pointer(self.0.raw, pg_sys::EXEC_FLAG_REWIND as i32);
            pg_sys::tuplestore_select_read_pointer(self.0.raw, reader);
            pg_sys::tuplestore_rescan(self.0.raw);
        }
        Reader { store: self }
    }

    /// Passes both parts to the server, which will free them.
    pub fn into_raw(self) -> (*mut pg_sys::Tuplestorestate, pg_sys::TupleDesc) {
        let parts = (self.raw(), self.desc());
        std::mem::forget(Rc::into_inner(self.0));
        parts
    }

    /// Another name for the same tuplestore, which exists as long as one of them.
    pub fn shared(&self) -> Tuplestore {
        Tuplestore(Rc::clone(&self.0))
    }

    pub fn handle(&self) -> Handle {
        Handle(Rc::downgrade(&self.0))
    }
}

impl Handle {
    /// The tuplestore, if it still exists.
    pub fn get(&self) -> Option<Tuplestore> {
        self.0.upgrade().map(Tuplestore)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: begun in `new`, ended once, before the transaction's memory is freed.
        unsafe { pg_sys::tuplestore_end(self.raw) };
    }
}

/// A reader's position in a tuplestore.
pub struct Reader<'a> {
    store: &'a Tuplestore,
}

impl Reader<'_> {
    /// Puts the next row into the slot; false at the end. It stays valid when the reader moves on with another slot: rows in
    /// memory do not move, those from a file belong to the slot.
    pub fn next(&mut self, slot: &Slot) -> bool {
        // SAFETY: the store is alive and not written to, and the slot was created for its row type.
        unsafe { pg_sys::tuplestore_gettupleslot(self.store.raw(), true, false, slot.0) }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: the first read pointer always exists.
        unsafe { pg_sys::tuplestore_select_read_pointer(self.store.raw(), 0) };
    }
}

/// Holds one row of a tuplestore.
pub struct Slot(*mut pg_sys::TupleTableSlot);

impl Slot {
    pub fn new(desc: &Desc) -> Slot {
        // SAFETY: dropped before the descriptor is.
        Slot(in_top_transaction(|| unsafe {
            pg_sys::MakeSingleTupleTableSlot(desc.raw, &raw const pg_sys::TTSOpsMinimalTuple)
        }))
    }

    /// The row that it holds, as a minimal tuple.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a slot for minimal tuples returns the one that a reader put there, not a copy; it knows its length.
        unsafe {
            let mut copied = false;
            let tuple = pg_sys::ExecFetchSlotMinimalTuple(self.0, &raw mut copied);
            std::slice::from_raw_parts(tuple.cast::<u8>(), (*tuple).t_len as usize)
        }
    }

    /// A copy of the same, aligned.
    pub fn words(&self) -> Box<[u64]> {
        let mut words = vec![0; self.bytes().len().div_ceil(size_of::<u64>())];
        // SAFETY: at least as long as the row.
        unsafe { std::ptr::copy_nonoverlapping(self.bytes().as_ptr(), words.as_mut_ptr().cast(), self.bytes().len()) };
        words.into()
    }

    /// The row that it holds.
    pub fn row(&self) -> Row<'_> {
        // SAFETY: filled by a reader; the row is valid until the next one, and has the width of the row type.
        unsafe { Row::of_slot(self.0, (*(*self.0).tts_tupleDescriptor).natts as usize) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: created above, dropped once.
        unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.0) };
    }
}
