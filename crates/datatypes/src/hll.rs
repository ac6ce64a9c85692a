//! HyperLogLog: how many distinct texts were added, nearly, in little memory (Flajolet et al., 2007).
//!
//! The estimate is Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches", 2017): it
//! needs no tables and holds from 0 up. Its standard error is about 1.04 / √(2^precision). Texts are
//! hashed with SHA-1, of which the first 64 bits count: replicas and releases must hash alike for ever.

use sha1::{Digest, Sha1};

use crate::limits;

/// See the module. A register for each value of the first `precision` bits of a hash: the most zeros in a
/// row that began the rest of one, plus one; 0 where none came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hll {
    precision: u8,
    registers: Vec<u8>,
}

impl Hll {
    /// One that nothing was added to. `precision` is cut to what there may be.
    pub fn new(precision: u8) -> Self {
        let precision = precision.clamp(*limits::PRECISION.start(), *limits::PRECISION.end());
        Self { precision, registers: vec![0; 1 << precision] }
    }

    /// One with these registers; `None` where they do not fit.
    pub(crate) fn from_registers(precision: u8, registers: Vec<u8>) -> Option<Self> {
        let fits = limits::PRECISION.contains(&precision)
            && registers.len() == 1 << precision
            && registers.iter().all(|rank| *rank <= highest(precision));
        fits.then_some(Self { precision, registers })
    }

    /// Its precision.
    pub fn precision(&self) -> u8 {
        self.precision
    }

    pub(crate) fn registers(&self) -> &[u8] {
        &self.registers
    }

    /// Adds a text.
    pub fn add(&mut self, text: &[u8]) {
        let digest = Sha1::digest(text);
        let hash = digest[..8].iter().fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
        let at = usize::try_from(hash >> (64 - self.precision)).unwrap_or(0);
        let rest = hash << self.precision;
        let zeros = u8::try_from(rest.leading_zeros()).unwrap_or(u8::MAX);
        let rank = zeros.saturating_add(1).min(highest(self.precision));
        self.registers[at] = self.registers[at].max(rank);
    }

    /// Joins another one. Of two precisions the lower one holds.
    pub fn merge(&mut self, other: &Self) {
        self.reduce(other.precision);
        let mut other = other.clone();
        other.reduce(self.precision);
        for (mine, there) in self.registers.iter_mut().zip(&other.registers) {
            *mine = (*mine).max(*there);
        }
    }

    /// What it would be, had all been added with a lower precision.
    pub fn reduce(&mut self, precision: u8) {
        if precision >= self.precision || !limits::PRECISION.contains(&precision) {
            return;
        }
        let fewer = self.precision - precision;
        let mut reduced = Self::new(precision);
        for (at, &rank) in self.registers.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            // The bits that chose among the registers which are one now begin the rest of the hash.
            let moved = at & ((1 << fewer) - 1);
            let rank = match moved {
                0 => fewer + rank,
                moved => {
                    let bits = usize::BITS - moved.leading_zeros();
                    fewer - u8::try_from(bits).unwrap_or(fewer) + 1
                }
            };
            let register = &mut reduced.registers[at >> fewer];
            *register = (*register).max(rank.min(highest(precision)));
        }
        *self = reduced;
    }

    /// About how many distinct texts were added.
    #[expect(clippy::cast_precision_loss, reason = "at most 65,536 registers")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 0, rounded"
    )]
    pub fn estimate(&self) -> u64 {
        let highest = usize::from(highest(self.precision));
        let mut counts = vec![0usize; highest + 1];
        self.registers.iter().for_each(|rank| counts[usize::from(*rank)] += 1);
        let all = self.registers.len() as f64;
        let mut sum = all * tau(1.0 - counts[highest] as f64 / all);
        for count in counts[1..highest].iter().rev() {
            sum = 0.5 * (sum + *count as f64);
        }
        sum += all * sigma(counts[0] as f64 / all);
        (all * all / (2.0 * std::f64::consts::LN_2 * sum)).round() as u64
    }
}

/// The highest rank: all bits after those that choose the register are zeros.
fn highest(precision: u8) -> u8 {
    64 - precision + 1
}

/// What registers without any hash add, by their share.
fn sigma(mut share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut factor, mut sum) = (1.0, share);
    loop {
        share *= share;
        let before = sum;
        sum += share * factor;
        factor += factor;
        if sum <= before {
            return sum;
        }
    }
}

/// What registers of the highest rank add, by the share of the others.
fn tau(mut share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - share);
    loop {
        share = share.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - share) * (1.0 - share) * factor;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(precision: u8, texts: std::ops::Range<u64>) -> Hll {
        let mut hll = Hll::new(precision);
        texts.for_each(|text| hll.add(&text.to_le_bytes()));
        hll
    }

    #[test]
    fn estimates_are_within_four_standard_errors() {
        for precision in limits::PRECISION {
            let error = 1.04 / f64::from(1u32 << precision).sqrt();
            for count in [1u64, 10, 100, 1_000, 10_000, 100_000] {
                let estimate = filled(precision, 0..count).estimate();
                let off = (estimate as f64 - count as f64).abs();
                let most = 4.0 * error * count as f64 + 1.0;
                assert!(off <= most, "precision {precision}: {estimate} of {count}");
            }
            assert_eq!(Hll::new(precision).estimate(), 0);
        }
    }

    #[test]
    fn what_is_added_again_does_not_count() {
        let mut hll = filled(14, 0..1_000);
        let once = hll.clone();
        (0..1_000u64).for_each(|text| hll.add(&text.to_le_bytes()));
        assert_eq!(hll, once);
    }

    #[test]
    fn a_lower_precision_is_as_if_it_had_been_so_always() {
        for precision in limits::PRECISION {
            for lower in *limits::PRECISION.start()..=precision {
                let mut reduced = filled(precision, 0..3_000);
                reduced.reduce(lower);
                assert_eq!(reduced, filled(lower, 0..3_000), "{precision} to {lower}");
            }
        }
    }

    #[test]
    fn merging_is_adding_all() {
        for (one, two) in [(14, 14), (12, 14), (14, 12), (4, 16)] {
            let (mut left, right) = (filled(one, 0..700), filled(two, 500..2_000));
            left.merge(&right);
            assert_eq!(left, filled(one.min(two), 0..2_000));
        }
    }
}
