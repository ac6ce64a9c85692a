//! Numbers in the form of en-US, rounded half away from zero on their shortest decimal digits.

use boa_engine::JsString;

/// What a number is.
#[derive(Debug)]
pub(super) enum Style {
    Decimal,
    Percent,
    Currency {
        /// The symbol or the code.
        text: String,
        /// Negative amounts stand in parentheses.
        accounting: bool,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Precision {
    /// Digits after the point.
    Fraction { least: usize, most: usize },
    /// Digits from the first that is not zero.
    Significant { least: usize, most: usize },
}

/// From which size on digits stand in groups of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouping {
    None,
    Thousands,
    TenThousands,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Auto,
    Always,
    Never,
    ExceptZero,
    Negative,
}

#[derive(Debug)]
pub(super) struct Format {
    pub(super) style: Style,
    /// Least digits before the point.
    pub(super) integers: usize,
    pub(super) precision: Precision,
    /// Whether zeros after the point go when nothing else stands there.
    pub(super) strip: bool,
    pub(super) grouping: Grouping,
    pub(super) sign: Sign,
}

/// What stands between the code of a currency and the amount.
const NO_BREAK_SPACE: char = '\u{a0}';

impl Format {
    pub(super) fn text(&self, number: f64) -> String {
        let digits = match number.is_finite() {
            true => self.digits(number.abs()),
            false if number.is_nan() => "NaN".to_owned(),
            false => "∞".to_owned(),
        };
        let is_zero = number.is_nan() || digits.bytes().all(|byte| b"0.,".contains(&byte));
        let negative = number.is_sign_negative() && !number.is_nan();
        let sign = match self.sign {
            Sign::Auto | Sign::Always if negative => "-",
            Sign::Always => "+",
            Sign::ExceptZero | Sign::Negative if negative && !is_zero => "-",
            Sign::ExceptZero if !is_zero => "+",
            _ => "",
        };
        match &self.style {
            Style::Decimal => format!("{sign}{digits}"),
            Style::Percent => format!("{sign}{digits}%"),
            Style::Currency { text, accounting } => {
                let mut amount = text.clone();
                // Behind anything but the sign of a currency.
                if text.ends_with(|last: char| last.is_alphabetic() || last == '.') {
                    amount.push(NO_BREAK_SPACE);
                }
                amount.push_str(&digits);
                match sign {
                    "-" if *accounting => format!("({amount})"),
                    _ => format!("{sign}{amount}"),
                }
            }
        }
    }

    /// The digits of a number that is finite and not negative.
    fn digits(&self, number: f64) -> String {
        let (digits, mut point) = shortest(number);
        if matches!(self.style, Style::Percent) {
            point += 2;
        }
        // The places after the point that are kept, and those that are filled up.
        let (least, most) = match self.precision {
            Precision::Fraction { least, most } => (place(least), place(most)),
            Precision::Significant { least, most } => {
                // Zero has its first digit before the point.
                let first = if digits.is_empty() { 1 } else { point };
                (place(least) - first, place(most) - first)
            }
        };
        let (digits, point) = rounded(digits, point, point + most);
        let point = if digits.is_empty() { 0 } else { point };
        // Rounding up may have made a digit more.
        let least = match self.precision {
            Precision::Significant { least, .. } if !digits.is_empty() => place(least) - point,
            _ => least,
        };
        let at = |place: i64| {
            let digit = usize::try_from(place).ok().and_then(|place| digits.get(place));
            char::from(digit.copied().unwrap_or(b'0'))
        };
        let whole = point.max(place(self.integers));
        let mut text = String::new();
        let least_group = if self.grouping == Grouping::TenThousands { 5 } else { 4 };
        let groups = self.grouping != Grouping::None && whole >= least_group;
        for left in (1..=whole).rev() {
            text.push(at(point - left));
            if groups && left % 3 == 1 && left > 1 {
                text.push(',');
            }
        }
        let end = (place(digits.len()) - point).max(if self.strip { 0 } else { least });
        let end = if end > 0 && self.strip { end.max(least) } else { end };
        if end > 0 {
            text.push('.');
            text.extend((0..end).map(|right| at(point + right)));
        }
        text
    }
}

fn place(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX / 4)
}

/// The fewest digits that mean the number, without zeros at either end, and how many of them stand
/// before the point (which may be less than none).
fn shortest(number: f64) -> (Vec<u8>, i64) {
    // The language's own text: of two that are as short and as near it takes the even one.
    let text = JsString::from(number).to_std_string_lossy();
    let (text, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..zeros);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let exponent: i64 = exponent.parse().unwrap_or(0);
    (digits, place(whole.len()) - place(zeros) + exponent)
}

/// Keeps so many digits, rounding half up.
fn rounded(mut digits: Vec<u8>, point: i64, keep: i64) -> (Vec<u8>, i64) {
    if keep >= place(digits.len()) {
        return (digits, point);
    }
    let Ok(keep) = usize::try_from(keep) else { return (Vec::new(), 0) };
    let mut carry = digits.get(keep).is_some_and(|&digit| digit >= b'5');
    digits.truncate(keep);
    while carry {
        match digits.pop() {
            Some(b'9') => {}
            Some(digit) => {
                digits.push(digit + 1);
                carry = false;
            }
            None => return (vec![b'1'], point + 1),
        }
    }
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    (digits, point)
}
