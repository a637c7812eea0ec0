//! Failures of refreshes that could not be recorded in the catalog, kept in shared memory.
//!
//! A fixed number of entries. Where all are in use the oldest is evicted.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicUsize};

use crate::cell::{Cell, Text, Versioned, cells};

const ENTRIES: usize = 128;
/// Words of a message, which is truncated to them.
const WORDS: usize = 40;
/// Attempts to write an entry that another process writes.
const ATTEMPTS: usize = 100;

/// All zero is empty.
#[repr(C)]
pub struct Failures {
    /// The number of entries in use: none are searched where it is zero.
    used: AtomicUsize,
    entries: [Versioned<FailedCells>; ENTRIES],
}

cells! {
    /// The last failure of a stream table, and how many there were in a row.
    FailedCells => Failed {
        /// 0 for none.
        database: AtomicU32,
        table: AtomicI32,
        /// Microseconds since the Unix epoch.
        at: AtomicI64,
        count: AtomicI32,
        sqlstate: Text<1>,
        message: Text<WORDS>,
    }
}

impl FailedCells {
    fn is_of(&self, database: u32, table: i32) -> bool {
        self.database.get() == database && self.table.get() == table
    }
}

impl Failures {
    /// Records the failure of a refresh of a stream table; its count is ignored.
    pub fn note(&self, failed: &Failed) {
        let is_known = |cells: &FailedCells| cells.is_of(failed.database, failed.table);
        for _ in 0..ATTEMPTS {
            let known = self.entries.iter().find(|entry| is_known(&entry.cells));
            let free = || self.entries.iter().find(|entry| entry.cells.database.get() == 0);
            let oldest = || self.entries.iter().min_by_key(|entry| entry.cells.at.get());
            let Some(entry) = known.or_else(free).or_else(oldest) else { return };
            let written = entry.try_write(|cells| {
                if cells.database.get() == 0 {
                    self.used.fetch_add(1, SeqCst);
                }
                let before = if is_known(cells) { cells.count.get() } else { 0 };
                cells.set(failed);
                cells.count.set(&before.saturating_add(1));
            });
            if written {
                return;
            }
        }
    }

    /// Removes the entry of a stream table that was refreshed, or whose failure is in the catalog.
    pub fn forget(&self, database: u32, table: i32) {
        if self.used.load(SeqCst) == 0 {
            return;
        }
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.entries.iter().find(|entry| entry.cells.is_of(database, table)) else { return };
            entry.try_write(|cells| {
                if cells.is_of(database, table) {
                    cells.clear();
                    self.used.fetch_sub(1, SeqCst);
                }
            });
        }
    }

    /// The failures of the stream tables of a database.
    pub fn of(&self, database: u32) -> Vec<Failed> {
        match self.used.load(SeqCst) {
            0 => vec![],
            _ => self.entries.iter().map(Cell::get).filter(|failed| failed.database == database).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Micros;

    const BYTES: usize = 8 * WORDS;

    impl Default for Failures {
        fn default() -> Failures {
            Failures { used: AtomicUsize::new(0), entries: std::array::from_fn(|_| Versioned::default()) }
        }
    }

    fn failed(database: u32, table: i32, at: Micros, message: &str) -> Failed {
        Failed { database, table, at, count: 0, sqlstate: "53100".to_owned(), message: message.to_owned() }
    }

    #[test]
    fn the_last_failure_is_shown_until_it_is_removed() {
        let failures = Failures::default();
        assert_eq!(failures.of(7), []);
        failures.note(&failed(7, 1, 10, "disk full"));
        failures.note(&failed(7, 1, 20, "still full"));
        failures.note(&failed(7, 2, 20, ""));
        failures.note(&failed(8, 1, 20, "another database"));
        assert_eq!(
            failures.of(7),
            [Failed { count: 2, ..failed(7, 1, 20, "still full") }, Failed { count: 1, ..failed(7, 2, 20, "") }]
        );
        failures.forget(7, 1);
        failures.forget(7, 3);
        assert_eq!(failures.of(7), [Failed { count: 1, ..failed(7, 2, 20, "") }]);
        failures.note(&failed(7, 1, 30, "again"));
        assert_eq!(failures.of(7).len(), 2);
        assert_eq!(failures.of(7)[0].count, 1);
    }

    #[test]
    fn long_texts_are_truncated_between_characters() {
        let failures = Failures::default();
        failures.note(&failed(7, 1, 10, &format!("x{}", "ü".repeat(BYTES))));
        let shown = failures.of(7).remove(0).message;
        assert_eq!(shown, format!("x{}", "ü".repeat((BYTES - 1) / 2)));
    }

    #[test]
    fn the_oldest_is_evicted() {
        let failures = Failures::default();
        for table in 0..ENTRIES as i32 + 1 {
            failures.note(&failed(7, table, 10 + i64::from(table), "disk full"));
        }
        let tables: Vec<i32> = failures.of(7).into_iter().map(|failed| failed.table).collect();
        assert!(!tables.contains(&0));
        assert!(tables.contains(&(ENTRIES as i32)));
    }

    #[test]
    fn a_concurrent_read_returns_what_one_writer_wrote() {
        let failures = Failures::default();
        let texts = ["a".repeat(100), "b".repeat(50)];
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| (0..2000).for_each(|at| failures.note(&failed(7, 1, at, text))));
            }
            scope.spawn(|| {
                for _ in 0..2000 {
                    failures.of(7).iter().for_each(|failed| assert!(texts.contains(&failed.message), "{failed:?}"));
                }
            });
        });
        // Both writers may have acquired an entry of their own at the start.
        assert!(!failures.of(7).is_empty());
    }
}
