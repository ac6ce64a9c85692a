//! Items that no root holds: random texts and numbers, ranges, and lists that were given.

use serde::{Deserialize, Serialize};

use crate::documents::quoted;
use crate::error::FormatError;
use crate::limits;

/// Items by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generator {
    /// Texts of lower-case letters: character j of text i is output number i · `length` + j of
    /// SplitMix64 under `seed`, modulo 26.
    Texts {
        /// How many.
        count: u64,
        /// Their length.
        length: u32,
        /// What they follow from; from the seed that a caller has when it is not given.
        seed: Option<u64>,
    },
    /// Whole numbers from `min` to `max`: number i is output number i of SplitMix64 under `seed`, modulo
    /// how many there are.
    Numbers {
        /// How many.
        count: u64,
        /// The least.
        min: i64,
        /// The largest.
        max: i64,
        /// What they follow from; from the seed that a caller has when it is not given.
        seed: Option<u64>,
    },
    /// `start`, `start + step`, … as far as they lie before `end`.
    Range {
        /// The first.
        start: i64,
        /// What they do not reach.
        end: i64,
        /// How far they lie from each other; not 0.
        step: i64,
    },
    /// JSON values.
    Items(Vec<String>),
}

/// A generated item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Its text: of a JSON text what it says, of other JSON values the JSON.
    pub text: String,
    /// Whether the text is JSON.
    pub is_json: bool,
    /// The item as a JSON value.
    pub json: String,
}

impl Generator {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Texts { .. } | Self::Numbers { .. } => "random",
            Self::Range { .. } => "range",
            Self::Items(_) => "items",
        }
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// Which member is wrong.
    pub fn check(&self) -> Result<(), FormatError> {
        let refuse = |field, message: String| Err(FormatError::new(field, message));
        match self {
            Self::Texts { length, .. }
                if *length == 0 || *length as usize > limits::BUFFER_BYTES =>
            {
                let most = limits::BUFFER_BYTES;
                refuse("string_length", format!("it is a whole number from 1 to {most}"))
            }
            Self::Numbers { min, max, .. } if min > max => {
                refuse("max", "it is not below \"min\"".to_owned())
            }
            Self::Range { step: 0, .. } => refuse("step", "it is not 0".to_owned()),
            _ if self.count() > limits::GENERATED => {
                refuse("count", format!("there are at most {} items", limits::GENERATED))
            }
            _ => Ok(()),
        }
    }

    /// How many items there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Texts { count, .. } | Self::Numbers { count, .. } => *count,
            Self::Range { start, end, step } => {
                let (reach, step) = (i128::from(*end) - i128::from(*start), i128::from(*step));
                if step == 0 || reach.signum() != step.signum() {
                    return 0;
                }
                let count = (reach.abs() + step.abs() - 1) / step.abs();
                u64::try_from(count).unwrap_or(u64::MAX)
            }
            Self::Items(items) => items.len() as u64,
        }
    }

    /// An item, by its number below the count; `None` beyond. Where no seed is given, `own` is one.
    pub fn item(&self, number: u64, own: u64) -> Option<Generated> {
        if number >= self.count() {
            return None;
        }
        Some(match self {
            Self::Texts { length, seed, .. } => {
                let first = number.wrapping_mul(u64::from(*length));
                let letter = |at: u32| {
                    let output = splitmix(seed.unwrap_or(own), first.wrapping_add(u64::from(at)));
                    // Below 26.
                    char::from(b'a' + u8::try_from(output % 26).unwrap_or(0))
                };
                Generated::text((0..*length).map(letter).collect())
            }
            Self::Numbers { min, max, seed, .. } => {
                let width = u128::from(max.abs_diff(*min)) + 1;
                let off = u128::from(splitmix(seed.unwrap_or(own), number)) % width;
                let value = i128::from(*min) + i128::try_from(off).unwrap_or(0);
                Generated::json(value.to_string())
            }
            Self::Range { start, step, .. } => {
                let value = i128::from(*start) + i128::from(*step) * i128::from(number);
                Generated::json(value.to_string())
            }
            Self::Items(items) => {
                let item = items.get(usize::try_from(number).ok()?)?;
                match serde_json::from_str::<String>(item) {
                    Ok(text) => Generated { text, is_json: false, json: item.clone() },
                    Err(_) => Generated::json(item.clone()),
                }
            }
        })
    }
}

impl Generated {
    fn text(text: String) -> Self {
        let json = quoted(&text);
        Self { text, is_json: false, json }
    }

    fn json(json: String) -> Self {
        Self { text: json.clone(), is_json: true, json }
    }
}

/// Output number `number`, from 0, of SplitMix64 (Steele, Lea and Flood, 2014) under a seed.
pub fn splitmix(seed: u64, number: u64) -> u64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = seed.wrapping_add(GAMMA.wrapping_mul(number.wrapping_add(1)));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(generator: &Generator, expect: &[&str]) {
        let items = (0..).map_while(|number| generator.item(number, 1));
        let items: Vec<String> = items.map(|item| item.text).collect();
        assert_eq!(items, expect);
        assert_eq!(generator.count(), expect.len() as u64);
        assert_eq!(generator.check(), Ok(()));
    }

    fn range(start: i64, end: i64, step: i64) -> Generator {
        Generator::Range { start, end, step }
    }

    #[test]
    fn random_texts_follow_from_their_seed() {
        let texts = Generator::Texts { count: 5, length: 3, seed: None };
        check(&texts, &["tto", "dfc", "rly", "she", "yyi"]);
    }

    #[test]
    fn random_numbers_stay_within_their_bounds() {
        let (min, max) = (-2, 2);
        let numbers = Generator::Numbers { count: 200, min, max, seed: Some(7) };
        let value = |number| numbers.item(number, 0).unwrap().text.parse::<i64>().unwrap();
        let found: std::collections::BTreeSet<i64> = (0..200).map(value).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
        let all = Generator::Numbers { count: 3, min: i64::MIN, max: i64::MAX, seed: Some(7) };
        assert!((0..3).all(|number| all.item(number, 0).is_some()));
    }

    #[test]
    fn ranges() {
        check(&range(0, 3, 1), &["0", "1", "2"]);
        check(&range(5, 0, -2), &["5", "3", "1"]);
        check(&range(0, 5, 2), &["0", "2", "4"]);
        check(&range(3, 3, 1), &[]);
        check(&range(3, 0, 1), &[]);
        assert!(range(0, 1, 0).check().is_err());
        assert_eq!(range(i64::MIN, i64::MAX, 1).count(), u64::MAX);
        assert!(range(i64::MIN, i64::MAX, 1).check().is_err());
    }

    #[test]
    fn given_items() {
        let items = ["\"x\"", "{\"a\":1}", "[1,2]"].map(str::to_owned).to_vec();
        check(&Generator::Items(items), &["x", "{\"a\":1}", "[1,2]"]);
    }
}
