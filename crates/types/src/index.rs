//! Terms of secondary indexes.

use std::cmp::Ordering;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A secondary-index value: of a `_bin` field bytes, of an `_int` field a number of any size kept
/// as its decimal text.
///
/// Ordered as Riak answers index queries: numbers by their value, and before all bytes; bytes
/// bytewise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IndexValue {
    /// An `_int` term: canonical decimal text, such as `-12`. Other text is kept as it is, and
    /// ordered as if what follows the sign were the digits of a number.
    Int(String),
    /// A `_bin` term.
    Bin(Bytes),
}

impl IndexValue {
    /// The term of an `_int` field that a text stands for: a whole number of any size.
    pub fn int(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::Int(match digits.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => format!("{sign}{digits}"),
        }))
    }

    /// The bytes of the term: a number's text.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Int(text) => text.as_bytes(),
            Self::Bin(bytes) => bytes,
        }
    }
}

impl Ord for IndexValue {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of two numbers without leading zeros the longer one is the greater.
        let magnitude = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        match (self, other) {
            (Self::Bin(left), Self::Bin(right)) => left.cmp(right),
            (Self::Int(_), Self::Bin(_)) => Ordering::Less,
            (Self::Bin(_), Self::Int(_)) => Ordering::Greater,
            (Self::Int(left), Self::Int(right)) => {
                match (left.strip_prefix('-'), right.strip_prefix('-')) {
                    (None, None) => magnitude(left, right),
                    (Some(left), Some(right)) => magnitude(right, left),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                }
            }
        }
    }
}

impl PartialOrd for IndexValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn int(text: impl Into<String>) -> IndexValue {
        IndexValue::Int(text.into())
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_by_value(left: i128, right: i128, small: (i8, i8)) {
            for (left, right) in [(left, right), (small.0.into(), small.1.into())] {
                prop_assert_eq!(int(left.to_string()).cmp(&int(right.to_string())), left.cmp(&right));
            }
        }

        #[test]
        fn equal_in_order_is_equal(left in "-?[0-9]{0,3}", right in "-?[0-9]{0,3}") {
            let (left, right) = (int(left), int(right));
            prop_assert_eq!(left.cmp(&right) == Ordering::Equal, left == right);
        }
    }

    #[test]
    fn numbers_of_any_size_have_their_order() {
        let digits = |count: usize| "9".repeat(count);
        let ordered = [
            int(format!("-1{}", "0".repeat(500))),
            int(format!("-{}", digits(500))),
            int("-1"),
            int("0"),
            int("5"),
            int("10"),
            int(digits(500)),
            int(format!("1{}", "0".repeat(500))),
            IndexValue::Bin(Bytes::new()),
            IndexValue::Bin("1".into()),
            IndexValue::Bin("a".into()),
        ];
        assert!(ordered.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
