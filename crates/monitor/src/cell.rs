//! Fields of shared memory: atomics of a fixed size, for which all zero is empty.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, fence};

/// Attempts to read cells that another process writes.
const ATTEMPTS: usize = 100;

/// A field of shared memory, or several.
pub trait Cell {
    /// What it holds, as plain data.
    type Value: Default;

    fn get(&self) -> Self::Value;

    fn set(&self, value: &Self::Value);

    fn clear(&self) {
        self.set(&Self::Value::default());
    }
}

/// Defines a structure of cells, and one with the same fields for what they hold, which the comments are about.
macro_rules! cells {
    ($($(#[$about:meta])* $cells:ident => $values:ident { $($(#[$field_about:meta])* $field:ident: $cell:ty,)* })*) => {$(
        #[doc = concat!("Cells with [`", stringify!($values), "`].")]
        #[repr(C)]
        #[derive(Debug, Default)]
        pub struct $cells {
            $(pub $field: $cell,)*
        }

        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub struct $values {
            $($(#[$field_about])* pub $field: <$cell as $crate::cell::Cell>::Value,)*
        }

        impl $crate::cell::Cell for $cells {
            type Value = $values;

            fn get(&self) -> $values {
                $values { $($field: $crate::cell::Cell::get(&self.$field),)* }
            }

            fn set(&self, values: &$values) {
                $($crate::cell::Cell::set(&self.$field, &values.$field);)*
            }
        }
    )*};
}
pub(crate) use cells;

macro_rules! atomics {
    ($($atomic:ty: $value:ty,)*) => {$(
        impl Cell for $atomic {
            type Value = $value;

            fn get(&self) -> $value {
                self.load(Relaxed)
            }

            fn set(&self, value: &$value) {
                self.store(*value, Relaxed);
            }
        }
    )*};
}
atomics!(AtomicBool: bool, AtomicI32: i32, AtomicI64: i64, AtomicU32: u32, AtomicU64: u64,);

/// A number that only grows, until it is cleared.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        if count != 0 {
            self.0.fetch_add(count, Relaxed);
        }
    }
}

impl Cell for Counter {
    type Value = u64;

    fn get(&self) -> u64 {
        self.0.get()
    }

    fn set(&self, count: &u64) {
        self.0.set(count);
    }
}

/// A number that is not negative, or none.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Optional(AtomicI64);

impl Optional {
    /// Sets it to the greater one.
    pub fn raise(&self, number: i64) {
        self.0.fetch_max(number + 1, Relaxed);
    }
}

impl Cell for Optional {
    type Value = Option<i64>;

    fn get(&self) -> Option<i64> {
        Some(self.0.get() - 1).filter(|number| *number >= 0)
    }

    fn set(&self, number: &Option<i64>) {
        self.0.set(&number.map_or(0, |number| number + 1));
    }
}

/// Text of at most `8 * WORDS` bytes; a longer one is truncated between two characters. To be [`Versioned`] where it is shown.
#[repr(C)]
#[derive(Debug)]
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

impl<const WORDS: usize> Cell for Text<WORDS> {
    type Value = String;

    fn get(&self) -> String {
        let bytes = self.words.iter().flat_map(|word| word.get().to_le_bytes());
        let bytes: Vec<u8> = bytes.take(self.length.get() as usize).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn set(&self, text: &String) {
        let cut = &text.as_bytes()[..text.floor_char_boundary(8 * WORDS)];
        for (word, bytes) in self.words.iter().zip(cut.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.set(&u64::from_le_bytes(padded));
        }
        self.length.set(&(cut.len() as u32));
    }
}

/// Cells that are written and read as one, without a lock.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Versioned<C> {
    /// Odd while they are written. A reader retries where it is odd or has changed.
    version: AtomicU64,
    /// For a writer of single cells, and for a reader that needs no more than one.
    pub cells: C,
}

impl<C: Cell> Versioned<C> {
    /// Runs `f` as the only writer; false where another process is writing.
    pub fn try_write(&self, f: impl FnOnce(&C)) -> bool {
        let version = self.version.get();
        let free = version.is_multiple_of(2);
        if !free || self.version.compare_exchange(version, version + 1, Acquire, Relaxed).is_err() {
            std::hint::spin_loop();
            return false;
        }
        fence(Release);
        f(&self.cells);
        self.version.store(version + 2, Release);
        true
    }
}

impl<C: Cell> Cell for Versioned<C> {
    type Value = C::Value;

    /// All of it written by one writer; nothing where writers leave no time to read.
    fn get(&self) -> C::Value {
        for _ in 0..ATTEMPTS {
            let version = self.version.load(Acquire);
            let read = self.cells.get();
            fence(Acquire);
            if version.is_multiple_of(2) && self.version.get() == version {
                return read;
            }
            std::hint::spin_loop();
        }
        C::Value::default()
    }

    /// Where another process writes at the same moment, what it writes stays.
    fn set(&self, value: &C::Value) {
        self.try_write(|cells| cells.set(value));
    }
}
