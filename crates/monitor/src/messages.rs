//! Messages of the log that may repeat: the first is logged, its repetitions are counted.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize};

use crate::{Micros, SECOND};

/// A message that repeats is logged again after this time, with the number of its repetitions.
const REMINDER: Micros = 3600 * SECOND;
/// Messages that may alternate.
const KNOWN: usize = 4;

/// The last messages about one object. All zero is none. Where two processes log at once, a message may be logged by both.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Messages {
    /// Their hashes; 0 for none.
    known: [AtomicU64; KNOWN],
    next: AtomicUsize,
    /// When one was logged.
    at: AtomicI64,
    /// How many were not logged since.
    repeated: AtomicU64,
}

impl Messages {
    /// Takes a message at `now`, and returns it if it is to be logged, with the number of those that were not.
    pub fn log(&self, text: &str, now: Micros) -> Option<String> {
        self.log_about(text, text, now)
    }

    /// As [`Messages::log`], of a message whose figures differ each time: it repeats another about the same subject.
    pub fn log_about(&self, subject: &str, text: &str, now: Micros) -> Option<String> {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let hash = hasher.finish().max(1);
        let is_known = self.known.iter().any(|known| known.load(SeqCst) == hash);
        if is_known && (0..REMINDER).contains(&(now - self.at.load(SeqCst))) {
            self.repeated.fetch_add(1, SeqCst);
            return None;
        }
        if !is_known {
            self.known[self.next.fetch_add(1, SeqCst) % KNOWN].store(hash, SeqCst);
        }
        self.at.store(now, SeqCst);
        Some(with_repetitions(text, self.repeated.swap(0, SeqCst)))
    }

    /// Their cause is gone: `text` with the number of those that were not logged, if any were logged.
    pub fn end(&self, text: impl FnOnce() -> String) -> Option<String> {
        if self.at.load(SeqCst) == 0 || self.at.swap(0, SeqCst) == 0 {
            return None;
        }
        self.known.iter().for_each(|known| known.store(0, SeqCst));
        Some(with_repetitions(&text(), self.repeated.swap(0, SeqCst)))
    }
}

fn with_repetitions(text: &str, count: u64) -> String {
    match count {
        0 => text.to_owned(),
        1 => format!("{text} (1 repeated message was not logged)"),
        _ => format!("{text} ({count} repeated messages were not logged)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_counted() {
        let messages = Messages::default();
        let log = |text, now| messages.log(text, SECOND + now);
        let end = || messages.end(|| "well".to_owned());
        assert_eq!(end(), None);
        assert_eq!(log("a", 0).as_deref(), Some("a"));
        assert_eq!(log("a", 1), None);
        assert_eq!(log("b", 2).as_deref(), Some("b (1 repeated message was not logged)"));
        // They alternate.
        assert_eq!((log("a", 3), log("b", 4), log("a", 5)), (None, None, None));
        assert_eq!(log("b", 2 + REMINDER).as_deref(), Some("b (3 repeated messages were not logged)"));
        assert_eq!(log("b", 3 + REMINDER), None);
        assert_eq!(end().as_deref(), Some("well (1 repeated message was not logged)"));
        assert_eq!(end(), None);
        assert_eq!(log("b", 4 + REMINDER).as_deref(), Some("b"));
    }

    #[test]
    fn a_message_repeats_by_its_subject() {
        let messages = Messages::default();
        let log = |text, now| messages.log_about("slow", text, SECOND + now);
        assert_eq!((log("5 ms", 0).as_deref(), log("6 ms", 1)), (Some("5 ms"), None));
        assert_eq!(log("7 ms", REMINDER).as_deref(), Some("7 ms (1 repeated message was not logged)"));
    }

    #[test]
    fn a_message_is_logged_after_the_clock_was_set_back() {
        let messages = Messages::default();
        assert!(messages.log("a", 10 * SECOND).is_some() && messages.log("a", SECOND).is_some());
    }
}
