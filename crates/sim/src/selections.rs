//! Which objects of the bucket of numbers a query is about: every form that inputs have.
//!
//! What a key stands for follows from its name, so that the terms of an object's indexes, all but
//! one, never change: then each key that is written and not deleted is met exactly as often as its
//! selection says, whatever is written meanwhile.

use std::collections::BTreeMap;

use mapring_types::{Entropy, IndexValue};
use serde_json::{Value, json};

use crate::buckets::NUMBERS;
use crate::random::Random;
use crate::world::World;

/// A selection. Bounds may be reversed, which means the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selected {
    /// The bucket.
    Bucket,
    /// The bucket by the index `$bucket`.
    BucketIndex,
    /// By a key filter: those whose number lies between two.
    Numbered(u64, u64),
    /// By a key filter: those that end with a digit.
    Ending(u64),
    /// By a key filter: those of a writer and those that end with a digit, but for a third kind.
    Either(u64, u64),
    /// By the index `$key`: those between two names.
    Keys(String, String),
    /// By an index of numbers, positive and negative, one term an object.
    Groups(i64, i64),
    /// By an index of names.
    Writers(u64, u64),
    /// By an index of numbers with two terms an object.
    Pairs(u64, u64),
    /// By the index of the values themselves, which changes with each write.
    Values(u64, u64),
    /// By name, some more than once.
    Listed(BTreeMap<String, usize>),
    /// The same from a generator.
    Generated(BTreeMap<String, usize>),
}

/// The writer and the number in a key's name.
fn parts(key: &str) -> Option<(u64, u64)> {
    let (writer, number) = key.strip_prefix('w')?.split_once('-')?;
    Some((writer.parse().ok()?, number.parse().ok()?))
}

/// Whether the values of a key are stored as text that is no JSON.
pub(crate) fn is_odd(key: &str) -> bool {
    parts(key).is_some_and(|(_, number)| number % 5 == 0)
}

/// A value as it is stored. What is no JSON is a number to everybody else.
pub(crate) fn body(key: &str, value: u64) -> String {
    if is_odd(key) { format!("+{value}") } else { value.to_string() }
}

const GROUPS: i64 = 10;
const PAIRS: u64 = 7;
const APART: u64 = 100;

fn group(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(0) % GROUPS - GROUPS / 2
}

fn pair(number: u64) -> [u64; 2] {
    [number % PAIRS, APART + number % PAIRS]
}

/// The terms of an object.
pub(crate) fn terms(key: &str, value: u64) -> Vec<(String, IndexValue)> {
    let Some((writer, number)) = parts(key) else { return Vec::new() };
    let int = |number: String| IndexValue::Int(number);
    let mut terms = vec![
        ("group_int".to_owned(), int(group(number).to_string())),
        ("value_int".to_owned(), int(value.to_string())),
        ("writer_bin".to_owned(), IndexValue::Bin(format!("w{writer}").into())),
    ];
    terms.extend(pair(number).map(|term| ("pair_int".to_owned(), int(term.to_string()))));
    terms.sort();
    terms
}

/// Whether a number lies between bounds in either order.
fn within<T: Ord>(number: &T, one: &T, other: &T) -> bool {
    (one.min(other)..=one.max(other)).contains(&number)
}

impl Selected {
    /// One of each kind.
    pub(crate) fn all(world: &World, random: &Random) -> Vec<Self> {
        let below = |most: u64| random.below(most);
        let group = || i64::try_from(below(10)).unwrap_or(0) - GROUPS / 2;
        let key = || format!("w{}-{}", 1 + below(3), 1 + below(100));
        let values = world.values_so_far();
        let groups = group();
        let writer = 1 + below(3);
        let equal = random.per_mille(300);
        vec![
            Self::Bucket,
            Self::BucketIndex,
            Self::Numbered(below(150), below(150)),
            Self::Ending(below(10)),
            Self::Either(1 + below(3), below(10)),
            Self::Keys(key(), key()),
            Self::Groups(groups, if equal { groups } else { group() }),
            Self::Writers(writer, if equal { writer } else { 1 + below(3) }),
            Self::Pairs(below(APART + PAIRS), below(APART + PAIRS)),
            Self::Values(random.within(0..values), random.within(0..values)),
            Self::Listed(world.some_keys(random)),
            Self::Generated(world.some_keys(random)),
        ]
    }

    /// How often an object with a key is met while it exists; of [`Self::Values`], where it is of
    /// it.
    pub(crate) fn times(&self, key: &str) -> usize {
        if let Self::Listed(keys) | Self::Generated(keys) = self {
            return keys.get(key).copied().unwrap_or(0);
        }
        let Some((writer, number)) = parts(key) else { return 0 };
        let one_if = usize::from;
        match self {
            Self::Bucket | Self::BucketIndex | Self::Values(..) => 1,
            Self::Numbered(one, other) => one_if(within(&number, one, other)),
            Self::Ending(digit) => one_if(number % 10 == *digit),
            Self::Either(of, digit) => {
                one_if((writer == *of || number % 10 == *digit) && !key.ends_with("-1"))
            }
            Self::Keys(one, other) => one_if(within(&key, &one.as_str(), &other.as_str())),
            Self::Groups(one, other) => one_if(within(&group(number), one, other)),
            Self::Writers(one, other) => one_if(within(&writer, one, other)),
            Self::Pairs(one, other) => {
                pair(number).iter().filter(|term| within(*term, one, other)).count()
            }
            Self::Listed(_) | Self::Generated(_) => 0,
        }
    }

    /// The names of a list, in order, as often as they are in it.
    pub(crate) fn list(&self) -> Option<Vec<String>> {
        let (Self::Listed(keys) | Self::Generated(keys)) = self else { return None };
        let each = keys.iter().flat_map(|(key, &times)| std::iter::repeat_n(key.clone(), times));
        Some(each.collect())
    }

    /// The member `inputs` of a query.
    pub(crate) fn inputs(&self) -> Value {
        let list = || {
            let names = self.list().unwrap_or_default();
            names.iter().map(|key| json!([NUMBERS, key])).collect::<Value>()
        };
        match self {
            Self::Bucket => json!(NUMBERS),
            Self::BucketIndex => index(NUMBERS, "$bucket", json!(NUMBERS), json!(NUMBERS)),
            Self::Numbered(one, other) => {
                let (from, to) = (one.min(other), one.max(other));
                filtered(
                    NUMBERS,
                    json!([["tokenize", "-", 2], ["string_to_int"], ["between", from, to]]),
                )
            }
            Self::Ending(digit) => filtered(NUMBERS, json!([["ends_with", digit.to_string()]])),
            Self::Either(writer, digit) => {
                let of = json!([["starts_with", format!("w{writer}-")]]);
                let ending = json!([["ends_with", digit.to_string()]]);
                filtered(
                    NUMBERS,
                    json!([["and", [["or", of, ending]], [["not", [["ends_with", "-1"]]]]]]),
                )
            }
            Self::Keys(one, other) => index(NUMBERS, "$key", json!(one), json!(other)),
            Self::Groups(one, other) => index(NUMBERS, "group_int", json!(one), json!(other)),
            Self::Writers(one, other) => {
                index(NUMBERS, "writer_bin", json!(format!("w{one}")), json!(format!("w{other}")))
            }
            Self::Pairs(one, other) => index(NUMBERS, "pair_int", json!(one), json!(other)),
            // As text, which an index of numbers takes too.
            Self::Values(one, other) => {
                index(NUMBERS, "value_int", json!(one.to_string()), json!(other.to_string()))
            }
            Self::Listed(_) => list(),
            Self::Generated(_) => {
                json!({"module": "mapring", "function": "list", "arg": list()})
            }
        }
    }
}

/// Inputs by key filters.
pub(crate) fn filtered(bucket: &str, filters: Value) -> Value {
    json!({"bucket": bucket, "key_filters": filters})
}

/// Inputs by an index, from one term to another.
pub(crate) fn index(bucket: &str, field: &str, from: Value, to: Value) -> Value {
    if from == to {
        json!({"bucket": bucket, "index": field, "key": from})
    } else {
        json!({"bucket": bucket, "index": field, "start": from, "end": to})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selected: &Selected, key: &str, times: usize) {
        assert_eq!(selected.times(key), times, "{selected:?} of {key}");
    }

    #[test]
    fn keys_are_selected_by_name() {
        let key = "w2-17";
        check(&Selected::Bucket, key, 1);
        check(&Selected::Numbered(20, 17), key, 1);
        check(&Selected::Numbered(18, 20), key, 0);
        check(&Selected::Ending(7), key, 1);
        check(&Selected::Either(1, 7), key, 1);
        check(&Selected::Either(1, 6), key, 0);
        check(&Selected::Either(2, 6), "w2-1", 0);
        check(&Selected::Keys("w2-2".into(), "w2-1".into()), key, 1);
        check(&Selected::Keys("w2-2".into(), "w2-3".into()), key, 0);
        check(&Selected::Groups(5, 2), key, 1);
        check(&Selected::Groups(-5, 1), key, 0);
        check(&Selected::Writers(1, 2), key, 1);
        check(&Selected::Pairs(3, 103), key, 2);
        check(&Selected::Pairs(4, 103), key, 1);
        check(&Selected::Pairs(4, 102), key, 0);
        let listed = Selected::Listed([(key.to_owned(), 2)].into());
        check(&listed, key, 2);
        check(&listed, "w2-1", 0);
        assert_eq!(listed.list().map(|keys| keys.len()), Some(2));
    }

    #[test]
    fn terms_are_sorted_and_tell_what_is_selected() {
        let shown: Vec<String> = terms("w2-17", 1234)
            .into_iter()
            .map(|(field, term)| format!("{field}={}", String::from_utf8_lossy(term.as_bytes())))
            .collect();
        let expect =
            ["group_int=2", "pair_int=3", "pair_int=103", "value_int=1234", "writer_bin=w2"];
        assert_eq!(shown, expect);
        assert!(is_odd("w1-10") && !is_odd("w1-9"));
        assert_eq!(body("w1-10", 7).parse(), Ok(7));
    }
}
