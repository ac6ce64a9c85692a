//! Sums that do not depend on the order in which they are added.

use std::fmt::Write as _;

use crate::json::write_js_number;

/// Whole numbers up to this are added as such, exactly: 2^100. There is room for 2^27 of them.
const WHOLE: i128 = 1 << 100;

/// Whole numbers of JavaScript up to this are what their digits say: 2^53.
const DIGITS: f64 = 9_007_199_254_740_992.0;

/// Numbers must be below this, 2^969: no sum of fewer than 2^54 of them goes beyond all numbers.
const MOST: f64 = f64::from_bits((969 + 1023) << 52);

/// A sum of numbers: of whole ones exactly, of others exactly until it is rounded at the end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sum {
    whole: i128,
    /// Whether there was a number that is not whole: the sum is then rounded to one of JavaScript.
    rounded: bool,
    /// Numbers whose exact sum is that of all fractions, from small to large, no two of which have
    /// digits in the same places.
    parts: Vec<f64>,
}

/// Why a number cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SumError {
    /// The text is no number.
    NoNumber,
    /// It, or the sum, is too large.
    TooLarge,
}

impl Sum {
    /// Adds a number of JavaScript: what its digits say.
    pub(super) fn add_number(&mut self, number: f64) -> Result<(), SumError> {
        #[allow(clippy::cast_possible_truncation)] // Whole, and within the bound.
        if number.fract() == 0.0 && number.abs() <= DIGITS {
            return self.add_whole(number as i128);
        }
        let mut text = String::new();
        write_js_number(number, &mut text);
        self.add_text(&text)
    }

    /// Adds a number of JSON.
    pub(super) fn add_text(&mut self, text: &str) -> Result<(), SumError> {
        if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Err(SumError::NoNumber);
        }
        if let Ok(whole) = text.parse::<i128>()
            && whole.abs() <= WHOLE
        {
            return self.add_whole(whole);
        }
        let number: f64 = text.parse().map_err(|_| SumError::NoNumber)?;
        #[allow(clippy::cast_possible_truncation)] // Whole, and within the bound.
        if number.fract() == 0.0 && number.abs() <= DIGITS {
            return self.add_whole(number as i128);
        }
        self.add_part(number)?;
        self.rounded = true;
        Ok(())
    }

    fn add_whole(&mut self, whole: i128) -> Result<(), SumError> {
        self.whole = self.whole.checked_add(whole).ok_or(SumError::TooLarge)?;
        Ok(())
    }

    /// Adds a number to the parts: of each addition what was rounded away becomes a part.
    fn add_part(&mut self, number: f64) -> Result<(), SumError> {
        if !number.is_finite() || number.abs() >= MOST {
            return Err(SumError::TooLarge);
        }
        add_exactly(&mut self.parts, number);
        Ok(())
    }

    /// Adds what another has added.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), SumError> {
        self.add_whole(other.whole)?;
        self.rounded |= other.rounded;
        other.parts.iter().for_each(|part| add_exactly(&mut self.parts, *part));
        Ok(())
    }

    /// The sum as JSON.
    pub(super) fn text(&self) -> String {
        if !self.rounded {
            return self.whole.to_string();
        }
        let mut text = String::new();
        write_js_number(self.number(), &mut text);
        text
    }

    /// The sum as the number of JavaScript that is nearest to it.
    pub(super) fn number(&self) -> f64 {
        let mut parts = self.parts.clone();
        let mut left = self.whole;
        // A number has room for 53 binary digits: three of them for all of these.
        while left != 0 {
            let digits = 128 - left.unsigned_abs().leading_zeros();
            let dropped = digits.saturating_sub(53);
            let part = left >> dropped << dropped;
            #[allow(clippy::cast_precision_loss)] // It has no more than 53 digits.
            add_exactly(&mut parts, part as f64);
            left -= part;
        }
        round(&parts)
    }

    /// Whether its JSON says all of it, read as a number again.
    pub(super) fn is_plain(&self) -> bool {
        !self.rounded && self.whole.abs() <= WHOLE
    }

    /// All of it, as a text.
    pub(super) fn write(&self, out: &mut String) {
        let _ = write!(out, "{}", self.whole);
        if self.rounded {
            out.push(';');
            for (at, part) in self.parts.iter().enumerate() {
                let _ = write!(out, "{}{part:e}", if at > 0 { "," } else { "" });
            }
        }
    }

    /// Reads what [`Sum::write`] has written.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (whole, parts) = match text.split_once(';') {
            Some((whole, parts)) => (whole, Some(parts)),
            None => (text, None),
        };
        let mut sum =
            Self { whole: whole.parse().ok()?, rounded: parts.is_some(), parts: Vec::new() };
        for part in parts.into_iter().flat_map(|parts| parts.split(',')) {
            if !part.is_empty() {
                let part: f64 = part.parse().ok().filter(|part: &f64| part.is_finite())?;
                add_exactly(&mut sum.parts, part);
            }
        }
        Some(sum)
    }
}

/// Adds a number to parts, from small to large, that have no digits in the same places.
fn add_exactly(parts: &mut Vec<f64>, number: f64) {
    let mut carried = number;
    let mut kept = 0;
    for at in 0..parts.len() {
        let (large, small) = match parts[at] {
            part if carried.abs() < part.abs() => (part, carried),
            part => (carried, part),
        };
        let sum = large + small;
        let lost = small - (sum - large);
        if lost != 0.0 {
            parts[kept] = lost;
            kept += 1;
        }
        carried = sum;
    }
    parts.truncate(kept);
    if carried != 0.0 {
        parts.push(carried);
    }
}

/// The number that is nearest to the sum of parts; of two that are as near the even one.
fn round(parts: &[f64]) -> f64 {
    let mut parts = parts.iter().rev().copied();
    let mut sum = parts.next().unwrap_or(0.0);
    let mut lost = 0.0;
    for part in parts.by_ref() {
        let before = sum;
        sum = before + part;
        lost = part - (sum - before);
        if lost != 0.0 {
            break;
        }
    }
    // Half way between two numbers the rest decides.
    if let Some(rest) = parts.next()
        && (rest < 0.0) == (lost < 0.0)
        && lost != 0.0
    {
        let twice = lost * 2.0;
        let further = sum + twice;
        if twice == further - sum {
            sum = further;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(texts: &[&str]) -> Sum {
        let mut sum = Sum::default();
        texts.iter().for_each(|text| sum.add_text(text).unwrap());
        sum
    }

    #[track_caller]
    fn check(texts: &[&str], expect: &str) {
        assert_eq!(sum(texts).text(), expect, "{texts:?}");
        let reversed: Vec<&str> = texts.iter().rev().copied().collect();
        assert_eq!(sum(&reversed).text(), expect, "{texts:?} reversed");
    }

    #[test]
    fn sums_are_exact() {
        check(&[], "0");
        check(&["1", "2.0", "3e0", "-10"], "-4");
        check(&["0.1"; 10], "1");
        check(&["0.1", "0.2", "0.3"], "0.6");
        check(&["1e16", "1", "-1e16", "0.5"], "1.5");
        check(&["1e100", "1", "-1e100"], "1");
        check(&["9007199254740993", "9007199254740993"], "18014398509481986");
        check(&["9007199254740993", "0.5", "-0.5"], "9007199254740992");
        check(&["1e30", "1e30"], "2e+30");
        check(&["9223372036854775807", "1"], "9223372036854775808");
        // Half way, and a little more or less.
        check(&["9007199254740992", "1", "0.0000000000000000000001"], "9007199254740994");
        check(&["9007199254740992", "1", "-0.0000000000000000000001"], "9007199254740992");
        check(&["-0", "0"], "0");
    }

    #[test]
    fn what_cannot_be_added() {
        let add = |text: &str| Sum::default().add_text(text);
        assert_eq!(add("\"1\""), Err(SumError::NoNumber));
        assert_eq!(add("inf"), Err(SumError::NoNumber));
        assert_eq!(add("1e300"), Err(SumError::TooLarge));
        assert_eq!(add("1e999"), Err(SumError::TooLarge));
        let mut sum = Sum::default();
        for _ in 0..127 {
            sum.add_number(1e290).unwrap();
        }
        assert_eq!(sum.add_number(f64::MAX), Err(SumError::TooLarge));
        assert!(Sum::read("1;inf").is_none() && Sum::read("x").is_none());
    }

    proptest! {
        /// Whatever the order and the groups: the same.
        #[test]
        fn order_and_groups_do_not_matter(
            numbers in prop::collection::vec(
                prop_oneof![
                    -1e9..1e9f64,
                    Just(1e60), Just(-1e60), Just(1e-60), (-5i32..5).prop_map(f64::from),
                    any::<f64>().prop_filter("finite", |n| n.abs() < 1e290),
                ], 0..40),
            cut in 0usize..40,
        ) {
            let whole = |numbers: &[f64]| {
                let mut sum = Sum::default();
                numbers.iter().for_each(|n| sum.add_number(*n).unwrap());
                sum
            };
            let all = whole(&numbers);
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            let sent = |sum: Sum| {
                let mut text = String::new();
                sum.write(&mut text);
                Sum::read(&text).unwrap()
            };
            let mut parts = sent(whole(right));
            parts.merge(&sent(whole(left))).unwrap();
            prop_assert_eq!(parts.text(), all.text());
            let mut sorted = numbers.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert_eq!(whole(&sorted).text(), all.text());
        }
    }
}
