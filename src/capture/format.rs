//! How changes are packed: the entries of a chunk, written and read.
//!
//! An entry is a weight (i16), flags (u8), with [`NULLS`] a bitmap, then the values that are not NULL as
//! they lie in a heap tuple: aligned, varlenas with a short header where they fit. Entries start at
//! multiples of the largest alignment in the layout, so that chunks of one layout can be joined end to end.
//!
//! **Invariant:** bytes of padding are zero. That is how a reader tells padding from a short header.

use crate::error::{Error, Result};
use crate::pg::row::{Header, Row, Shape, Values, fetch_external, inline_size, long_header, short_header};

/// A bitmap of NULLs follows the flags.
const NULLS: u8 = 1;
/// The weight does not fit and follows the flags as an i64.
const WIDE: u8 = 2;
/// Nothing that is captured changed, but something else did. No values follow.
const TOUCH: u8 = 4;

const LONGEST_SHORT: usize = 127;

/// The shapes of a layout's columns.
#[derive(Clone, Debug)]
pub struct Format {
    shapes: Box<[Shape]>,
    align: usize,
}

/// What an entry says, apart from its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// This many copies more of the row, or fewer.
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
        let align = shapes.iter().map(|shape| shape.align).max().unwrap_or(1);
        Format { shapes: shapes.into(), align }
    }

    pub fn align(&self) -> usize {
        self.align
    }

    pub fn width(&self) -> usize {
        self.shapes.len()
    }

    /// Appends an entry with the columns of `row` at `positions`. Returns where it starts.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, row: &Row, positions: &[usize], weight: i64) -> usize {
        pad(out, self.align);
        let start = out.len();
        let mut flags = 0;
        if positions.iter().any(|i| row.is_null(*i)) {
            flags |= NULLS;
        }
        match i16::try_from(weight) {
            Ok(weight) => {
                out.extend_from_slice(&weight.to_le_bytes());
                out.push(flags);
            }
            Err(_) => {
                out.extend_from_slice(&[0, 0, flags | WIDE]);
                out.extend_from_slice(&weight.to_le_bytes());
            }
        }
        if flags & NULLS != 0 {
            append_bitmap(out, row, positions);
        }
        for (shape, i) in self.shapes.iter().zip(positions) {
            if !row.is_null(*i) {
                append_value(out, row, *i, shape);
            }
        }
        start
    }

    /// Appends an entry that says only that something changed. Returns where it starts.
    pub fn append_touch(&self, out: &mut Vec<u8>) -> usize {
        pad(out, self.align);
        let start = out.len();
        out.extend_from_slice(&[0, 0, TOUCH]);
        start
    }

    /// Whether two rows hold the same bytes in the columns at `positions`. Values in a TOAST table are
    /// compared by their pointers: an update that leaves one alone keeps its pointer.
    #[inline]
    pub fn same(&self, a: &Row, b: &Row, positions: &[usize]) -> bool {
        self.shapes.iter().zip(positions).all(|(shape, &i)| match (a.is_null(i), b.is_null(i)) {
            (false, false) if shape.by_value => a.word(i) == b.word(i),
            (false, false) => a.bytes(i, shape) == b.bytes(i, shape),
            (a_null, b_null) => a_null == b_null,
        })
    }

    pub fn read<'a>(&'a self, bytes: &'a [u8]) -> Reader<'a> {
        Reader { format: self, bytes, at: 0 }
    }
}

#[inline]
fn pad(out: &mut Vec<u8>, align: usize) {
    let end = out.len().next_multiple_of(align);
    out.resize(end, 0);
}

fn append_bitmap(out: &mut Vec<u8>, row: &Row, positions: &[usize]) {
    for group in positions.chunks(8) {
        let bits = group.iter().enumerate().fold(0, |bits, (bit, i)| bits | u8::from(row.is_null(*i)) << bit);
        out.push(bits);
    }
}

#[inline]
fn append_value(out: &mut Vec<u8>, row: &Row, i: usize, shape: &Shape) {
    if shape.by_value {
        pad(out, shape.align);
        let word = (row.word(i) as u64).to_le_bytes();
        match shape.len {
            4 => out.extend_from_slice(&word[..4]),
            8 => out.extend_from_slice(&word),
            len => out.extend_from_slice(&word[..len as usize]),
        }
    } else if shape.len == -1 {
        append_varlena(out, row.bytes(i, shape), shape);
    } else {
        pad(out, shape.align);
        out.extend_from_slice(row.bytes(i, shape));
    }
}

#[inline]
fn append_varlena(out: &mut Vec<u8>, value: &[u8], shape: &Shape) {
    match Header::of(value) {
        Header::Short if shape.packable => out.extend_from_slice(value),
        Header::Short => {
            pad(out, shape.align);
            out.extend_from_slice(&long_header(value.len() + 3));
            out.extend_from_slice(&value[1..]);
        }
        Header::Long if shape.packable && value.len() - 3 <= LONGEST_SHORT => {
            out.push(short_header(value.len() - 3));
            out.extend_from_slice(&value[4..]);
        }
        Header::Long | Header::Compressed => {
            pad(out, shape.align);
            out.extend_from_slice(value);
        }
        Header::External => append_varlena(out, &fetch_external(value), shape),
    }
}

impl Reader<'_> {
    /// The next entry; its values go into `values` at `targets`, where a column has one. They point into
    /// the chunk.
    pub fn next(&mut self, values: &mut Values, targets: &[Option<usize>]) -> Result<Option<Entry>> {
        self.at = self.at.next_multiple_of(self.format.align);
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let [low, high, flags] = self.take::<3>()?;
        let mut weight = i64::from(i16::from_le_bytes([low, high]));
        if flags & WIDE != 0 {
            weight = i64::from_le_bytes(self.take::<8>()?);
        }
        if flags & TOUCH != 0 {
            return Ok(Some(Entry::Touch));
        }
        let bitmap = self.at;
        if flags & NULLS != 0 {
            self.slice(self.format.width().div_ceil(8))?;
        }
        for (column, target) in targets.iter().enumerate().take(self.format.width()) {
            let is_null = flags & NULLS != 0 && self.bytes[bitmap + column / 8] & (1 << (column % 8)) != 0;
            match (is_null, *target) {
                (true, None) => {}
                (true, Some(target)) => values.set_null(target),
                (false, target) => self.value(column, values, target)?,
            }
        }
        Ok(Some(Entry::Weight(weight)))
    }

    #[inline]
    fn value(&mut self, column: usize, values: &mut Values, target: Option<usize>) -> Result<()> {
        let shape = self.format.shapes[column];
        let len = if shape.len == -1 {
            if self.bytes.get(self.at).is_none_or(|head| head & 0x01 == 0) {
                self.at = self.at.next_multiple_of(shape.align);
            }
            inline_size(self.bytes.get(self.at..).unwrap_or_default()).ok_or_else(damaged)?
        } else {
            self.at = self.at.next_multiple_of(shape.align);
            shape.len as usize
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

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.slice(N)?.try_into().map_err(|_| damaged())
    }

    fn slice(&mut self, len: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(len).ok_or_else(damaged)?;
        let slice = self.bytes.get(self.at..end).ok_or_else(damaged)?;
        self.at = end;
        Ok(slice)
    }
}

fn damaged() -> Error {
    Error::Bug("a chunk ends in the middle of an entry")
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
