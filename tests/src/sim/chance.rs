//! Chance: every draw of a run comes from its seed, by a stream of its own for each purpose, so
//! that one more draw in one place does not change what another place sees.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// One stream of chance.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of a seed for a purpose.
    #[must_use]
    pub fn of(seed: u64, purpose: &'static str) -> Self {
        let mut hasher = crypto::Hasher::new("quorate/sim/chance");
        hasher.number(seed).bytes(purpose.as_bytes());
        Self(ChaCha8Rng::from_seed(hasher.finish().0))
    }
    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// 32 bytes: a seed for somebody else's generator.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
    /// Below `end`; 0 if that is 0. The bias is below 2^-32 for all ends in use.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.number() % end }
    }
    /// Between both, included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }
    /// An index of a list of this length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
    /// True this often in a million.
    pub fn per_million(&mut self, rate: u32) -> bool {
        rate > 0 && self.below(1_000_000) < u64::from(rate)
    }
    /// True once in `n`; never if `n` is 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }
    /// One of these.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }
    /// Exponentially distributed with this mean, at most 16 times as long.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        let unit = (self.number() >> 11) as f64 / (1u64 << 53) as f64;
        // ln and its rounding are the same on every platform that runs the simulator twice; the
        // trace is compared within one build only.
        let drawn = -(1.0 - unit).ln() * mean as f64;
        (drawn as u64).min(mean.saturating_mul(16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_repeats_and_differs_from_its_neighbours() {
        let draw = |seed, purpose| {
            let mut chance = Chance::of(seed, purpose);
            (0..4).map(|_| chance.number()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "network"), draw(7, "network"));
        assert_ne!(draw(7, "network"), draw(8, "network"));
        assert_ne!(draw(7, "network"), draw(7, "disk"));
    }

    #[test]
    fn bounds_hold() {
        let mut chance = Chance::of(1, "bounds");
        for _ in 0..10_000 {
            assert!((3..=5).contains(&chance.between(3, 5)));
            assert!(chance.exponential(10) <= 160);
        }
        assert_eq!(chance.below(0), 0);
    }
}
