//! A cost at several sizes, and the exponent `e` of the power of the size that fits it best: `cost ~ size^e`.

use serde_json::{Value, json};

use crate::report::Report;
use crate::sample::{Sample, rounded, within};

/// How a cost may grow.
#[derive(Clone, Copy)]
pub enum Growth {
    /// Not with the size.
    Flat,
    /// In proportion to the size.
    Linear,
}

impl Growth {
    fn name(self) -> &'static str {
        match self {
            Growth::Flat => "flat",
            Growth::Linear => "linear",
        }
    }

    /// The greatest exponent that passes for it: caches and noise are part of every figure.
    fn limit(self) -> f64 {
        match self {
            Growth::Flat => 0.2,
            Growth::Linear => 1.2,
        }
    }
}

/// A cost by size.
pub struct Slope {
    /// The section and what it measures.
    pub what: (&'static str, &'static str),
    /// What the sizes count.
    pub size: &'static str,
    pub growth: Growth,
    /// What the cost may be at the greatest size.
    pub limit: f64,
    points: Vec<Point>,
}

struct Point {
    size: f64,
    cost: Option<f64>,
    shown: Value,
}

impl Slope {
    pub fn new(what: (&'static str, &'static str), size: &'static str, growth: Growth, limit: f64) -> Slope {
        Slope { what, size, growth, limit, points: vec![] }
    }

    /// The median of times.
    pub fn add(&mut self, size: f64, times: &Sample) {
        self.points.push(Point { size, cost: times.median(), shown: times.summary() });
    }

    /// The exponent, from two sizes on.
    fn exponent(&self) -> Option<f64> {
        exponent(&self.points.iter().map(|point| Some((point.size, point.cost?))).collect::<Option<Vec<_>>>()?)
    }

    pub fn tell(&self, report: &mut Report) {
        let (exponent, largest) = (self.exponent(), self.points.last().and_then(|point| point.cost));
        let points = self.points.iter().map(|point| json!({ self.size: point.size, "cost": point.shown }));
        report.add(json!({
            "section": self.what.0,
            "what": self.what.1,
            "points": points.collect::<Vec<_>>(),
            "exponent": rounded(exponent),
            "target": { "growth": self.growth.name(), "exponent": self.growth.limit(), "at_the_greatest": self.limit },
            "met": within(exponent, self.growth.limit()) && within(largest, self.limit),
        }));
    }
}

/// By least squares over the logarithms of sizes and costs.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logarithms: Vec<(f64, f64)> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = logarithms.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logarithms.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut both, mut square) = (0.0, 0.0);
    for point in &logarithms {
        both += (point.0 - x) * (point.1 - y);
        square += (point.0 - x).powi(2);
    }
    Some(both / square).filter(|exponent| exponent.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponent_is_that_of_the_power() {
        for power in [0.0, 1.0, 2.0] {
            let points = [1.0_f64, 10.0, 100.0].map(|size| (size, 3.0 * size.powf(power)));
            assert!(exponent(&points).is_some_and(|found| (found - power).abs() < 1e-9));
        }
        assert_eq!(exponent(&[(1.0, 2.0)]), None);
    }
}
