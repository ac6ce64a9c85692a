//! Erlang's numbers: integers of any size, floats, their order and their texts.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An integer that an `i64` cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Big {
    negative: bool,
    /// Decimal, without leading zeros.
    digits: Box<str>,
}

/// An integer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Integer {
    Small(i64),
    /// Never what `Small` could hold.
    Big(Big),
}

impl Integer {
    /// Reads what Erlang's `list_to_integer` reads: digits, a sign before them if any.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        if digits.len() <= 18 {
            let value = digits.iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
            return Some(Self::Small(if negative { -value } else { value }));
        }
        // All bytes are ASCII: the text and its parts are UTF-8.
        let text = std::str::from_utf8(text).ok()?;
        if let Ok(value) = text.parse() {
            return Some(Self::Small(value));
        }
        let digits = text.trim_start_matches(['-', '+']).trim_start_matches('0').into();
        Some(Self::Big(Big { negative, digits }))
    }

    fn negative(&self) -> bool {
        match self {
            Self::Small(value) => *value < 0,
            Self::Big(big) => big.negative,
        }
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small(value) => value.fmt(f),
            Self::Big(big) if big.negative => write!(f, "-{}", big.digits),
            Self::Big(big) => f.write_str(&big.digits),
        }
    }
}

impl Ord for Integer {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Small(a), Self::Small(b)) => a.cmp(b),
            (Self::Big(a), Self::Big(b)) if a.negative == b.negative => {
                let size = by_size(&a.digits, &b.digits);
                if a.negative { size.reverse() } else { size }
            }
            // A big one lies beyond all small ones, and one below zero before one above it.
            (Self::Big(_), _) if self.negative() => Ordering::Less,
            (Self::Big(_), _) => Ordering::Greater,
            (Self::Small(_), Self::Big(b)) if b.negative => Ordering::Greater,
            (Self::Small(_), Self::Big(_)) => Ordering::Less,
        }
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn by_size(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Compares by what the numbers are, as Erlang does: no digit of the integer is lost.
pub(super) fn integer_with_float(integer: &Integer, float: f64) -> Ordering {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    match integer {
        Integer::Small(_) if float >= BOUND => Ordering::Less,
        Integer::Small(_) if float < -BOUND => Ordering::Greater,
        Integer::Small(value) => {
            #[allow(clippy::cast_possible_truncation)] // Within the bounds above.
            let whole = float.trunc() as i64;
            let rest = 0.0f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal);
            value.cmp(&whole).then(rest)
        }
        Integer::Big(big) if float.abs() < BOUND || big.negative != (float < 0.0) => {
            if big.negative { Ordering::Less } else { Ordering::Greater }
        }
        Integer::Big(big) => {
            // A float of this size is a whole number, and this is its exact text.
            let size = by_size(&big.digits, &format!("{:.0}", float.abs()));
            if big.negative { size.reverse() } else { size }
        }
    }
}

/// Compares two floats, neither of which is a NaN.
pub(super) fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// Reads what Erlang's `list_to_float` reads: digits on both sides of a point, an exponent if any.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, rest) = text.split_once('.')?;
    let (fraction, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let unsigned = |text| str::strip_prefix(text, ['-', '+']).unwrap_or(text);
    if !digits(unsigned(whole)) || !digits(fraction) || !digits(unsigned(exponent)) {
        return None;
    }
    text.parse::<f64>().ok().filter(|float| float.is_finite())
}

/// What Erlang's `float_to_list` gives: twenty digits after the point, and an exponent of at least
/// two.
pub(super) fn float_text(float: f64) -> String {
    let text = format!("{float:.20e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{exponent:0>2}")
}
