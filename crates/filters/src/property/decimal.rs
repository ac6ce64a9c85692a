//! JSON's numbers by their digits: no double stands between, so that 2^53 + 1 is not 2^53.

use std::cmp::Ordering;

/// A number of JSON text: ±0.DIGITS × 10^exponent, without zeros at either end of the digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// Exponents that no text of a sane length has count as ±2^62.
    exponent: i64,
    /// None for zero.
    digits: Vec<u8>,
}

const EXPONENT: i64 = 1 << 62;

impl Decimal {
    /// Reads a number as JSON writes it.
    pub(super) fn new(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        let leading = all().take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = all().skip(leading).collect();
        digits.truncate(digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1));
        if digits.is_empty() {
            return Self { negative: false, exponent: 0, digits };
        }
        let places = |count: usize| i64::try_from(count).unwrap_or(EXPONENT);
        let shift = places(whole.len()) - places(leading);
        let exponent = saturating(exponent).saturating_add(shift).clamp(-EXPONENT, EXPONENT);
        Self { negative, exponent, digits }
    }
}

/// An exponent of any length.
fn saturating(text: &str) -> i64 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // What does not fit has too many digits.
    let size = digits.parse::<i64>().unwrap_or(EXPONENT).min(EXPONENT);
    if negative { -size } else { size }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        // Digits begin with none that is 0 and end with none: so they compare as texts.
        let size = || {
            let exponents = self.exponent.cmp(&other.exponent);
            exponents.then_with(|| self.digits.cmp(&other.digits))
        };
        match sign(self).cmp(&sign(other)) {
            Ordering::Equal if self.negative => size().reverse(),
            Ordering::Equal => size(),
            differ => differ,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_order() {
        let ordered: [&[&str]; 16] = [
            &["-1e99999999999999999999"],
            &["-9007199254740993"],
            &["-9007199254740992", "-9007199254740992.0", "-9.007199254740992E+15"],
            &["-1.5"],
            &["-1", "-1.0", "-10e-1"],
            &["-0.1", "-1e-1"],
            &["0", "-0", "0.0", "0e5", "-0.00E-3"],
            &["1e-99999999999999999999"],
            &["1e-400"],
            &["0.1", "0.10", "1e-1", "0.01e1"],
            &["1", "1.0", "1e0", "0.1e+1", "100e-2"],
            &["1.00000000000000000000000000001"],
            &["9007199254740992"],
            &["9007199254740993", "9007199254740993.000"],
            &["1e400", "10e399"],
            &["1e99999999999999999999"],
        ];
        for (at, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                for (left, right) in left.iter().flat_map(|l| right.iter().map(move |r| (l, r))) {
                    let found = Decimal::new(left).cmp(&Decimal::new(right));
                    assert_eq!(found, at.cmp(&other), "{left} and {right}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn as_numbers_are(left: i128, right: i128, shift in 0..20_usize) {
            let found = Decimal::new(&left.to_string()).cmp(&Decimal::new(&right.to_string()));
            prop_assert_eq!(found, left.cmp(&right));
            let zeros = "0".repeat(shift);
            prop_assert_eq!(
                Decimal::new(&format!("{left}.{zeros}")),
                Decimal::new(&format!("{left}{zeros}e-{shift}"))
            );
        }

        #[test]
        fn doubles_are(left in -1e9..1e9_f64, right in -1e9..1e9_f64) {
            let written = |number: f64| serde_json::to_string(&number).unwrap();
            let found = Decimal::new(&written(left)).cmp(&Decimal::new(&written(right)));
            prop_assert_eq!(Some(found), left.partial_cmp(&right));
        }
    }
}
