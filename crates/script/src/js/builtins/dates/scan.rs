//! The words, numbers and marks of a date text.

use crate::limits;

/// A number: what the first [`limits::DATE_DIGITS`] digits after its zeros say, and how many it
/// has in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: i32,
    pub(super) digits: usize,
}

impl Number {
    /// As what follows a decimal point, in thousandths. Of ten digits and more those that count are
    /// taken for the first nine, as V8 does.
    pub(super) fn thousandths(self) -> i32 {
        match self.digits.min(limits::DATE_DIGITS) {
            1 => self.value * 100,
            2 => self.value * 10,
            digits => (3..digits).fold(self.value, |value, _| value / 10),
        }
    }
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// 1 to 12.
    Month(i32),
    /// Added to the hour of a clock of twelve hours.
    Half(i32),
    /// Whole hours from UTC.
    Zone(i32),
    /// `Z`, which is a zone as well.
    Zulu,
    /// `T`.
    Time,
    /// Nothing that is known.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Number(Number),
    /// -1 or 1.
    Sign(i32),
    Colon,
    Point,
    /// A closing parenthesis.
    Close,
    Word(Word),
    Space,
    /// Any other character, or text in parentheses.
    Other,
    End,
}

impl Token {
    /// The value of a number of exactly so many digits.
    pub(super) fn fixed(self, digits: usize) -> Option<i32> {
        match self {
            Self::Number(number) if number.digits == digits => Some(number.value),
            _ => None,
        }
    }
}

/// Reads a text of UTF-16 units token by token, with one token of foresight.
pub(super) struct Scanner<I> {
    units: I,
    unit: Option<u16>,
    next: Token,
}

impl<I: Iterator<Item = u16>> Scanner<I> {
    pub(super) fn new(units: I) -> Self {
        let mut scanner = Self { units, unit: None, next: Token::End };
        scanner.step();
        scanner.next = scanner.scan();
        scanner
    }

    pub(super) fn peek(&self) -> Token {
        self.next
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.next;
        self.next = self.scan();
        token
    }

    /// Takes the token if it comes next.
    pub(super) fn skip(&mut self, token: Token) -> bool {
        let comes = self.next == token;
        if comes {
            self.next();
        }
        comes
    }

    /// Takes a number of exactly so many digits within a range, if it comes next.
    pub(super) fn within(&mut self, digits: usize, low: i32, high: i32) -> Option<i32> {
        let value = self.next.fixed(digits).filter(|value| (low..=high).contains(value))?;
        self.next();
        Some(value)
    }

    /// A text ends at a NUL.
    fn step(&mut self) {
        self.unit = self.units.next().filter(|&unit| unit != 0);
    }

    fn scan(&mut self) -> Token {
        let Some(unit) = self.unit else { return Token::End };
        let token = match u8::try_from(unit) {
            Ok(b'0'..=b'9') => return self.number(),
            Ok(b'(') => return self.parentheses(),
            _ if is_letter(unit) => return self.word(),
            Ok(b':') => Token::Colon,
            Ok(b'-') => Token::Sign(-1),
            Ok(b'+') => Token::Sign(1),
            Ok(b'.') => Token::Point,
            Ok(b')') => Token::Close,
            _ if is_space(unit) || matches!(unit, 0x0a | 0x0d) => Token::Space,
            _ => Token::Other,
        };
        self.step();
        token
    }

    fn number(&mut self) -> Token {
        let mut number = Number { value: 0, digits: 0 };
        let mut counted = 0;
        while let Some(unit @ 0x30..=0x39) = self.unit {
            if counted < limits::DATE_DIGITS && (counted > 0 || unit > 0x30) {
                number.value = number.value * 10 + i32::from(unit) - 0x30;
                counted += 1;
            }
            number.digits += 1;
            self.step();
        }
        Token::Number(number)
    }

    fn word(&mut self) -> Token {
        let (mut start, mut length) = ([0; 3], 0_usize);
        while let Some(unit) = self.unit.filter(|&unit| is_letter(unit)) {
            if let Some(place) = start.get_mut(length) {
                *place = u8::try_from(unit).unwrap_or(b'?').to_ascii_lowercase();
            }
            length += 1;
            self.step();
        }
        Token::Word(meaning(&start[..length.min(3)], length))
    }

    /// Up to the parenthesis that closes the first, or to the end.
    fn parentheses(&mut self) -> Token {
        let mut open = 0_usize;
        while let Some(unit) = self.unit {
            match unit {
                0x28 => open += 1,
                0x29 => open -= 1,
                _ => {}
            }
            self.step();
            if open == 0 {
                break;
            }
        }
        Token::Other
    }
}

/// Every character from `A` on that is no white space.
fn is_letter(unit: u16) -> bool {
    unit >= 0x41 && !is_space(unit)
}

/// White space of the language, without its line ends.
fn is_space(unit: u16) -> bool {
    matches!(
        unit,
        0x09 | 0x0b | 0x0c | 0x20 | 0xa0 | 0x1680 | 0x2000
            ..=0x200a | 0x202f | 0x205f | 0x3000 | 0xfeff
    )
}

/// What a word means, by its first three characters in lower case and its length.
fn meaning(start: &[u8], length: usize) -> Word {
    const MONTHS: [&[u8]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    if let Some(month) = (1..).zip(MONTHS).find(|(_, name)| *name == start) {
        return Word::Month(month.0);
    }
    // Only names of months may go on.
    if length > 3 {
        return Word::Unknown;
    }
    match start {
        b"am" => Word::Half(0),
        b"pm" => Word::Half(12),
        b"ut" | b"utc" | b"gmt" => Word::Zone(0),
        b"edt" => Word::Zone(-4),
        b"est" | b"cdt" => Word::Zone(-5),
        b"cst" | b"mdt" => Word::Zone(-6),
        b"mst" | b"pdt" => Word::Zone(-7),
        b"pst" => Word::Zone(-8),
        b"z" => Word::Zulu,
        b"t" => Word::Time,
        _ => Word::Unknown,
    }
}
