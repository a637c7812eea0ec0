//! Failures of refreshes that could not be recorded in the catalog, kept in shared memory.
//!
//! A fixed number of entries. Where all are in use the oldest is evicted.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering::SeqCst};

use crate::Micros;
use crate::text::Text;
use crate::version::Version;

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
    entries: [Entry; ENTRIES],
}

#[repr(C)]
#[derive(Default)]
struct Entry {
    version: Version,
    /// Database and stream table; 0 for none.
    database: AtomicU32,
    table: AtomicU32,
    at: AtomicI64,
    count: AtomicU32,
    sqlstate: Text<1>,
    message: Text<WORDS>,
}

/// The last failure of a stream table, and how many there were in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub table: i32,
    pub count: i32,
    pub sqlstate: String,
    pub message: String,
}

impl Failures {
    /// Records the failure of a refresh of stream table `table`, `at` in microseconds since the Unix epoch.
    pub fn note(&self, database: u32, table: i32, at: Micros, sqlstate: &str, message: &str) {
        for _ in 0..ATTEMPTS {
            let known = self.entries.iter().find(|entry| entry.is_of(database, table));
            let free = || self.entries.iter().find(|entry| entry.is_free());
            let oldest = || self.entries.iter().min_by_key(|entry| entry.at.load(SeqCst));
            let Some(entry) = known.or_else(free).or_else(oldest) else { return };
            let written = entry.version.try_write(|| {
                if entry.is_free() {
                    self.used.fetch_add(1, SeqCst);
                }
                let before = if entry.is_of(database, table) { entry.count.load(SeqCst) } else { 0 };
                entry.database.store(database, SeqCst);
                entry.table.store(table as u32, SeqCst);
                entry.at.store(at, SeqCst);
                entry.count.store(before.saturating_add(1).min(i32::MAX as u32), SeqCst);
                entry.sqlstate.set(sqlstate);
                entry.message.set(message);
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
            let Some(entry) = self.entries.iter().find(|entry| entry.is_of(database, table)) else { return };
            entry.version.try_write(|| {
                if entry.is_of(database, table) {
                    entry.database.store(0, SeqCst);
                    entry.table.store(0, SeqCst);
                    entry.at.store(0, SeqCst);
                    entry.count.store(0, SeqCst);
                    self.used.fetch_sub(1, SeqCst);
                }
            });
        }
    }

    /// The failures of the stream tables of a database.
    pub fn of(&self, database: u32) -> Vec<Failed> {
        match self.used.load(SeqCst) {
            0 => vec![],
            _ => self.entries.iter().filter_map(|entry| entry.read(database)).collect(),
        }
    }
}

impl Entry {
    fn is_free(&self) -> bool {
        self.database.load(SeqCst) == 0
    }

    fn is_of(&self, database: u32, table: i32) -> bool {
        self.database.load(SeqCst) == database && self.table.load(SeqCst) == table as u32
    }

    fn read(&self, database: u32) -> Option<Failed> {
        let read = || {
            self.is_in(database).then(|| Failed {
                table: self.table.load(SeqCst) as i32,
                count: self.count.load(SeqCst) as i32,
                sqlstate: self.sqlstate.get(),
                message: self.message.get(),
            })
        };
        self.version.read(read).flatten()
    }

    fn is_in(&self, database: u32) -> bool {
        self.database.load(SeqCst) == database
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 8 * WORDS;

    impl Default for Failures {
        fn default() -> Failures {
            Failures { used: AtomicUsize::new(0), entries: std::array::from_fn(|_| Entry::default()) }
        }
    }

    fn failed(table: i32, count: i32, message: &str) -> Failed {
        Failed { table, count, sqlstate: "53100".to_owned(), message: message.to_owned() }
    }

    #[test]
    fn the_last_failure_is_shown_until_it_is_removed() {
        let failures = Failures::default();
        assert_eq!(failures.of(7), []);
        failures.note(7, 1, 10, "53100", "disk full");
        failures.note(7, 1, 20, "53100", "still full");
        failures.note(7, 2, 20, "53100", "");
        failures.note(8, 1, 20, "53100", "another database");
        assert_eq!(failures.of(7), [failed(1, 2, "still full"), failed(2, 1, "")]);
        failures.forget(7, 1);
        failures.forget(7, 3);
        assert_eq!(failures.of(7), [failed(2, 1, "")]);
        failures.note(7, 1, 30, "53100", "again");
        assert_eq!(failures.of(7).len(), 2);
        assert_eq!(failures.of(7)[0].count, 1);
    }

    #[test]
    fn long_texts_are_truncated_between_characters() {
        let failures = Failures::default();
        failures.note(7, 1, 10, "53100", &format!("x{}", "ü".repeat(BYTES)));
        let shown = failures.of(7).remove(0).message;
        assert_eq!(shown, format!("x{}", "ü".repeat((BYTES - 1) / 2)));
    }

    #[test]
    fn the_oldest_is_evicted() {
        let failures = Failures::default();
        for table in 0..ENTRIES as i32 + 1 {
            failures.note(7, table, 10 + i64::from(table), "53100", "disk full");
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
                scope.spawn(|| (0..2000).for_each(|at| failures.note(7, 1, at, "53100", text)));
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
