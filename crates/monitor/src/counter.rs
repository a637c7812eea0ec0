//! A number that only grows, until it is cleared.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

#[repr(C)]
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        if count != 0 {
            self.0.fetch_add(count, Relaxed);
        }
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}
