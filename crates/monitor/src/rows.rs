//! Rows of shared memory, each of one object: claimed at its first use, found by its key, released when it was dropped.
//!
//! The keys are apart from the rows, which are large: a search reads nothing else.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// The object of a row: its database and its id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// The last row counts what has no row of its own.
const REST: Key = Key(u64::MAX);

impl Key {
    pub fn new(database: u32, id: i32) -> Key {
        Key(u64::from(database) << 32 | u64::from(id as u32))
    }

    pub fn database(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub fn id(self) -> i32 {
        self.0 as i32
    }

    pub fn is_rest(self) -> bool {
        self == REST
    }
}

/// The object that a row belongs to; all zero is none.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Owner {
    key: AtomicU64,
    /// The number of the claim.
    claim: AtomicU64,
}

/// A kind of row. All zero is a free one.
pub trait Row {
    /// Sets everything to zero.
    fn clear(&self);
}

/// The claims of rows of one kind, which are made one at a time: by a few instructions that cannot fail.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Claims {
    is_claiming: AtomicBool,
    /// How many were made.
    count: AtomicU64,
    /// One found no free row.
    is_full: AtomicBool,
}

/// The rows of one kind, with as many owners.
pub struct Rows<'a, T> {
    pub owners: &'a [Owner],
    pub rows: &'a [T],
    pub claims: &'a Claims,
}

impl<T> Clone for Rows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<'_, T> {}

impl<'a, T: Row> Rows<'a, T> {
    /// The row at `index`, if it is still the one of this object, or the one that counts the rest.
    pub fn at(&self, index: usize, key: Key) -> Option<&'a T> {
        let counts = |row: Key| row.is_rest() || row == key;
        self.rows.get(index).filter(|_| counts(self.key(index)))
    }

    fn key(&self, index: usize) -> Key {
        Key(self.owners[index].key.load(SeqCst))
    }

    /// Whether the row at `index` counts what has no row of its own.
    pub fn is_rest(&self, index: usize) -> bool {
        self.key(index).is_rest()
    }

    /// The index of an object's row.
    pub fn find(&self, key: Key) -> Option<usize> {
        self.owners.iter().position(|owner| owner.key.load(SeqCst) == key.0)
    }

    /// The index of an object's row, claimed if it has none; where no row is free, of the last one, which counts the rest. And
    /// whether it is the first that found none.
    pub fn claim(&self, key: Key) -> (usize, bool) {
        if let Some(index) = self.find(key) {
            return (index, false);
        }
        let claims = self.claims;
        while claims.is_claiming.swap(true, SeqCst) {
            std::hint::spin_loop();
        }
        let last = self.rows.len() - 1;
        let free = || self.owners[..last].iter().position(|owner| owner.key.load(SeqCst) == 0);
        let found = self.find(key).or_else(|| {
            let index = free()?;
            self.owners[index].claim.store(claims.count.fetch_add(1, SeqCst) + 1, SeqCst);
            self.owners[index].key.store(key.0, SeqCst);
            Some(index)
        });
        let is_first = found.is_none() && {
            self.owners[last].key.store(REST.0, SeqCst);
            !claims.is_full.swap(true, SeqCst)
        };
        claims.is_claiming.store(false, SeqCst);
        (found.unwrap_or(last), is_first)
    }

    /// How many claims were made so far.
    pub fn claimed(&self) -> u64 {
        self.claims.count.load(SeqCst)
    }

    /// Releases the rows of a database that are not retained, except those claimed after `before` claims: what says which to
    /// retain may be older.
    pub fn release(&self, database: u32, before: u64, retain: impl Fn(i32) -> bool) {
        for (owner, row) in self.owners.iter().zip(self.rows) {
            let key = Key(owner.key.load(SeqCst));
            let is_old = owner.claim.load(SeqCst) <= before;
            if key.database() == database && !key.is_rest() && is_old && !retain(key.id()) {
                row.clear();
                owner.key.store(0, SeqCst);
            }
        }
    }

    /// The rows that are in use.
    pub fn used(&self) -> impl Iterator<Item = (Key, &'a T)> + use<'a, T> {
        let keys = self.owners.iter().map(|owner| Key(owner.key.load(SeqCst)));
        keys.zip(self.rows).filter(|(key, _)| key.0 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Counter};

    impl Row for Counter {
        fn clear(&self) {
            Cell::clear(self);
        }
    }

    #[derive(Default)]
    struct Memory {
        owners: Vec<Owner>,
        rows: Vec<Counter>,
        claims: Claims,
    }

    impl Memory {
        fn of(rows: usize) -> Memory {
            let mut memory = Memory::default();
            memory.owners.resize_with(rows, Owner::default);
            memory.rows.resize_with(rows, Counter::default);
            memory
        }

        fn rows(&self) -> Rows<'_, Counter> {
            Rows { owners: &self.owners, rows: &self.rows, claims: &self.claims }
        }
    }

    fn ids(rows: &Rows<Counter>) -> Vec<i32> {
        rows.used().map(|(key, _)| key.id()).collect()
    }

    #[test]
    fn a_row_is_claimed_once_and_released() {
        let memory = Memory::of(4);
        let rows = memory.rows();
        let key = |id| Key::new(5, id);
        assert_eq!(rows.claim(key(-7)), (0, false));
        assert_eq!(rows.claim(key(-7)), (0, false));
        assert_eq!(rows.claim(key(8)), (1, false));
        assert_eq!(rows.claim(Key::new(6, 8)), (2, false));
        assert_eq!(key(-7).id(), -7);
        rows.at(1, key(8)).unwrap().add(3);
        assert!(rows.at(1, key(7)).is_none());
        rows.release(5, 1, |_| false);
        assert_eq!(ids(&rows), [8, 8]);
        rows.release(5, 2, |id| id == 8);
        assert_eq!(ids(&rows), [8, 8]);
        rows.release(5, 2, |_| false);
        assert_eq!(rows.used().map(|(key, _)| key.database()).collect::<Vec<_>>(), [6]);
        assert_eq!(rows.claim(key(9)), (0, false));
        assert_eq!(rows.claim(key(8)), (1, false));
        assert_eq!(rows.at(1, key(8)).unwrap().get(), 0);
    }

    #[test]
    fn what_finds_no_row_shares_the_last() {
        let memory = Memory::of(3);
        let rows = memory.rows();
        assert_eq!(
            (1..6).map(|id| rows.claim(Key::new(5, id))).collect::<Vec<_>>(),
            [(0, false), (1, false), (2, true), (2, false), (2, false)]
        );
        // It is found where the claim was: an event claims nothing.
        assert!(rows.at(2, Key::new(5, 3)).is_some() && rows.at(1, Key::new(5, 3)).is_none());
        rows.release(u32::MAX, 9, |_| false);
        assert!(rows.used().last().unwrap().0.is_rest());
    }

    #[test]
    fn processes_that_claim_at_once_agree() {
        let memory = Memory::of(100);
        let rows = memory.rows();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for id in 0..99 {
                        let (index, _) = rows.claim(Key::new(5, id));
                        rows.at(index, Key::new(5, id)).unwrap().add(1);
                    }
                });
            }
        });
        let mut found = ids(&rows);
        found.sort_unstable();
        assert_eq!(found, (0..99).collect::<Vec<_>>());
        assert!(rows.used().all(|(_, row)| row.get() == 4));
    }
}
