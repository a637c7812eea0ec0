//! Histograms of durations on a logarithmic scale: two buckets for each doubling, from 16 microseconds to nine hours.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU32};

use serde::Serialize;

use crate::cell::{Cell, Counter};
use crate::{Micros, SECOND};

/// A bucket ends where the next one starts. The last one has no end.
pub const BUCKETS: usize = 64;
/// The first bucket ends at 2 to the power of this.
const FIRST: u32 = 4;

/// How long a period of [`Recent`] is, and how many there are: the one that has begun, and those of the last 15 minutes.
const PERIOD: Micros = 180 * SECOND;
const PERIODS: usize = 6;

/// The bucket of a duration. A negative one, from a clock that was set back, counts as zero.
fn bucket(duration: Micros) -> usize {
    let micros = duration.max(0) as u64;
    if micros < 1 << FIRST {
        return 0;
    }
    let power = micros.ilog2();
    let upper_half = (micros >> (power - 1)) & 1;
    (1 + 2 * (power - FIRST) as usize + upper_half as usize).min(BUCKETS - 1)
}

/// Where a bucket ends: 16, 24, 32, 48, 64, … microseconds.
pub fn end(bucket: usize) -> Micros {
    let power = FIRST + (bucket as u32).div_ceil(2);
    if bucket.is_multiple_of(2) { 1 << power } else { (1 << power) / 4 * 3 }
}

fn start(bucket: usize) -> Micros {
    bucket.checked_sub(1).map_or(0, end)
}

/// Counts since the start of the server.
#[repr(C)]
pub struct Histogram {
    counts: [Counter; BUCKETS],
    /// Microseconds.
    sum: Counter,
}

/// What a [`Histogram`] held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    pub counts: Vec<u64>,
    /// Microseconds.
    pub sum: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: std::array::from_fn(|_| Counter::default()), sum: Counter::default() }
    }
}

impl Histogram {
    pub fn add(&self, duration: Micros) {
        self.counts[bucket(duration)].add(1);
        self.sum.add(duration.max(0) as u64);
    }

    pub fn read(&self) -> Distribution {
        Distribution { counts: self.counts.iter().map(Counter::get).collect(), sum: self.sum.get() }
    }

    pub fn clear(&self) {
        self.counts.iter().chain([&self.sum]).for_each(Counter::clear);
    }
}

/// Counts of the last 15 to 18 minutes. At the change of a period one that is added meanwhile may be lost.
#[repr(C)]
pub struct Recent {
    periods: [Period; PERIODS],
}

#[repr(C)]
struct Period {
    /// Its number since the Unix epoch, plus one; 0 for none.
    number: AtomicI64,
    counts: [AtomicU32; BUCKETS],
}

/// Quantiles in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Default for Recent {
    fn default() -> Recent {
        let period = || Period { number: AtomicI64::new(0), counts: std::array::from_fn(|_| AtomicU32::new(0)) };
        Recent { periods: std::array::from_fn(|_| period()) }
    }
}

impl Recent {
    pub fn add(&self, duration: Micros, now: Micros) {
        let number = now.div_euclid(PERIOD) + 1;
        let period = &self.periods[number.rem_euclid(PERIODS as i64) as usize];
        let before = period.number.load(Relaxed);
        if before != number && period.number.compare_exchange(before, number, Relaxed, Relaxed).is_ok() {
            period.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        period.counts[bucket(duration)].fetch_add(1, Relaxed);
    }

    /// `None` where nothing was added lately.
    pub fn quantiles(&self, now: Micros) -> Option<Quantiles> {
        let oldest = now.div_euclid(PERIOD) + 1 - (PERIODS as i64 - 1);
        let mut counts = [0_u64; BUCKETS];
        for period in self.periods.iter().filter(|period| period.number.load(Relaxed) >= oldest) {
            counts.iter_mut().zip(&period.counts).for_each(|(sum, count)| *sum += u64::from(count.load(Relaxed)));
        }
        let total: u64 = counts.iter().sum();
        let of = |share| quantile(&counts, total, share);
        (total > 0).then(|| Quantiles { p50: of(0.5), p95: of(0.95), p99: of(0.99) })
    }

    pub fn clear(&self) {
        self.periods.iter().for_each(|period| period.number.store(0, Relaxed));
    }
}

/// The duration that this share of `total` does not exceed, as if they were spread evenly over each bucket.
fn quantile(counts: &[u64; BUCKETS], total: u64, share: f64) -> f64 {
    let rank = share * total as f64;
    let mut before = 0.0;
    for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = *count as f64;
        if before + count >= rank {
            let (start, end) = (start(bucket) as f64, end(bucket) as f64);
            return (start + (end - start) * (rank - before) / count) / SECOND as f64;
        }
        before += count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_its_bucket() {
        let mut durations: Vec<Micros> = (0..5000).collect();
        durations.extend((0..36).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) / 2 * 3]));
        for duration in durations {
            let bucket = bucket(duration);
            assert!(start(bucket) <= duration && (duration < end(bucket) || bucket == BUCKETS - 1), "{duration}");
        }
        assert_eq!((0..5).map(end).collect::<Vec<_>>(), [16, 24, 32, 48, 64]);
        assert_eq!(bucket(-1), 0);
        assert_eq!(bucket(Micros::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_off_by_no_more_than_a_bucket() {
        let recent = Recent::default();
        assert_eq!(recent.quantiles(0), None);
        (1..=1000).for_each(|duration| recent.add(duration * 10, 0));
        let Quantiles { p50, p95, p99 } = recent.quantiles(0).unwrap();
        for (found, expected) in [(p50, 0.005), (p95, 0.0095), (p99, 0.0099)] {
            assert!(found > expected / 1.5 && found < expected * 1.5, "{found} for {expected}");
        }
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let recent = Recent::default();
        recent.add(1_000_000, 0);
        recent.add(100, 14 * 60 * SECOND);
        assert!(recent.quantiles(15 * 60 * SECOND - 1).unwrap().p99 > 0.5);
        assert!(recent.quantiles(18 * 60 * SECOND).unwrap().p99 < 0.001);
        // The period of the first one begins again.
        recent.add(100, 18 * 60 * SECOND);
        assert!(recent.quantiles(18 * 60 * SECOND).unwrap().p99 < 0.001);
        assert_eq!(recent.quantiles(60 * 60 * SECOND), None);
    }
}
