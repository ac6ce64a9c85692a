//! Numbers from a seed, the same on every machine and with every version of every library.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::Entropy;

/// A generator (splitmix64; Steele, Lea, Flood, 2014).
#[derive(Debug)]
pub struct Random(AtomicU64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A generator of its own for some part: what one part takes does not change what others get.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::new(self.next_u64())
    }

    /// A number of the range, its beginning when the range is empty.
    pub fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// True so many times in a thousand.
    pub fn per_mille(&self, times: u64) -> bool {
        self.below(1_000) < times
    }

    /// One of the items.
    pub fn choose<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or(0))
    }
}

impl Entropy for Random {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_generator() {
        let random = Random::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers, published);
    }

    #[test]
    fn ranges_are_kept() {
        let random = Random::new(1);
        assert!((0..1_000).all(|_| (3..5).contains(&random.within(3..5))));
        assert_eq!(random.within(7..7), 7);
        assert_eq!(random.choose::<u8>(&[]), None);
    }
}
