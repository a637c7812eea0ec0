//! Chance that a seed reproduces.

/// A small random source (splitmix64): the same seed gives the same day.
pub struct Dice(pub u64);

impl Dice {
    /// A number from 0 to `sides - 1`.
    pub fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // The high half scaled down: below `sides`, so it fits.
        (((bits >> 32) * u64::from(sides)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn dice_show_every_side() {
        let mut dice = Dice(1);
        let seen: HashSet<u32> = (0..1000).map(|_| dice.roll(6)).collect();
        assert_eq!(seen, (0..6).collect());
    }
}
