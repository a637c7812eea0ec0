//! Whether a refresh applies the changes or recomputes: the planner's costs of both, corrected by measured times.
//!
//! A cost is in the planner's units, a rate is milliseconds per unit. Recomputing has one rate: it does the same work every
//! time. A delta has a rate for each magnitude of its cost, because its plan for a few rows (index searches, whose cost the
//! planner overestimates) is not the one for many (scans, hashes).
//! **Law:** without measurements the costs alone decide, and a tie goes to the delta.

/// The planner's costs of the two ways of one refresh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    pub delta: f64,
    pub full: f64,
}

/// The cost of running a statement and of writing a row: the planner compares plans, and omits what they have in common.
pub const STATEMENT: f64 = 10.0;
pub const WRITE: f64 = 1.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Delta,
    Full,
}

/// The way that was chosen, and the milliseconds that each is expected to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    pub way: Way,
    pub delta_ms: f64,
    pub full_ms: f64,
    /// The delta is expected to be dearer, but no delta of its magnitude was ever measured.
    pub tries: bool,
}

/// Measured times of refreshes of one stream table, in milliseconds per unit of cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    full: Option<f64>,
    delta: [Option<f64>; MAGNITUDES],
    /// The largest cost at which recomputing was measured.
    measured: Option<f64>,
    /// The last refresh applied the changes and took longer than recomputing was expected to take.
    exceeded: bool,
    /// By magnitude: deltas that were abandoned since the last one that was not, or one that is to be tried.
    attempts: [Option<Attempts>; MAGNITUDES],
}

/// An attempt costs no more than recomputing, and may save more than that: after each failure in a row twice as many refreshes
/// recompute before the next attempt, but none after the first failure. A delta that is expected to be much dearer is attempted,
/// too, once recomputing was measured, until it was measured itself: the planner may know nothing of its keys. After a failure
/// the longest pause follows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Attempts {
    failed: u32,
    /// Refreshes that recompute.
    pause: u32,
}

/// The longest pause is `2^MAX_DOUBLINGS` refreshes.
const MAX_DOUBLINGS: u32 = 6;

/// Magnitudes of a delta's cost, a factor of eight each; the last one is open.
const MAGNITUDES: usize = 8;
/// Without measurements: a server with everything in memory.
const DEFAULT_RATE: f64 = 0.005;
/// The least cost that recomputing must be expected to save: estimates are no better, and planning costs as much.
const LEAST_SAVING: f64 = 200.0;
/// The weight of a measurement, and the factor from the expected time beyond which it counts no more: one refresh that waited
/// for a disk says little of the next.
const WEIGHT: f64 = 0.5;
const MAX_CORRECTION: f64 = 3.0;
/// Where the two are within this factor of each other, the rate of the other way fades with each refresh, so that it is
/// measured again now and then. That costs a few per cent at most.
const CONTEST: f64 = 4.0;
const FADING: f64 = 0.99;
/// The factor from which on a rate differs from the stored one.
const STORE_FACTOR: f64 = 1.2;

impl Rates {
    pub fn choose(&self, costs: Costs) -> Choice {
        let (delta_ms, full_ms) = (costs.delta * self.of_delta(costs.delta), self.full_ms(costs.full));
        let at = magnitude(costs.delta);
        let attempts = self.attempts[at];
        let is_dearer = delta_ms > full_ms + LEAST_SAVING * self.of_full();
        let tries = is_dearer && attempts.is_some_and(|of| of.pause == 0) && self.is_unknown(at, delta_ms / full_ms);
        let pauses = attempts.is_some_and(|of| of.pause > 0);
        let way = if pauses || is_dearer && !tries { Way::Full } else { Way::Delta };
        Choice { way, delta_ms, full_ms, tries }
    }

    /// Corrects the rates by a refresh that took `ms` on the chosen way.
    pub fn measured(&mut self, costs: Costs, choice: Choice, ms: f64) {
        let ratio = choice.delta_ms / choice.full_ms;
        let contested = ratio < CONTEST && ratio > 1.0 / CONTEST;
        let (at, delta) = (magnitude(costs.delta), self.of_delta(costs.delta));
        match choice.way {
            Way::Delta => {
                self.attempts[at] = None;
                let (seen, exceeded) = (ms / costs.delta, ms > choice.full_ms);
                // Twice in a row is no accident: then it counts in full, up to where the delta is still measured again.
                let most = CONTEST * FADING * choice.full_ms / costs.delta;
                let twice = exceeded && self.exceeded;
                self.exceeded = exceeded;
                self.delta[at] = Some(match twice {
                    true => seen.min(most),
                    // No delta is faster by accident.
                    false if choice.tries => corrected(delta, seen).min(seen),
                    false => corrected(delta, seen),
                });
                self.full = self.full.map(|full| if contested { full * FADING } else { full });
            }
            Way::Full => {
                if let Some(of) = self.attempts[at].as_mut().filter(|of| of.pause > 0) {
                    of.pause -= 1;
                } else if self.is_unknown(at, ratio) {
                    self.attempts[at] = Some(Attempts { failed: MAX_DOUBLINGS + 1, pause: 0 });
                }
                self.measured_full(costs.full, ms);
                if contested {
                    self.delta[at] = Some(delta * FADING);
                }
            }
        }
    }

    /// Whether a delta is out of contest and nothing but the planner says so.
    fn is_unknown(&self, magnitude: usize, ratio: f64) -> bool {
        ratio > CONTEST && self.delta[magnitude].is_none()
    }

    /// Notes that the delta was abandoned. The rates stay: they are those of deltas that are what they were taken for.
    pub fn abandoned(&mut self, costs: Costs) {
        let attempts = &mut self.attempts[magnitude(costs.delta)];
        let before = attempts.map_or(0, |of| of.failed);
        let pause = if before == 0 { 0 } else { 1 << (before - 1).min(MAX_DOUBLINGS) };
        *attempts = Some(Attempts { failed: before + 1, pause });
    }

    /// Corrects the rate of recomputing. A time between the expected one and that of the cost alone counts in full.
    pub fn measured_full(&mut self, cost: f64, ms: f64) {
        let seen = ms / cost;
        let known = self.full.map(|full| seen.max(self.full_ms(cost) / cost).min(full));
        self.full = Some(known.map_or(seen, |known| corrected(known, seen)));
        self.measured = Some(self.measured.map_or(cost, |measured| measured.max(cost)));
    }

    /// The expected time of recomputing. A cost beyond those that were measured may be due to dead rows, which the planner
    /// takes for live ones: it counts when it is out of contest, or was measured.
    pub fn full_ms(&self, cost: f64) -> f64 {
        let measured = self.measured.filter(|measured| (*measured..CONTEST * measured).contains(&cost));
        measured.unwrap_or(cost) * self.of_full()
    }

    fn of_full(&self) -> f64 {
        self.full.unwrap_or(DEFAULT_RATE)
    }

    /// The rate of a delta of this cost. Without one, that of the next larger magnitude; else that of recomputing, unless a
    /// smaller magnitude has a lower one: fixed costs weigh most in small deltas.
    fn of_delta(&self, cost: f64) -> f64 {
        let (below, above) = self.delta.split_at(magnitude(cost));
        let smaller = || below.iter().rev().flatten().next().map_or(self.of_full(), |rate| rate.min(self.of_full()));
        above.iter().flatten().next().copied().unwrap_or_else(smaller)
    }

    /// Whether a rate differs from the stored one so much that a write is worth it.
    pub fn moved_from(&self, stored: &Rates) -> bool {
        let moved = |(now, then): (&Option<f64>, &Option<f64>)| match (now, then) {
            (Some(now), Some(then)) => (now / then).max(then / now) > STORE_FACTOR,
            (now, then) => now.is_some() != then.is_some(),
        };
        self.all().iter().zip(&stored.all()).any(moved)
    }

    /// For storage: recomputing's rate, those of deltas by magnitude, the largest cost measured.
    pub fn all(&self) -> Vec<Option<f64>> {
        [self.full].into_iter().chain(self.delta).chain([self.measured]).collect()
    }

    /// From storage; what is missing is unknown.
    pub fn of(stored: &[Option<f64>]) -> Rates {
        let mut stored = stored.iter().copied().map(|rate| rate.filter(|rate| rate.is_normal() && *rate > 0.0));
        let mut rates = Rates { full: stored.next().flatten(), ..Rates::default() };
        rates.delta.iter_mut().zip(stored.by_ref()).for_each(|(rate, stored)| *rate = stored);
        rates.measured = stored.next().flatten();
        rates
    }
}

fn magnitude(cost: f64) -> usize {
    (cost.max(1.0).log(8.0) as usize).min(MAGNITUDES - 1)
}

/// A moving geometric mean: twice the expected time weighs as much as half of it.
fn corrected(expected: f64, seen: f64) -> f64 {
    let correction = (seen / expected).clamp(1.0 / MAX_CORRECTION, MAX_CORRECTION);
    expected * correction.powf(WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Costs = Costs { delta: 60.0, full: 20_000.0 };
    const CLOSE: Costs = Costs { delta: 30_000.0, full: 20_000.0 };

    /// Simulates `rounds` refreshes of the same costs on a machine where they take so long; the ways taken.
    fn simulate(rates: &mut Rates, costs: Costs, (delta_ms, full_ms): (f64, f64), rounds: usize) -> Vec<Way> {
        let mut ways = vec![];
        for _ in 0..rounds {
            let choice = rates.choose(costs);
            rates.measured(costs, choice, if choice.way == Way::Delta { delta_ms } else { full_ms });
            ways.push(choice.way);
        }
        ways
    }

    fn share(ways: &[Way], way: Way) -> f64 {
        ways.iter().filter(|taken| **taken == way).count() as f64 / ways.len() as f64
    }

    #[test]
    fn costs_alone_decide_at_first() {
        for rates in [Rates::default(), Rates::of(&[Some(0.2)]), Rates::of(&[Some(0.0001)])] {
            assert_eq!(rates.choose(SMALL).way, Way::Delta);
            assert_eq!(rates.choose(CLOSE).way, Way::Full);
        }
    }

    #[test]
    fn small_savings_do_not_justify_recomputing() {
        assert_eq!(Rates::default().choose(Costs { delta: 120.0, full: 15.0 }).way, Way::Delta);
    }

    #[test]
    fn an_overestimated_delta_is_corrected() {
        let mut rates = Rates::of(&[Some(0.005)]);
        let ways = simulate(&mut rates, CLOSE, (20.0, 100.0), 100);
        assert_eq!(ways[0], Way::Full);
        assert!(share(&ways[50..], Way::Delta) == 1.0, "{ways:?}");
    }

    #[test]
    fn an_overestimated_recomputation_is_corrected() {
        let mut rates = Rates::of(&[Some(0.005)]);
        let ways = simulate(&mut rates, Costs { delta: 15_000.0, full: 20_000.0 }, (75.0, 20.0), 200);
        assert_eq!(ways[0], Way::Delta);
        assert!(share(&ways[100..], Way::Full) > 0.9, "{ways:?}");
    }

    #[test]
    fn a_cost_inflated_by_dead_rows_is_measured_again() {
        let mut rates = Rates::default();
        rates.measured_full(20_000.0, 40.0);
        simulate(&mut rates, CLOSE, (60.0, 40.0), 3);
        for grown in [1.9, 3.6, 6.8] {
            let costs = Costs { delta: CLOSE.delta, full: CLOSE.full * grown };
            let ways = simulate(&mut rates, costs, (60.0, 40.0), 20);
            assert!(ways[0] == Way::Full && share(&ways, Way::Full) > 0.9, "{grown}: {ways:?}");
        }
    }

    #[test]
    fn a_recomputation_that_grew_is_corrected_at_once() {
        let mut rates = Rates::default();
        rates.measured_full(20_000.0, 40.0);
        simulate(&mut rates, CLOSE, (60.0, 40.0), 3);
        let ways = simulate(&mut rates, Costs { delta: 30_000.0, full: 50_000.0 }, (60.0, 100.0), 20);
        assert_eq!((ways[0], share(&ways[1..], Way::Delta)), (Way::Full, 1.0), "{ways:?}");
        assert_eq!(rates.choose(Costs { delta: 30_000.0, full: 5_000_000.0 }).way, Way::Delta);
    }

    #[test]
    fn measuring_again_costs_a_few_per_cent() {
        for slower in [1.2, 2.0, 3.0] {
            for (delta, full) in [(100.0, 100.0 * slower), (100.0 * slower, 100.0)] {
                let mut rates = Rates::of(&[Some(0.005)]);
                let ways = simulate(&mut rates, CLOSE, (delta, full), 1000);
                let spent: f64 = ways.iter().map(|way| if *way == Way::Delta { delta } else { full }).sum();
                assert!(spent < 1000.0 * 100.0 * 1.06, "{slower}: {spent}");
            }
        }
    }

    #[test]
    fn one_refresh_that_waited_changes_little() {
        let mut rates = Rates::of(&[Some(0.005)]);
        simulate(&mut rates, SMALL, (0.3, 100.0), 50);
        let choice = rates.choose(SMALL);
        rates.measured(SMALL, choice, 5_000.0);
        assert_eq!(rates.choose(SMALL).way, Way::Delta);
    }

    #[test]
    fn a_much_slower_delta_is_corrected_by_the_second_time() {
        let mut rates = Rates::of(&[Some(0.2)]);
        let ways = simulate(&mut rates, SMALL, (15_000.0, 4_000.0), 3);
        assert_eq!(ways, [Way::Delta, Way::Delta, Way::Full]);
        let ways = simulate(&mut rates, SMALL, (1.0, 4_000.0), 500);
        assert_eq!((ways[0], ways[499]), (Way::Full, Way::Delta), "it is measured again");
    }

    #[test]
    fn deltas_that_are_abandoned_are_tried_less_and_less() {
        let mut rates = Rates::of(&[Some(0.2)]);
        assert_eq!(attempts(&mut rates, SMALL, 4_000.0, 100), [0, 1, 3, 6, 11, 20, 37, 70]);
        assert_eq!(rates.choose(CLOSE).way, Way::Full, "by its costs");
    }

    /// Simulates refreshes of the same costs whose delta is abandoned; the rounds in which it was attempted.
    fn attempts(rates: &mut Rates, costs: Costs, full_ms: f64, rounds: usize) -> Vec<usize> {
        let mut tries = vec![];
        for round in 0..rounds {
            let choice = rates.choose(costs);
            match choice.way {
                Way::Delta => {
                    rates.abandoned(costs);
                    tries.push(round);
                }
                Way::Full => rates.measured(costs, choice, full_ms),
            }
        }
        tries
    }

    #[test]
    fn a_delta_out_of_contest_is_tried_before_it_is_believed_to_be() {
        let costs = Costs { delta: 1_600_000.0, full: 72_000.0 };
        let mut rates = Rates::of(&[Some(0.005)]);
        let ways = simulate(&mut rates, costs, (33.0, 360.0), 20);
        assert_eq!((ways[0], share(&ways[1..], Way::Delta)), (Way::Full, 1.0), "{ways:?}");
        let mut rates = Rates::of(&[Some(0.005)]);
        assert_eq!(attempts(&mut rates, costs, 360.0, 200), [1, 66, 131, 196]);
        let ways = simulate(&mut rates, costs, (2_000.0, 360.0), 300);
        assert_eq!(share(&ways[70..], Way::Full), 1.0, "once it was measured it is known");
    }

    #[test]
    fn one_abandoned_delta_leaves_the_choice_as_it_was() {
        let mut rates = Rates::of(&[Some(0.2)]);
        for _ in 0..10 {
            rates.abandoned(SMALL);
            assert_eq!(simulate(&mut rates, SMALL, (0.3, 4_000.0), 1), [Way::Delta]);
        }
    }

    #[test]
    fn rates_of_small_and_large_deltas_are_separate() {
        let mut rates = Rates::of(&[Some(0.005)]);
        simulate(&mut rates, SMALL, (6.0, 100.0), 50);
        assert!(rates.choose(CLOSE).delta_ms <= CLOSE.delta * 0.005);
        simulate(&mut rates, CLOSE, (600.0, 100.0), 50);
        assert!(rates.choose(SMALL).delta_ms < 10.0);
    }

    #[test]
    fn stored_rates_are_read_back() {
        let mut rates = Rates::default();
        rates.measured_full(1000.0, 3.0);
        simulate(&mut rates, SMALL, (0.3, 100.0), 3);
        assert_eq!(Rates::of(&rates.all()), rates);
        assert!(!rates.moved_from(&Rates::of(&rates.all())));
        assert!(rates.moved_from(&Rates::default()));
        assert_eq!(Rates::of(&[]), Rates::default());
        assert_eq!(Rates::of(&[Some(f64::NAN), Some(-1.0)]), Rates::default());
    }

    #[test]
    fn unchanged_rates_are_not_stored_again() {
        let mut rates = Rates::of(&[Some(0.005)]);
        simulate(&mut rates, SMALL, (0.3, 100.0), 20);
        let stored = rates.clone();
        simulate(&mut rates, SMALL, (0.3, 100.0), 1000);
        assert!(!rates.moved_from(&stored));
    }
}
