//! A change buffer as a heap: append, scan, delete without the executor. No privileges are checked and no
//! triggers fire: these tables are ours alone. See `access/heap/heapam.c`.

use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::row::Aligned;
use crate::pg::snapshot::Snapshot;

/// An open, locked table.
pub struct Table {
    raw: pg_sys::Relation,
}

/// A row of a scan, taken apart; valid until the scan moves on.
pub struct Tuple<'a> {
    values: &'a [pg_sys::Datum],
    place: pg_sys::ItemPointerData,
}

/// xid, seq, layout, n, data
const WIDTH: usize = 5;

/// A row to be appended.
pub struct Change<'a> {
    pub xid: u64,
    pub seq: i32,
    pub layout: i32,
    pub entries: i32,
    pub data: &'a [u8],
}

impl Table {
    /// `None` if there is no such change buffer (any more). The lock stays until the transaction ends.
    pub fn open(oid: pg_sys::Oid, lock: u32) -> Option<Table> {
        // SAFETY: the server answers NULL for a table that is gone; closed by drop.
        let raw = unsafe { pg_sys::try_table_open(oid, lock as i32) };
        let table = (!raw.is_null()).then(|| Table { raw })?;
        // SAFETY: just opened.
        let width = unsafe { (*(*raw).rd_att).natts as usize };
        (width == WIDTH).then_some(table)
    }

    /// Pages, empty ones included.
    pub fn pages(&self) -> u32 {
        // SAFETY: open as long as self.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.raw, pg_sys::ForkNumber::MAIN_FORKNUM) }
    }

    /// Appends a row. `data` is a whole varlena with a four-byte header.
    pub fn append(&self, change: &Change) {
        let number = |value: i32| pg_sys::Datum::from(value);
        let mut values = [
            pg_sys::Datum::from(change.xid),
            number(change.seq),
            number(change.layout),
            number(change.entries),
            pg_sys::Datum::from(change.data.as_ptr() as usize),
        ];
        // SAFETY: the values are of the types of a change buffer's columns, which `open` has counted;
        // the tuple is freed after the server has copied it.
        unsafe {
            let tuple = pg_sys::heap_form_tuple((*self.raw).rd_att, values.as_mut_ptr(), [false; WIDTH].as_mut_ptr());
            let command = pg_sys::GetCurrentCommandId(true);
            // Not for publications of all tables.
            let options = pg_sys::TABLE_INSERT_NO_LOGICAL as i32;
            pg_sys::heap_insert(self.raw, tuple, command, options, std::ptr::null_mut());
            pg_sys::heap_freetuple(tuple);
        }
    }

    /// Calls `f` for every row that `snapshot` sees.
    pub fn for_each(&self, snapshot: &Snapshot, mut f: impl FnMut(&Tuple) -> Result<()>) -> Result<()> {
        use pg_sys::ScanOptions::{SO_ALLOW_PAGEMODE, SO_ALLOW_STRAT, SO_TYPE_SEQSCAN};
        // SAFETY: the table is open as long as self; the tuple is used up before the scan moves on.
        unsafe {
            let desc = (*self.raw).rd_att;
            let flags = SO_TYPE_SEQSCAN | SO_ALLOW_STRAT | SO_ALLOW_PAGEMODE;
            let none = std::ptr::null_mut();
            let scan = Scan(pg_sys::heap_beginscan(self.raw, snapshot.raw(), 0, none, none.cast(), flags));
            let (mut values, mut nulls) = ([pg_sys::Datum::from(0); WIDTH], [false; WIDTH]);
            loop {
                let tuple = pg_sys::heap_getnext(scan.0, pg_sys::ScanDirection::ForwardScanDirection);
                if tuple.is_null() {
                    return Ok(());
                }
                pg_sys::heap_deform_tuple(tuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
                f(&Tuple { values: &values, place: (*tuple).t_self })?;
            }
        }
    }

    /// Deletes a row of a scan; `false` if somebody else is deleting it or has.
    pub fn delete(&self, place: &pg_sys::ItemPointerData) -> bool {
        let mut place = *place;
        let mut failure = pg_sys::TM_FailureData::default();
        // SAFETY: a place of this table; nobody is waited for.
        unsafe {
            let command = pg_sys::GetCurrentCommandId(true);
            let none = std::ptr::null_mut();
            let result = pg_sys::heap_delete(self.raw, &mut place, command, none, false, &mut failure, false);
            result == pg_sys::TM_Result::TM_Ok
        }
    }
}

impl Tuple<'_> {
    pub fn xid(&self) -> u64 {
        self.values[0].value() as u64
    }

    pub fn seq(&self) -> i32 {
        self.values[1].value() as i32
    }

    pub fn layout(&self) -> i32 {
        self.values[2].value() as i32
    }

    pub fn entries(&self) -> i32 {
        self.values[3].value() as i32
    }

    pub fn place(&self) -> pg_sys::ItemPointerData {
        self.place
    }

    /// Copies the packed entries.
    pub fn data(&self, into: &mut Aligned) {
        // SAFETY: the column is a bytea; a copy made by the server is freed after it was read.
        unsafe {
            let stored: *mut pg_sys::varlena = self.values[4].cast_mut_ptr();
            let plain = pg_sys::pg_detoast_datum_packed(stored);
            let content = pgrx::vardata_any(plain).cast::<u8>();
            into.fill(std::slice::from_raw_parts(content, pgrx::varsize_any_exhdr(plain)));
            if plain != stored {
                pg_sys::pfree(plain.cast());
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once; the lock is kept until the transaction ends.
        unsafe { pg_sys::table_close(self.raw, pg_sys::NoLock as i32) };
    }
}

struct Scan(pg_sys::TableScanDesc);

impl Drop for Scan {
    fn drop(&mut self) {
        // SAFETY: begun by its maker, ended once.
        unsafe { pg_sys::heap_endscan(self.0) };
    }
}
