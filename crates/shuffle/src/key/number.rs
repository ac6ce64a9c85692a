//! Numbers in keys: decimal numbers of any size, exact.
//!
//! A number is a sign and 0.ddd… × 10^exponent, the first and the last digit not 0. After the sign's
//! tag stands the exponent, then the digits, two a byte and one more than they say, then the end.
//! Below zero all bytes after the tag are inverted, so that larger ones come first.
//!
//! A number of JavaScript is the one that JavaScript writes: its text and itself are one key.

use mapring_types::{Error, Result};

use super::tag;
use crate::limits::NUMBER_EXPONENT;

/// Exponents up to this one, up and down, are one byte.
const SHORT: i32 = 100;
/// The byte of exponent 0.
const MIDDLE: u8 = 0x80;
/// The byte of exponent [`SHORT`].
const LAST_SHORT: u8 = MIDDLE + SHORT as u8;
/// The byte of exponent -[`SHORT`].
const FIRST_SHORT: u8 = MIDDLE - SHORT as u8;
/// Bytes of the longest exponents.
const LONG_BYTES: u8 = 4;

/// Whole numbers below this one are exact in JavaScript.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Up to so many places JavaScript writes whole numbers without an exponent.
const PLAIN_PLACES: i64 = 21;
/// Down to so many places it writes fractions without one.
const FRACTION_PLACES: i64 = -6;

/// The length of the number of JSON that a text begins with; `None` when it begins with none.
pub(super) fn scan(text: &[u8]) -> Option<usize> {
    let digits = |at: usize| text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && text[at] == b'0') {
        return None;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// Writes a number of JavaScript; one that is no number or not finite is null, as in its JSON.
pub(super) fn write(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        out.push(tag::NULL);
    } else if number.fract() == 0.0 && number.abs() < EXACT {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Whole and in bounds.
        let whole = number.abs() as u64;
        let mut buffer = [0; 20];
        let digits = decimal(whole, &mut buffer);
        write_digits(number < 0.0, digits.len() as i64, digits, out);
    } else {
        let mut buffer = ryu_js::Buffer::new();
        let written = write_text(buffer.format_finite(number).as_bytes(), out);
        debug_assert!(written.is_ok(), "exponents of JavaScript's numbers are small");
    }
}

/// The decimal digits of a number.
fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    while number > 0 {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    &buffer[at..]
}

/// Writes a number of JSON, which [`scan`] has found.
///
/// # Errors
/// An exponent beyond all bounds.
pub(super) fn write_text(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let end = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let (digits, exponent) = text.split_at(end);
    if digits.iter().all(|byte| matches!(byte, b'0' | b'.')) {
        out.push(tag::ZERO);
        return Ok(());
    }
    let places = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
    let exponent = exponent.get(1..).map_or(Ok(0), read_exponent)?;
    write_digits(negative, places as i64 + exponent, digits, out);
    Ok(())
}

fn read_exponent(text: &[u8]) -> Result<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut exponent = 0i64;
    for digit in digits {
        exponent = exponent * 10 + i64::from(digit - b'0');
        if exponent > NUMBER_EXPONENT {
            return Err(Error::invalid(format!(
                "a number of a key has an exponent beyond {NUMBER_EXPONENT}"
            )));
        }
    }
    Ok(if negative { -exponent } else { exponent })
}

/// Writes digits, a point among them if any, the first of which stands so many places before the
/// point of the whole.
fn write_digits(negative: bool, places: i64, digits: &[u8], out: &mut Vec<u8>) {
    let significant = |byte: &u8| !matches!(byte, b'0' | b'.');
    let Some(first) = digits.iter().position(significant) else {
        out.push(tag::ZERO);
        return;
    };
    let last = digits.iter().rposition(significant).unwrap_or(first);
    let zeros = digits[..first].iter().filter(|byte| **byte == b'0').count() as i64;
    let exponent = i32::try_from(places - zeros).expect("exponents have a bound");

    out.push(if negative { tag::NEGATIVE } else { tag::POSITIVE });
    let start = out.len();
    write_exponent(exponent, out);
    let mut digits = digits[first..=last].iter().filter(|byte| **byte != b'.').map(|b| b - b'0');
    while let Some(tens) = digits.next() {
        out.push(tens * 10 + digits.next().unwrap_or(0) + 1);
    }
    out.push(tag::END);
    if negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

fn write_exponent(exponent: i32, out: &mut Vec<u8>) {
    let size = exponent.unsigned_abs();
    if exponent.abs() <= SHORT {
        out.push((i32::from(MIDDLE) + exponent) as u8);
        return;
    }
    let bytes = size.to_be_bytes();
    let empty = (size.leading_zeros() / 8) as u8;
    let length = LONG_BYTES - empty;
    if exponent > 0 {
        out.push(LAST_SHORT + length);
        out.extend_from_slice(&bytes[usize::from(empty)..]);
    } else {
        out.push(FIRST_SHORT - length);
        out.extend(bytes[usize::from(empty)..].iter().map(|byte| !byte));
    }
}

/// A number of a key, without its tag.
pub(super) struct Number {
    negative: bool,
    exponent: i64,
    /// As characters.
    digits: Vec<u8>,
}

/// Passes over a number, without its tag; gives how many bytes it has, `None` when it is not as it is
/// written above.
pub(super) fn check(negative: bool, bytes: &[u8]) -> Option<usize> {
    parse(negative, bytes, |_| {}).map(|(_, length)| length)
}

/// Reads a number as [`check`] does.
pub(super) fn read(negative: bool, bytes: &[u8]) -> Option<(Number, usize)> {
    let mut digits = Vec::new();
    let (exponent, length) = parse(negative, bytes, |pair| {
        digits.extend([b'0' + pair / 10, b'0' + pair % 10]);
    })?;
    if digits.last() == Some(&b'0') {
        digits.pop();
    }
    Some((Number { negative, exponent, digits }, length))
}

/// The exponent, and the length in bytes; tells of each two digits.
fn parse(negative: bool, bytes: &[u8], mut pair: impl FnMut(u8)) -> Option<(i64, usize)> {
    let flip = if negative { 0xff } else { 0 };
    let mut rest = bytes.iter().map(|byte| byte ^ flip);
    let (exponent, mut length) = read_exponent_bytes(&mut rest)?;
    let mut last = None;
    for byte in rest {
        length += 1;
        match byte {
            // The last two digits are not both 0.
            tag::END => return last.filter(|last| *last > 0).map(|_| (exponent, length)),
            1..=100 if last.is_some() || byte > 10 => {
                pair(byte - 1);
                last = Some(byte - 1);
            }
            _ => return None,
        }
    }
    None
}

fn read_exponent_bytes(bytes: &mut impl Iterator<Item = u8>) -> Option<(i64, usize)> {
    let head = bytes.next()?;
    let (length, flip) = match head {
        FIRST_SHORT..=LAST_SHORT => return Some((i64::from(head) - i64::from(MIDDLE), 1)),
        _ if head > LAST_SHORT => (head - LAST_SHORT, 0),
        _ => (FIRST_SHORT - head, 0xff),
    };
    if length > LONG_BYTES {
        return None;
    }
    let mut size = 0i64;
    for at in 0..length {
        let byte = bytes.next()? ^ flip;
        if at == 0 && byte == 0 {
            return None;
        }
        size = size << 8 | i64::from(byte);
    }
    // What is short is written short.
    let written = size > i64::from(SHORT) && size <= i64::from(i32::MAX);
    written.then(|| (if flip == 0 { size } else { -size }, 1 + usize::from(length)))
}

impl Number {
    /// Writes it as JavaScript writes numbers; one that has more digits than those, with all of
    /// them.
    pub(super) fn write_json(&self, out: &mut String) {
        let digits = std::str::from_utf8(&self.digits).unwrap_or_default();
        let count = digits.len() as i64;
        let places = self.exponent;
        if self.negative {
            out.push('-');
        }
        // Zeros are written for places that JavaScript would show, never for more.
        if places > 0 && (places <= PLAIN_PLACES || places <= count) {
            let whole = usize::try_from(places.min(count)).unwrap_or(0);
            out.push_str(&digits[..whole]);
            out.extend((count..places).map(|_| '0'));
            if places < count {
                out.push('.');
                out.push_str(&digits[whole..]);
            }
        } else if places <= 0 && places > FRACTION_PLACES {
            out.push_str("0.");
            out.extend((places..0).map(|_| '0'));
            out.push_str(digits);
        } else {
            let (first, rest) = digits.split_at(1);
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            let exponent = places - 1;
            out.push_str(if exponent < 0 { "e-" } else { "e+" });
            out.push_str(&exponent.unsigned_abs().to_string());
        }
    }
}
