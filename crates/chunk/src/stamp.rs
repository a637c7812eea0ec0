//! The stamp of a chunk, which says what wrote it and what it holds: the last bytes of a row of a change buffer, behind the
//! entries.
//!
//! A transaction that changes one row writes one chunk of one entry. PostgreSQL's own part of its WAL record is 55 bytes; the
//! stamp is packed so as not to add many. Its numbers are written in groups of seven bits and are read from the end, so that
//! the entries before it keep their alignment.

use crate::{Damaged, Result};

/// The layout of a row without entries that is never pruned. A crash that empties an unlogged source also empties its buffer,
/// unlogged as well, and with it this row.
pub const SENTINEL: i32 = -1;

/// The layout of changes that were not recorded: of one by TRUNCATE, and of [`OVERSIZE`] ones.
pub const UNRECORDED: i32 = 0;

/// The only byte of an entry of [`UNRECORDED`] for changes whose values are too large to be recorded.
pub const OVERSIZE: u8 = 1;

/// A chunk without its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The top transaction that wrote it.
    pub xid: u64,
    /// Its number among that transaction's chunks, counted from 1.
    pub seq: i32,
    /// The layout of its entries.
    pub layout: i32,
    pub entries: i32,
}

impl Stamp {
    /// No stamp is longer: one number of 64 bits and three of up to 33.
    pub const LONGEST: usize = 10 + 3 * 5;

    pub fn append(&self, out: &mut Vec<u8>) {
        let only = self.seq == 1;
        if !only {
            push(out, u64::from(self.seq as u32));
        }
        push(out, (i64::from(self.layout) + 1) as u64);
        push(out, self.xid);
        push(out, u64::from(self.entries as u32) << 1 | u64::from(!only));
    }

    /// Reads the stamp at the end of `bytes`; returns also how long it is.
    ///
    /// # Errors
    /// `Damaged` where there is none.
    pub fn read(bytes: &[u8]) -> Result<(Stamp, usize)> {
        let mut end = bytes.len();
        let mut number = || pop(bytes, &mut end).ok_or(Damaged);
        let (head, xid, layout) = (number()?, number()?, number()?);
        let seq = if head & 1 == 0 { 1 } else { number()? };
        let stamp = Stamp { xid, seq: seq as i32, layout: (layout as i64 - 1) as i32, entries: (head >> 1) as i32 };
        Ok((stamp, bytes.len() - end))
    }
}

/// Written so that reading starts at the last byte: it has the lowest bits, and its highest bit says that more follow.
fn push(out: &mut Vec<u8>, number: u64) {
    let rest = number >> 7;
    if rest > 0 {
        push(out, rest);
    }
    out.push((number & 0x7f) as u8 | if rest > 0 { 0x80 } else { 0 });
}

fn pop(bytes: &[u8], end: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        *end = end.checked_sub(1)?;
        let byte = *bytes.get(*end)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn law_a_stamp_is_read_from_the_end(
            xid: u64, seq in prop_oneof![Just(1), 1..i32::MAX], layout in -1..i32::MAX, entries in 0..i32::MAX, before: Vec<u8>
        ) {
            let stamp = Stamp { xid, seq, layout, entries };
            let mut bytes = before.clone();
            stamp.append(&mut bytes);
            let len = bytes.len() - before.len();
            prop_assert!(len <= Stamp::LONGEST);
            prop_assert_eq!(Stamp::read(&bytes), Ok((stamp, len)));
            // The last bytes are enough.
            prop_assert_eq!(Stamp::read(&bytes[before.len()..]), Ok((stamp, len)));
        }
    }
}
