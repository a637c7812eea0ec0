//! Several fields that are written and read as one, without a lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// Attempts to read or write fields that another process writes.
const ATTEMPTS: usize = 100;

/// The version of some fields: odd while they are written. A reader retries where it is odd or has changed.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Version(AtomicU64);

impl Version {
    /// Runs `f` as the only writer; false where another process is writing.
    pub fn try_write(&self, f: impl FnOnce()) -> bool {
        let version = self.0.load(SeqCst);
        let free = version.is_multiple_of(2);
        if !free || self.0.compare_exchange(version, version + 1, SeqCst, SeqCst).is_err() {
            std::hint::spin_loop();
            return false;
        }
        f();
        self.0.store(version + 2, SeqCst);
        true
    }

    /// What `f` reads, all of it written by one writer; `None` where writers leave no time to read.
    pub fn read<R>(&self, f: impl Fn() -> R) -> Option<R> {
        for _ in 0..ATTEMPTS {
            let version = self.0.load(SeqCst);
            let read = f();
            if version.is_multiple_of(2) && self.0.load(SeqCst) == version {
                return Some(read);
            }
            std::hint::spin_loop();
        }
        None
    }
}
