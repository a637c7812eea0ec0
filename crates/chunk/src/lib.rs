//! How changes are packed: the entries of a chunk, written and read.
//!
//! An entry is a byte of flags, with [`WIDE`] a weight, with [`NULLS`] and [`SAME`] a bitmap each, then the values that are
//! neither NULL nor the same: by-value ones byte after byte, others as in a heap tuple, aligned, varlenas with a short header
//! where they fit. Entries may be moved, by multiples of the largest alignment in the layout.
//!
//! **Invariant:** bytes of padding are zero, flags are not: a reader tells padding from an entry and from a short header.
//! **Invariant:** an entry with [`SAME`] is in one chunk with the entry before it, which has values.

#![forbid(unsafe_code)]

use std::ops::Deref;

mod stamp;
mod value;

pub use stamp::{OVERSIZE, SENTINEL, Stamp, UNRECORDED};
pub use value::{Header, Shape, inline_size, long_header, short_header};

pub type Result<T> = std::result::Result<T, Damaged>;

/// A chunk ends in the middle of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// Entries were not appended: their values are larger than [`LARGEST`], or there is no memory for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize;

/// Bytes of the values of entries that are appended together. A chunk of such entries, with what comes before and behind
/// them, is a varlena, which is shorter than 1 GiB, and the server copies it as a whole.
pub const LARGEST: usize = 256 << 20;

/// A row to encode. Values are read only of columns that are not NULL.
pub trait Columns {
    fn is_null(&self, i: usize) -> bool;
    /// The value of a by-value type.
    fn word(&self, i: usize) -> usize;
    /// The bytes of a by-reference value; a varlena with its header.
    fn bytes(&self, i: usize, shape: &Shape) -> &[u8];
    /// The size of what `fetch` returns.
    fn fetched_size(&self, value: &[u8]) -> usize;
    /// The whole value behind an external pointer, in a form that can be stored inline; `None` if there is no memory for it.
    fn fetch(&self, value: &[u8]) -> Option<impl Deref<Target = [u8]>>;
}

/// A row to decode into.
pub trait Target {
    fn set_null(&mut self, i: usize);
    fn set_word(&mut self, i: usize, word: usize);
    /// A by-reference value that starts where `bytes` does.
    fn set_bytes(&mut self, i: usize, bytes: &[u8]);
}

/// The weight is 1.
const PLUS: u8 = 1;
/// The weight is -1.
const MINUS: u8 = 2;
/// Any other weight, which follows the flags as an i64.
const WIDE: u8 = 4;
/// Only columns that are not captured changed. No values follow.
const TOUCH: u8 = 8;
/// A bitmap of NULLs follows.
const NULLS: u8 = 16;
/// A bitmap follows of the columns that have the same value as in the entry before, and are omitted.
const SAME: u8 = 32;

const LONGEST_SHORT: usize = 127;

/// Memory is reserved for values of this size or more before they are appended, and ...
const LARGE: usize = 8 << 10;
/// ... for the small values that follow them.
const RESERVE: usize = 256 << 10;

/// The shapes of a layout's columns.
#[derive(Clone, Debug)]
pub struct Format {
    shapes: Box<[Shape]>,
    align: usize,
    /// [`LARGEST`], except in tests.
    largest: usize,
}

/// An entry without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// How many copies of the row were inserted, or deleted if negative.
    Weight(i64),
    Touch,
}

/// Reads the entries of a chunk in order.
pub struct Reader<'a> {
    format: &'a Format,
    bytes: &'a [u8],
    at: usize,
}

impl Format {
    pub fn new(shapes: Vec<Shape>) -> Format {
        let aligned = shapes.iter().filter(|shape| !shape.by_value);
        let align = aligned.map(|shape| shape.align).max().unwrap_or(1);
        Format { shapes: shapes.into(), align, largest: LARGEST }
    }

    #[inline]
    pub fn align(&self) -> usize {
        self.align
    }

    #[inline]
    pub fn width(&self) -> usize {
        self.shapes.len()
    }

    /// Appends an entry with the columns of `row` at `positions`. Returns where it starts.
    ///
    /// # Errors
    /// `Oversize`, and nothing is appended.
    #[inline]
    pub fn append(
        &self,
        out: &mut Vec<u8>,
        row: &impl Columns,
        positions: &[usize],
        weight: i64,
    ) -> std::result::Result<usize, Oversize> {
        let start = out.len();
        let appended = self.append_row(out, row, positions, weight);
        whole(out, start, appended)
    }

    /// Appends two entries: `old` with weight -1, and `new` with weight 1 and only the values that differ. Returns where the
    /// first starts.
    ///
    /// # Errors
    /// `Oversize`, and nothing is appended.
    pub fn append_update<R: Columns>(
        &self,
        out: &mut Vec<u8>,
        old: &R,
        new: &R,
        positions: &[usize],
    ) -> std::result::Result<usize, Oversize> {
        let start = out.len();
        let appended = self.append_row(out, old, positions, -1);
        let appended = appended.and_then(|()| self.append_changed(out, old, new, positions, start + self.largest));
        whole(out, start, appended)
    }

    #[inline]
    fn append_row(&self, out: &mut Vec<u8>, row: &impl Columns, positions: &[usize], weight: i64) -> Option<()> {
        let end = out.len() + self.largest;
        let nulls = if has_nulls(row, positions) { NULLS } else { 0 };
        match weight {
            1 => out.push(nulls | PLUS),
            -1 => out.push(nulls | MINUS),
            _ => {
                out.push(nulls | WIDE);
                out.extend_from_slice(&weight.to_le_bytes());
            }
        }
        if nulls != 0 {
            append_bitmap(out, positions, |i| row.is_null(i));
        }
        for (shape, i) in self.shapes.iter().zip(positions) {
            if !row.is_null(*i) {
                append_value(out, row, *i, shape, end)?;
            }
        }
        Some(())
    }

    /// Appends `new` without the values that it shares with `old`, up to `end`.
    fn append_changed<R: Columns>(
        &self,
        out: &mut Vec<u8>,
        old: &R,
        new: &R,
        positions: &[usize],
        end: usize,
    ) -> Option<()> {
        let nulls = if has_nulls(new, positions) { NULLS } else { 0 };
        out.push(nulls | SAME | PLUS);
        if nulls != 0 {
            append_bitmap(out, positions, |i| new.is_null(i));
        }
        let bitmap = out.len();
        out.resize(bitmap + positions.len().div_ceil(8), 0);
        for (column, (shape, &i)) in self.shapes.iter().zip(positions).enumerate() {
            if same(old, new, i, shape) {
                out[bitmap + column / 8] |= 1 << (column % 8);
            } else if !new.is_null(i) {
                append_value(out, new, i, shape, end)?;
            }
        }
        Some(())
    }

    /// Appends an entry for a change of columns that are not captured. Returns where it starts.
    #[inline]
    pub fn append_touch(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.push(TOUCH);
        start
    }

    /// Whether two rows hold the same bytes in the columns at `positions`. Values in a TOAST table are compared by their
    /// pointers: an update of other columns keeps the pointer.
    #[inline]
    pub fn same<R: Columns>(&self, a: &R, b: &R, positions: &[usize]) -> bool {
        self.shapes.iter().zip(positions).all(|(shape, &i)| same(a, b, i, shape))
    }

    #[inline]
    pub fn read<'a>(&'a self, bytes: &'a [u8]) -> Reader<'a> {
        Reader { format: self, bytes, at: 0 }
    }
}

#[inline]
pub fn pad(out: &mut Vec<u8>, align: usize) {
    let end = out.len().next_multiple_of(align);
    out.resize(end, 0);
}

#[inline]
fn has_nulls(row: &impl Columns, positions: &[usize]) -> bool {
    positions.iter().any(|i| row.is_null(*i))
}

#[inline]
fn same<R: Columns>(a: &R, b: &R, i: usize, shape: &Shape) -> bool {
    match (a.is_null(i), b.is_null(i)) {
        (false, false) if shape.by_value => a.word(i) == b.word(i),
        (false, false) => a.bytes(i, shape) == b.bytes(i, shape),
        (a_null, b_null) => a_null == b_null,
    }
}

fn append_bitmap(out: &mut Vec<u8>, positions: &[usize], is_set: impl Fn(usize) -> bool) {
    for group in positions.chunks(8) {
        let bits = group.iter().enumerate().fold(0, |bits, (bit, i)| bits | u8::from(is_set(*i)) << bit);
        out.push(bits);
    }
}

#[inline]
fn has(bitmap: &[u8], column: usize) -> bool {
    bitmap.get(column / 8).is_some_and(|bits| bits & (1 << (column % 8)) != 0)
}

/// Where entries start that were appended, or were not.
#[inline]
fn whole(out: &mut Vec<u8>, start: usize, appended: Option<()>) -> std::result::Result<usize, Oversize> {
    if appended.is_none() {
        out.truncate(start);
    }
    appended.map(|()| start).ok_or(Oversize)
}

/// Appends a value; `None` if it reaches beyond `end`, or if there is no memory for it.
#[inline]
fn append_value(out: &mut Vec<u8>, row: &impl Columns, i: usize, shape: &Shape, end: usize) -> Option<()> {
    if shape.by_value {
        let word = (row.word(i) as u64).to_le_bytes();
        match shape.len {
            4 => out.extend_from_slice(&word[..4]),
            8 => out.extend_from_slice(&word),
            len => out.extend_from_slice(&word[..len as usize]),
        }
        Some(())
    } else if shape.len == -1 {
        append_varlena(out, row, row.bytes(i, shape), shape, end)
    } else {
        pad(out, shape.align);
        out.extend_from_slice(row.bytes(i, shape));
        Some(())
    }
}

#[inline]
fn append_varlena(out: &mut Vec<u8>, row: &impl Columns, value: &[u8], shape: &Shape, end: usize) -> Option<()> {
    match Header::of(value) {
        Header::Short if shape.packable => out.extend_from_slice(value),
        Header::Short => {
            let header = long_header(value.len() + 3)?;
            pad(out, shape.align);
            out.extend_from_slice(&header);
            out.extend_from_slice(&value[1..]);
        }
        Header::Long if shape.packable && value.len() - 3 <= LONGEST_SHORT => {
            out.push(short_header(value.len() - 3));
            out.extend_from_slice(&value[4..]);
        }
        Header::Long | Header::Compressed => {
            reserve(out, value.len(), end)?;
            pad(out, shape.align);
            out.extend_from_slice(value);
        }
        Header::External => {
            reserve(out, row.fetched_size(value), end)?;
            let whole = row.fetch(value)?;
            // Not external itself, so this ends.
            return append_varlena(out, row, &whole, shape, end);
        }
    }
    Some(())
}

/// Reserves memory for a large value; `None` if it would reach beyond `end`.
#[inline]
fn reserve(out: &mut Vec<u8>, size: usize, end: usize) -> Option<()> {
    if size < LARGE {
        return Some(());
    }
    (out.len() + size <= end).then(|| out.try_reserve(size + RESERVE).ok())?
}

impl<'a> Reader<'a> {
    /// The next entry. Stores its values in `values` at `targets`, for the columns that have one. They point into the chunk,
    /// and must stay there until the next entry is read.
    pub fn next(&mut self, values: &mut impl Target, targets: &[Option<usize>]) -> Result<Option<Entry>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(padding) = rest.iter().position(|byte| *byte != 0) else { return Ok(None) };
        self.at += padding;
        let [flags] = self.take::<1>()?;
        if flags & TOUCH != 0 {
            return Ok(Some(Entry::Touch));
        }
        let weight = match flags & (PLUS | MINUS | WIDE) {
            PLUS => 1,
            MINUS => -1,
            _ => i64::from_le_bytes(self.take::<8>()?),
        };
        let (nulls, same) = (self.bitmap(flags & NULLS)?, self.bitmap(flags & SAME)?);
        for (column, target) in targets.iter().enumerate().take(self.format.width()) {
            match *target {
                _ if has(same, column) => {}
                target if !has(nulls, column) => self.value(column, values, target)?,
                Some(target) => values.set_null(target),
                None => {}
            }
        }
        Ok(Some(Entry::Weight(weight)))
    }

    /// Skips the next entry if it inserts the row that the entry before it deletes: an update that changed no column with a
    /// target. The two cancel.
    pub fn skip_same(&mut self, values: &mut impl Target, targets: &[Option<usize>]) -> Result<bool> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let [flags, bitmaps @ ..] = rest else { return Ok(false) };
        if flags & SAME == 0 {
            return Ok(false);
        }
        let width = self.format.width().div_ceil(8);
        let same = bitmaps.get(if flags & NULLS != 0 { width } else { 0 }..).unwrap_or_default();
        let is_same = targets.iter().enumerate().all(|(column, target)| target.is_none() || has(same, column));
        if is_same {
            self.next(values, targets)?;
        }
        Ok(is_same)
    }

    /// A bit per column where `flag` is set, else no bits.
    #[inline]
    fn bitmap(&mut self, flag: u8) -> Result<&'a [u8]> {
        self.slice(if flag != 0 { self.format.width().div_ceil(8) } else { 0 })
    }

    #[inline]
    fn value(&mut self, column: usize, values: &mut impl Target, target: Option<usize>) -> Result<()> {
        let shape = self.format.shapes[column];
        let is_short = |head: &u8| shape.len == -1 && head & 0x01 != 0;
        let packed = shape.by_value || self.bytes.get(self.at).is_some_and(is_short);
        if !packed {
            self.at = self.at.next_multiple_of(shape.align);
        }
        let len = match shape.len {
            -1 => inline_size(self.bytes.get(self.at..).unwrap_or_default()).ok_or(Damaged)?,
            fixed => fixed as usize,
        };
        let bytes = self.slice(len)?;
        if let Some(target) = target {
            match shape.by_value {
                true => values.set_word(target, word(bytes)),
                false => values.set_bytes(target, bytes),
            }
        }
        Ok(())
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.slice(N)?.try_into().map_err(|_| Damaged)
    }

    #[inline]
    fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or(Damaged)?;
        let slice = self.bytes.get(self.at..end).ok_or(Damaged)?;
        self.at = end;
        Ok(slice)
    }
}

/// A by-value value as the server passes it: sign-extended.
#[inline]
fn word(bytes: &[u8]) -> usize {
    let value = match *bytes {
        [a] => i64::from(a as i8),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    };
    value as usize
}

#[cfg(test)]
mod tests;
