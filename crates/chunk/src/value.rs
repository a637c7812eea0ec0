//! How values lie in memory. See `varatt.h` (`postgres.h` before PostgreSQL 16).

/// How values of a type lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes; -1 for a varlena.
    pub len: i16,
    pub by_value: bool,
    /// 1, 2, 4 or 8.
    pub align: usize,
    /// A varlena that may carry a one-byte header.
    pub packable: bool,
}

// Varlena headers are read and written in their little-endian form, as on every platform that pgrx supports.
const _: () = assert!(cfg!(target_endian = "little"));

/// What the first byte of a varlena says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Not here: a pointer to a TOAST table.
    External,
    /// One byte.
    Short,
    /// Four bytes, plain.
    Long,
    /// Four bytes, compressed.
    Compressed,
}

impl Header {
    #[inline]
    pub fn of(value: &[u8]) -> Header {
        match value[0] {
            0x01 => Header::External,
            head if head & 0x01 == 0x01 => Header::Short,
            head if head & 0x03 == 0x02 => Header::Compressed,
            _ => Header::Long,
        }
    }
}

/// Bytes of the inline varlena that `bytes` starts with; `None` if not even its header is there.
#[inline]
pub fn inline_size(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [head, ..] if head & 0x01 == 0x01 => Some((head >> 1) as usize),
        [a, b, c, d, ..] => Some((u32::from_le_bytes([*a, *b, *c, *d]) >> 2) as usize),
        _ => None,
    }
}

/// The one-byte header of a varlena of `size` bytes, header included; at most 127.
#[inline]
pub fn short_header(size: usize) -> u8 {
    ((size as u8) << 1) | 0x01
}

/// The four-byte header of a plain varlena of `size` bytes, header included; `None` for a size that it has no room for.
#[inline]
pub fn long_header(size: usize) -> Option<[u8; 4]> {
    const BITS: u32 = 30;
    u32::try_from(size).ok().filter(|size| size >> BITS == 0).map(|size| (size << 2).to_le_bytes())
}
