//! Sampled commit times: how long ago was the oldest change that a stream table does not show?
//!
//! A change buffer has transaction ids and no times. Some of the commits that changed a source are sampled with their
//! time, at growing distances: in the last seconds one every tenth of a second, in the last day one every half
//! hour. The error of an answer is at most the distance. All fields are atomics, for shared memory: a committing
//! process adds a sample without a lock, and a reader skips a sample that is being written.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use crate::Micros;

/// Distances of the samples: a tenth of a second, doubled from level to level.
const LEVELS: usize = 16;
const FIRST: Micros = 100_000;
/// Samples of one level.
const SAMPLES: usize = 64;

/// All zero is empty.
#[repr(C)]
pub struct Moments {
    levels: [Level; LEVELS],
}

#[repr(C)]
struct Level {
    last: AtomicI64,
    next: AtomicUsize,
    samples: [Sample; SAMPLES],
}

/// A transaction id and when it committed; a time of 0 is none.
#[repr(C)]
#[derive(Default)]
struct Sample {
    xid: AtomicU64,
    at: AtomicI64,
}

impl Moments {
    /// Records that a transaction which changed a source commits at `now`.
    pub fn note(&self, xid: u64, now: Micros) {
        for (level, distance) in self.levels.iter().zip((0..).map(|level| FIRST << level)) {
            let last = level.last.load(Relaxed);
            // A level with a greater distance needs no sample where this one does not.
            if last != 0 && now - last < distance {
                return;
            }
            if level.last.compare_exchange(last, now, SeqCst, Relaxed).is_ok() {
                let sample = &level.samples[level.next.fetch_add(1, SeqCst) % SAMPLES];
                sample.at.store(0, SeqCst);
                sample.xid.store(xid, SeqCst);
                sample.at.store(now, SeqCst);
            }
        }
    }

    /// The time when `xid` committed: that of the first sample that is not older, else of the latest; `None` where no
    /// sample is older, so that it may have committed at any time before.
    pub fn of(&self, xid: u64) -> Option<Micros> {
        let samples = || self.levels.iter().flat_map(|level| &level.samples).filter_map(Sample::read);
        let exact = samples().filter(|(sampled, _)| *sampled == xid).map(|(_, at)| at).min();
        let older = samples().filter(|(sampled, _)| *sampled < xid).map(|(_, at)| at).max()?;
        let next = samples().filter(|(sampled, _)| *sampled > xid).map(|(_, at)| at).min();
        Some(exact.or(next).unwrap_or(older))
    }
}

impl Sample {
    fn read(&self) -> Option<(u64, Micros)> {
        let at = self.at.load(SeqCst);
        let xid = self.xid.load(SeqCst);
        (at != 0 && self.at.load(SeqCst) == at).then_some((xid, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Default for Level {
        fn default() -> Level {
            Level {
                last: AtomicI64::new(0),
                next: AtomicUsize::new(0),
                samples: std::array::from_fn(|_| Sample::default()),
            }
        }
    }

    impl Default for Moments {
        fn default() -> Moments {
            Moments { levels: std::array::from_fn(|_| Level::default()) }
        }
    }

    const SECOND: Micros = 1_000_000;

    #[test]
    fn error_is_proportional_to_age() {
        let moments = Moments::default();
        // One commit each 20 ms, for a day; its id gives the time.
        let of = |xid: u64| 1 + xid as Micros * 20_000;
        let last: u64 = 24 * 3600 * 50;
        (1..=last).for_each(|xid| moments.note(xid, of(xid)));
        for ago in [0, 1, 5, 40, 300, 3000, 50_000, 400_000] {
            let xid = last - ago;
            let (found, true_age) = (moments.of(xid).unwrap(), of(last) - of(xid));
            let error = (found - of(xid)).abs();
            assert!(error <= FIRST.max(true_age / 16), "{ago} commits ago: off by {error} of {true_age} microseconds");
        }
    }

    #[test]
    fn commit_after_pause_is_not_as_old_as_pause() {
        let moments = Moments::default();
        moments.note(10, SECOND);
        moments.note(11, 3600 * SECOND);
        assert_eq!(moments.of(11), Some(3600 * SECOND));
        // It committed too soon after another to be sampled.
        moments.note(12, 3600 * SECOND + 1);
        assert_eq!(moments.of(12), Some(3600 * SECOND));
    }

    #[test]
    fn commit_before_first_sample_has_no_time() {
        let moments = Moments::default();
        assert_eq!(moments.of(5), None);
        moments.note(10, SECOND);
        assert_eq!(moments.of(9), None);
        assert_eq!(moments.of(10), None);
        assert_eq!(moments.of(11), Some(SECOND));
    }
}
