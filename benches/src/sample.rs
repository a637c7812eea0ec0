//! Many measurements of one quantity, and the few numbers that describe them.

use serde_json::{Value, json};

/// Milliseconds, in the order in which they were measured.
#[derive(Default, Clone)]
pub struct Sample(Vec<f64>);

impl Sample {
    pub fn push(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    pub fn append(&mut self, other: Sample) {
        self.0.extend(other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The measurements from one share of all to another, in the order in which they were made.
    pub fn between(&self, from: f64, to: f64) -> Sample {
        let at = |share: f64| ((share * self.0.len() as f64) as usize).min(self.0.len());
        Sample(self.0[at(from)..at(to).max(at(from))].to_vec())
    }

    /// The smallest measurement that at least `share` of all do not exceed.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }

    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    pub fn max(&self) -> Option<f64> {
        self.quantile(1.0)
    }

    /// Null when nothing was measured.
    pub fn summary(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        let at = |share| rounded(self.quantile(share));
        json!({ "n": self.0.len(), "min": at(0.0), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0) })
    }
}

/// Microseconds are the finest that the clocks in use are good for.
pub fn rounded(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!((value * 1000.0).round() / 1000.0))
}

/// `a / b` of two medians.
pub fn ratio(a: &Sample, b: &Sample) -> Option<f64> {
    match (a.median(), b.median()) {
        (Some(a), Some(b)) if b > 0.0 => Some(a / b),
        _ => None,
    }
}

/// Whether a measurement exists and keeps a limit.
pub fn within(value: Option<f64>, limit: f64) -> bool {
    value.is_some_and(|value| value <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: impl IntoIterator<Item = u32>) -> Sample {
        let mut sample = Sample::default();
        values.into_iter().for_each(|value| sample.push(f64::from(value)));
        sample
    }

    #[test]
    fn quantiles_are_measured_values() {
        let sample = sample((1..=100).rev());
        let at = |share| sample.quantile(share);
        assert_eq!((at(0.0), at(0.5), at(0.95), at(1.0)), (Some(1.0), Some(50.0), Some(95.0), Some(100.0)));
        assert_eq!(Sample::default().median(), None);
    }

    #[test]
    fn parts_keep_the_order() {
        let sample = sample((1..=10).rev());
        assert_eq!(sample.between(0.0, 0.2).0, [10.0, 9.0]);
        assert_eq!(sample.between(0.9, 1.0).0, [1.0]);
    }

    #[test]
    fn ratio_needs_both() {
        assert_eq!(ratio(&sample([3]), &sample([2])), Some(1.5));
        assert_eq!(ratio(&sample([3]), &Sample::default()), None);
        assert!(!within(None, 1.0));
    }
}
