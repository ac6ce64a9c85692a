//! Numbers as text.

use std::fmt::Write as _;

/// Appends a number as `JSON.stringify` writes it: `null` when it is not finite.
pub(crate) fn write_js_number(number: f64, out: &mut String) {
    if !number.is_finite() {
        out.push_str("null");
        return;
    }
    #[allow(clippy::cast_possible_truncation)] // The bound makes the number an exact integer.
    if number.fract() == 0.0 && number.abs() < 9e15 {
        let _ = write!(out, "{}", number as i64);
        return;
    }
    out.push_str(ryu_js::Buffer::new().format_finite(number));
}

/// Appends a float as Riak's JSON encoder writes it: shortest form, always with a point.
pub(crate) fn write_erlang_float(number: f64, out: &mut String) {
    if number == 0.0 || !number.is_finite() {
        out.push_str("0.0");
        return;
    }
    if number < 0.0 {
        out.push('-');
    }
    let (digits, point) = shortest(number);
    let count = places(&digits);
    if point > 0 && point < count {
        split(&digits, point, out);
    } else if point > 0 && point - count < 6 {
        out.push_str(&digits);
        zeros(point - count, out);
        out.push_str(".0");
    } else if -6 < point && point <= 0 {
        out.push_str("0.");
        zeros(-point, out);
        out.push_str(&digits);
    } else {
        exponent(&digits, point, out);
    }
}

/// The shortest digits that give the number, and where its point stands: `0.digits * 10^point`. They
/// are ECMAScript's: of two that are as near the even one. (Rust's own printing takes the upper one.)
fn shortest(number: f64) -> (String, i32) {
    let mut buffer = ryu_js::Buffer::new();
    let text = buffer.format_finite(number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, rest].concat();
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let exponent = exponent.parse::<i32>().unwrap_or_default();
    let point = places(whole) - i32::try_from(leading).unwrap_or(i32::MAX) + exponent;
    (digits.trim_matches('0').to_owned(), point)
}

fn places(digits: &str) -> i32 {
    i32::try_from(digits.len()).unwrap_or(i32::MAX)
}

fn zeros(count: i32, out: &mut String) {
    (0..count).for_each(|_| out.push('0'));
}

fn split(digits: &str, point: i32, out: &mut String) {
    let (whole, rest) = digits.split_at(usize::try_from(point).unwrap_or(0).min(digits.len()));
    let _ = write!(out, "{whole}.{rest}");
}

fn exponent(digits: &str, point: i32, out: &mut String) {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    let rest = if rest.is_empty() { "0" } else { rest };
    let _ = write!(out, "{first}.{rest}e{:+}", point - 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: f64, js: &str, erlang: &str) {
        let (mut a, mut b) = (String::new(), String::new());
        write_js_number(number, &mut a);
        write_erlang_float(number, &mut b);
        assert_eq!((a.as_str(), b.as_str()), (js, erlang));
    }

    #[test]
    fn numbers_as_each_language_writes_them() {
        check(0.0, "0", "0.0");
        check(-0.0, "0", "0.0");
        check(1.0, "1", "1.0");
        check(-1.5, "-1.5", "-1.5");
        check(0.1, "0.1", "0.1");
        check(1e-6, "0.000001", "0.000001");
        check(1e-7, "1e-7", "1.0e-7");
        check(1.25e-7, "1.25e-7", "1.25e-7");
        check(123_456.75, "123456.75", "123456.75");
        check(1e5, "100000", "100000.0");
        check(1e6, "1000000", "1.0e+6");
        check(1e20, "100000000000000000000", "1.0e+20");
        check(1e21, "1e+21", "1.0e+21");
        check(1.5e300, "1.5e+300", "1.5e+300");
        // Half way between two texts of the same length.
        check(5_816_413_993_015_885.0 / 4.0, "1454103498253971.2", "1454103498253971.2");
        check(5e-324, "5e-324", "5.0e-324");
        check(9_007_199_254_740_994.0, "9007199254740994", "9007199254740994.0");
    }
}
