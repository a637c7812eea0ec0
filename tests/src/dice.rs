//! Chance that one seed reproduces.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A seeded generator with the few distributions that the tests need.
pub struct Dice {
    random: fastrand::Rng,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice { random: fastrand::Rng::with_seed(seed) }
    }

    /// `0 <= result < sides`.
    pub fn below(&mut self, sides: usize) -> usize {
        self.random.usize(0..sides)
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.random.i64(low..=high)
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// An index, each as likely as its weight.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (at, weight) in weights.iter().enumerate() {
            if left < *weight {
                return at;
            }
            left -= weight;
        }
        unreachable!("less than the sum of the weights")
    }

    pub fn pause(&mut self, at_most: Duration) -> Duration {
        at_most.mul_f64(self.random.f64())
    }
}

/// The seed of this run: `SEED`, or a new one. Printed, so that a failure can be repeated.
pub fn seed(test: &str) -> u64 {
    let fresh =
        || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.subsec_nanos() as u64 ^ now.as_secs());
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(fresh);
    println!("{test}: SEED={seed}");
    seed
}

/// How long a random test runs: `SECONDS_EACH`, or `default`.
pub fn budget(default: u64) -> Duration {
    let seconds = std::env::var("SECONDS_EACH").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(default))
}
