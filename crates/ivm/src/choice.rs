//! Whether a refresh follows the changes or recomputes: what the planner thinks each costs, corrected by
//! what they took before.
//!
//! A cost is in the planner's units, a rate is milliseconds per unit. Recomputing has one rate: it does
//! the same work every time. A delta's plan is another one for a few rows (index probes, which the planner
//! holds to be dear) than for many (scans, hashes), so it has a rate for each magnitude of its cost.
//! **Law:** until something was measured the costs alone decide, and a tie goes to the delta.

/// What the planner thinks of the two ways of one refresh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    pub delta: f64,
    pub full: f64,
}

/// What running a statement and what writing a row cost: the planner compares plans, and leaves out what
/// they have in common.
pub const STATEMENT: f64 = 10.0;
pub const WRITE: f64 = 1.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Delta,
    Full,
}

/// The way to go, and the milliseconds that each is expected to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    pub way: Way,
    pub delta_ms: f64,
    pub full_ms: f64,
}

/// What refreshes of one stream table took, in milliseconds per unit of cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    full: Option<f64>,
    delta: [Option<f64>; MAGNITUDES],
    /// The largest cost at which recomputing was measured.
    measured: Option<f64>,
    /// The last refresh followed the changes for longer than recomputing was expected to take.
    regretted: bool,
}

/// Magnitudes of a delta's cost, a factor of eight each; the last one is open.
const MAGNITUDES: usize = 8;
/// A server with everything in memory, when nothing is known yet.
const DEFAULT: f64 = 0.005;
/// What recomputing must promise to save, in cost: estimates are no better, and planning costs as much.
const DOUBT: f64 = 200.0;
/// How much a measurement counts, and how far from the expected it may lie to be taken at its word: one
/// refresh that waited for a disk says little of the next.
const WEIGHT: f64 = 0.5;
const SURPRISE: f64 = 3.0;
/// Where the two are within this factor of each other, the way not taken gets a little cheaper with each
/// refresh: what was believed of it is looked at again now and then. That costs a few per cent at most.
const CONTEST: f64 = 4.0;
const FADING: f64 = 0.99;
/// What is remembered of rates must not be further off than this.
const NOTABLE: f64 = 1.2;

impl Rates {
    pub fn choose(&self, costs: Costs) -> Choice {
        let (delta_ms, full_ms) = (costs.delta * self.of_delta(costs.delta), self.full_ms(costs.full));
        let way = if delta_ms > full_ms + DOUBT * self.of_full() { Way::Full } else { Way::Delta };
        Choice { way, delta_ms, full_ms }
    }

    /// Learns from a refresh that went the way it was told to and took `ms`.
    pub fn learn(&mut self, costs: Costs, choice: Choice, ms: f64) {
        let ratio = choice.delta_ms / choice.full_ms;
        let contested = ratio < CONTEST && ratio > 1.0 / CONTEST;
        let (at, delta) = (magnitude(costs.delta), self.of_delta(costs.delta));
        match choice.way {
            Way::Delta => {
                let (seen, regret) = (ms / costs.delta, ms > choice.full_ms);
                // Twice in a row is no accident: taken at its word, as far as it is still looked at again.
                let most = CONTEST * FADING * choice.full_ms / costs.delta;
                let twice = regret && self.regretted;
                self.regretted = regret;
                self.delta[at] = Some(if twice { seen.min(most) } else { corrected(delta, seen) });
                self.full = self.full.map(|full| if contested { full * FADING } else { full });
            }
            Way::Full => {
                self.learn_full(costs.full, ms);
                if contested {
                    self.delta[at] = Some(delta * FADING);
                }
            }
        }
    }

    /// Learns from recomputing, for whatever reason. What lies between what was expected and what the cost alone
    /// would make of it is taken at its word.
    pub fn learn_full(&mut self, cost: f64, ms: f64) {
        let seen = ms / cost;
        let known = self.full.map(|full| seen.max(self.full_ms(cost) / cost).min(full));
        self.full = Some(known.map_or(seen, |known| corrected(known, seen)));
        self.measured = Some(self.measured.map_or(cost, |measured| measured.max(cost)));
    }

    /// What recomputing is expected to take. A cost beyond those that were measured may be due to dead rows, which the
    /// planner takes for live ones: it counts when it is out of contest, or was measured.
    fn full_ms(&self, cost: f64) -> f64 {
        let measured = self.measured.filter(|measured| (*measured..CONTEST * measured).contains(&cost));
        measured.unwrap_or(cost) * self.of_full()
    }

    fn of_full(&self) -> f64 {
        self.full.unwrap_or(DEFAULT)
    }

    /// The rate of a delta of this cost. Without one, that of the next larger magnitude; else recomputing's,
    /// unless a smaller magnitude has a better one: the small pay most for what is fixed.
    fn of_delta(&self, cost: f64) -> f64 {
        let (below, above) = self.delta.split_at(magnitude(cost));
        let smaller = || below.iter().rev().flatten().next().map_or(self.of_full(), |rate| rate.min(self.of_full()));
        above.iter().flatten().next().copied().unwrap_or_else(smaller)
    }

    /// Whether this differs from what was stored so much that it is worth a write.
    pub fn moved_from(&self, stored: &Rates) -> bool {
        let moved = |(now, then): (&Option<f64>, &Option<f64>)| match (now, then) {
            (Some(now), Some(then)) => (now / then).max(then / now) > NOTABLE,
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

/// A mean in which the past fades, of logarithms: twice too much weighs as half too much.
fn corrected(expected: f64, seen: f64) -> f64 {
    let surprise = (seen / expected).clamp(1.0 / SURPRISE, SURPRISE);
    expected * surprise.powf(WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Costs = Costs { delta: 60.0, full: 20_000.0 };
    const CLOSE: Costs = Costs { delta: 30_000.0, full: 20_000.0 };

    /// Plays `rounds` refreshes of the same costs on a machine where they take so long; the ways taken.
    fn play(rates: &mut Rates, costs: Costs, (delta_ms, full_ms): (f64, f64), rounds: usize) -> Vec<Way> {
        let mut ways = vec![];
        for _ in 0..rounds {
            let choice = rates.choose(costs);
            rates.learn(costs, choice, if choice.way == Way::Delta { delta_ms } else { full_ms });
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
    fn little_to_save_is_not_worth_the_doubt() {
        assert_eq!(Rates::default().choose(Costs { delta: 120.0, full: 15.0 }).way, Way::Delta);
    }

    #[test]
    fn a_delta_that_the_planner_thinks_too_dear_is_found_out() {
        let mut rates = Rates::of(&[Some(0.005)]);
        let ways = play(&mut rates, CLOSE, (20.0, 100.0), 100);
        assert_eq!(ways[0], Way::Full);
        assert!(share(&ways[50..], Way::Delta) == 1.0, "{ways:?}");
    }

    #[test]
    fn a_recomputation_that_the_planner_thinks_too_dear_is_found_out() {
        let mut rates = Rates::of(&[Some(0.005)]);
        let ways = play(&mut rates, Costs { delta: 15_000.0, full: 20_000.0 }, (75.0, 20.0), 200);
        assert_eq!(ways[0], Way::Delta);
        assert!(share(&ways[100..], Way::Full) > 0.9, "{ways:?}");
    }

    #[test]
    fn a_recomputation_that_dead_rows_make_look_dear_is_measured_again() {
        let mut rates = Rates::default();
        rates.learn_full(20_000.0, 40.0);
        play(&mut rates, CLOSE, (60.0, 40.0), 3);
        for grown in [1.9, 3.6, 6.8] {
            let costs = Costs { delta: CLOSE.delta, full: CLOSE.full * grown };
            let ways = play(&mut rates, costs, (60.0, 40.0), 20);
            assert!(ways[0] == Way::Full && share(&ways, Way::Full) > 0.9, "{grown}: {ways:?}");
        }
    }

    #[test]
    fn a_recomputation_that_did_grow_is_found_out_at_once() {
        let mut rates = Rates::default();
        rates.learn_full(20_000.0, 40.0);
        play(&mut rates, CLOSE, (60.0, 40.0), 3);
        let ways = play(&mut rates, Costs { delta: 30_000.0, full: 50_000.0 }, (60.0, 100.0), 20);
        assert_eq!((ways[0], share(&ways[1..], Way::Delta)), (Way::Full, 1.0), "{ways:?}");
        assert_eq!(rates.choose(Costs { delta: 30_000.0, full: 5_000_000.0 }).way, Way::Delta);
    }

    #[test]
    fn looking_again_costs_a_few_per_cent() {
        for slower in [1.2, 2.0, 3.0] {
            for (delta, full) in [(100.0, 100.0 * slower), (100.0 * slower, 100.0)] {
                let mut rates = Rates::of(&[Some(0.005)]);
                let ways = play(&mut rates, CLOSE, (delta, full), 1000);
                let spent: f64 = ways.iter().map(|way| if *way == Way::Delta { delta } else { full }).sum();
                assert!(spent < 1000.0 * 100.0 * 1.06, "{slower}: {spent}");
            }
        }
    }

    #[test]
    fn one_refresh_that_waited_changes_little() {
        let mut rates = Rates::of(&[Some(0.005)]);
        play(&mut rates, SMALL, (0.3, 100.0), 50);
        let choice = rates.choose(SMALL);
        rates.learn(SMALL, choice, 5_000.0);
        assert_eq!(rates.choose(SMALL).way, Way::Delta);
    }

    #[test]
    fn a_delta_that_is_slower_by_far_is_found_out_by_the_second_time() {
        let mut rates = Rates::of(&[Some(0.2)]);
        let ways = play(&mut rates, SMALL, (15_000.0, 4_000.0), 3);
        assert_eq!(ways, [Way::Delta, Way::Delta, Way::Full]);
        let ways = play(&mut rates, SMALL, (1.0, 4_000.0), 500);
        assert_eq!((ways[0], ways[499]), (Way::Full, Way::Delta), "it is looked at again");
    }

    #[test]
    fn a_small_delta_says_nothing_of_a_large_one() {
        let mut rates = Rates::of(&[Some(0.005)]);
        play(&mut rates, SMALL, (6.0, 100.0), 50);
        assert!(rates.choose(CLOSE).delta_ms <= CLOSE.delta * 0.005);
        play(&mut rates, CLOSE, (600.0, 100.0), 50);
        assert!(rates.choose(SMALL).delta_ms < 10.0);
    }

    #[test]
    fn what_is_stored_comes_back() {
        let mut rates = Rates::default();
        rates.learn_full(1000.0, 3.0);
        play(&mut rates, SMALL, (0.3, 100.0), 3);
        assert_eq!(Rates::of(&rates.all()), rates);
        assert!(!rates.moved_from(&Rates::of(&rates.all())));
        assert!(rates.moved_from(&Rates::default()));
        assert_eq!(Rates::of(&[]), Rates::default());
        assert_eq!(Rates::of(&[Some(f64::NAN), Some(-1.0)]), Rates::default());
    }

    #[test]
    fn steady_refreshes_are_not_written_down_again() {
        let mut rates = Rates::of(&[Some(0.005)]);
        play(&mut rates, SMALL, (0.3, 100.0), 20);
        let stored = rates.clone();
        play(&mut rates, SMALL, (0.3, 100.0), 1000);
        assert!(!rates.moved_from(&stored));
    }
}
