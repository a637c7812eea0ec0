//! One row as datums, and one column's physical shape; capture reads every changed row through these. See `access/common/heaptuple.c` and `varatt.h` (`postgres.h` before PostgreSQL 16).

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Deref;

use chunk::{Columns, Header, Shape, Target};
use pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY;
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::{memory, syscache};

/// A deformed row. Column `i` has the shape that the row's descriptor says.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    values: *const pg_sys::Datum,
    nulls: *const bool,
    width: usize,
    alive: PhantomData<&'a pg_sys::Datum>,
}

mod raw {
    use pgrx::pg_sys;
    // Without a guard, because it is called for every captured row. It raises an error only when the tuple is narrower than
    // its descriptor, in a corrupted table; nothing with a destructor is on the stack of its caller then.
    unsafe extern "C-unwind" {
        pub fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, attnum: std::ffi::c_int);
    }
}

impl<'a> Row<'a> {
    /// The first `width` columns of a slot.
    ///
    /// # Safety
    /// `slot` holds a row for as long as `'a` and its descriptor has at least `width` columns.
    #[inline]
    pub unsafe fn of_slot(slot: *mut pg_sys::TupleTableSlot, width: usize) -> Row<'a> {
        // SAFETY: by contract.
        unsafe {
            if ((*slot).tts_nvalid as usize) < width {
                raw::slot_getsomeattrs_int(slot, width as i32);
            }
            Row { values: (*slot).tts_values, nulls: (*slot).tts_isnull, width, alive: PhantomData }
        }
    }

    /// The datum of the last column.
    #[inline]
    pub fn last(&self) -> usize {
        self.word(self.width - 1)
    }

    /// These columns as datums that point into the row, and which of them are null.
    pub fn copied(&self, columns: impl Iterator<Item = usize>) -> (Vec<pg_sys::Datum>, Vec<bool>) {
        columns.map(|i| (pg_sys::Datum::from(self.word(i)), self.is_null(i))).unzip()
    }

    /// Whether these columns hold the same bytes in both rows.
    pub fn is_alike(&self, other: &Row, columns: &[(usize, Shape)]) -> bool {
        columns.iter().all(|(i, shape)| match (self.is_null(*i), other.is_null(*i)) {
            (false, false) if shape.by_value => self.word(*i) == other.word(*i),
            (false, false) => is_same_value(self.bytes(*i, shape), other.bytes(*i, shape), shape),
            (null, other) => null && other,
        })
    }
}

impl Columns for Row<'_> {
    #[inline]
    fn is_null(&self, i: usize) -> bool {
        debug_assert!(i < self.width);
        // SAFETY: callers stay below the width.
        unsafe { *self.nulls.add(i) }
    }

    /// The datum itself: the value of a by-value type.
    #[inline]
    fn word(&self, i: usize) -> usize {
        debug_assert!(i < self.width);
        // SAFETY: as above.
        unsafe { (*self.values.add(i)).value() }
    }

    /// The bytes of a by-reference value; a varlena with its header, whether short, compressed or a pointer to a TOAST table.
    #[inline]
    fn bytes(&self, i: usize, shape: &Shape) -> &[u8] {
        let start = self.word(i) as *const u8;
        // SAFETY: a non-null value of this shape lies there, as long as the row.
        unsafe {
            let len = match shape.len {
                -1 => pgrx::varsize_any(start.cast()),
                fixed => fixed as usize,
            };
            std::slice::from_raw_parts(start, len)
        }
    }

    fn fetched_size(&self, value: &[u8]) -> usize {
        // SAFETY: `value` is a varlena.
        unsafe { pg_sys::toast_datum_size(pg_sys::Datum::from(value.as_ptr())) + pg_sys::VARHDRSZ }
    }

    fn fetch(&self, value: &[u8]) -> Option<impl Deref<Target = [u8]>> {
        memory::is_available(self.fetched_size(value)).then(|| Inline::of(value, pg_sys::detoast_external_attr))
    }
}

/// Whether two by-reference values are the same, however they are stored.
fn is_same_value(one: &[u8], other: &[u8], shape: &Shape) -> bool {
    one == other || shape.len == -1 && content(one) == content(other)
}

/// A varlena without its header.
fn content(value: &[u8]) -> Cow<'_, [u8]> {
    match Header::of(value) {
        Header::Short => Cow::Borrowed(&value[1..]),
        Header::Long => Cow::Borrowed(&value[4..]),
        Header::External | Header::Compressed => Cow::Owned(Inline::of(value, pg_sys::detoast_attr)[4..].to_vec()),
    }
}

/// An inline varlena: a given one, or a copy that is freed.
struct Inline<'a> {
    value: &'a [u8],
    varlena: *mut pg_sys::varlena,
}

impl Inline<'_> {
    fn of(value: &[u8], detoast: unsafe fn(*mut pg_sys::varlena) -> *mut pg_sys::varlena) -> Inline<'_> {
        // SAFETY: `value` is a varlena.
        Inline { value, varlena: unsafe { detoast(value.as_ptr().cast_mut().cast()) } }
    }
}

impl Deref for Inline<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: lives as long as self.
        unsafe { std::slice::from_raw_parts(self.varlena.cast(), pgrx::varsize_any(self.varlena)) }
    }
}

impl Drop for Inline<'_> {
    fn drop(&mut self) {
        if self.varlena.cast_const().cast() != self.value.as_ptr() {
            // SAFETY: a copy of our own, in a context that lives at least as long as the call that made it.
            unsafe { pg_sys::pfree(self.varlena.cast()) };
        }
    }
}

/// The shape of a type, if the type exists.
pub fn shape(ty: pg_sys::Oid) -> Option<Shape> {
    let shape = |form: &pg_sys::FormData_pg_type| Shape {
        len: form.typlen,
        by_value: form.typbyval,
        align: match form.typalign as u8 {
            b'd' => 8,
            b'i' => 4,
            b's' => 2,
            _ => 1,
        },
        packable: form.typlen == -1 && form.typstorage as u8 != b'p',
    };
    // SAFETY: the row type of that cache.
    unsafe { syscache::read(pg_sys::SysCacheIdentifier::TYPEOID, ty, shape) }
}

/// Bytes that start at an address divisible by eight, as stored values of any type need it.
#[derive(Default)]
pub struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `fill` wrote `len` bytes, and the words behind them are ours.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.len) }
    }

    /// # Errors
    /// Without memory for them.
    pub fn fill(&mut self, bytes: &[u8]) -> Result<()> {
        let words = bytes.len().div_ceil(8);
        let short =
            |_| Error::new(ERRCODE_OUT_OF_MEMORY, "out of memory").detail(format!("A row has {} bytes.", bytes.len()));
        self.words.try_reserve(words.saturating_sub(self.words.len())).map_err(short)?;
        self.words.resize(words, 0);
        self.len = bytes.len();
        // SAFETY: room for `len` bytes was just made.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.words.as_mut_ptr().cast(), bytes.len()) };
        Ok(())
    }
}

/// A row to be appended to a tuplestore. By-reference values must stay in place until then, and every value must be of its
/// column's type.
pub struct Values {
    pub(in crate::pg) datums: Vec<pg_sys::Datum>,
    pub(in crate::pg) nulls: Vec<bool>,
}

impl Values {
    pub fn new(width: usize) -> Values {
        Values { datums: vec![pg_sys::Datum::from(0); width], nulls: vec![true; width] }
    }
}

impl Target for Values {
    #[inline]
    fn set_null(&mut self, i: usize) {
        self.nulls[i] = true;
    }

    #[inline]
    fn set_word(&mut self, i: usize, word: usize) {
        self.datums[i] = pg_sys::Datum::from(word);
        self.nulls[i] = false;
    }

    /// A by-reference value that starts at `bytes`.
    #[inline]
    fn set_bytes(&mut self, i: usize, bytes: &[u8]) {
        self.set_word(i, bytes.as_ptr() as usize);
    }
}
