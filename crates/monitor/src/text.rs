//! Text of a fixed size, made of atomics.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// At most `8 * WORDS` bytes; a longer text is truncated between two characters. Empty if all zero. To be written and read
/// under a [`Version`](crate::version::Version).
#[repr(C)]
pub struct Text<const WORDS: usize> {
    /// In bytes.
    length: AtomicU32,
    words: [AtomicU64; WORDS],
}

/// A name of PostgreSQL, which has at most 63 bytes.
pub type Name = Text<8>;

impl<const WORDS: usize> Default for Text<WORDS> {
    fn default() -> Text<WORDS> {
        Text { length: AtomicU32::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const WORDS: usize> Text<WORDS> {
    pub fn set(&self, text: &str) {
        let cut = &text.as_bytes()[..text.floor_char_boundary(8 * WORDS)];
        for (word, bytes) in self.words.iter().zip(cut.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), SeqCst);
        }
        self.length.store(cut.len() as u32, SeqCst);
    }

    pub fn get(&self) -> String {
        let bytes = self.words.iter().flat_map(|word| word.load(SeqCst).to_le_bytes());
        let bytes: Vec<u8> = bytes.take(self.length.load(SeqCst) as usize).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
