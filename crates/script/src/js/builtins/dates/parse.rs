//! Date texts, as V8 reads them, with UTC as local time.
//!
//! The form of ECMAScript (a profile of ISO 8601) comes first. A text that leaves it before a `T` is
//! read on by V8's old rules for all others, with what is known already. These rules know no order:
//! - A number before a colon is an hour, a minute or a second, and so is the one after it; after a point
//!   come fractions. Other numbers are of the day: day, month, year by their number and size.
//! - A word that begins like the English name of a month is that month. `AM`, `PM`, `UT`, `UTC`, `GMT`,
//!   `Z` and the zones of North America count as whole words. A sign after a time or `GMT` begins a
//!   distance from UTC.
//! - Other words may stand before the first number only. Text in parentheses and other marks are
//!   passed over.

use super::fields::{Clock, Day, Zone, milliseconds};
use super::scan::{Scanner, Token, Word};

/// Milliseconds since 1970 of a text of UTF-16 units; `None` for what is no date.
pub(super) fn time_of(text: impl Iterator<Item = u16>) -> Option<i64> {
    let mut reader = Reader {
        scanner: Scanner::new(text),
        day: Day::new(),
        clock: Clock::new(),
        zone: Zone::new(),
    };
    if let Some(token) = reader.iso()? {
        reader.others(token)?;
    }
    milliseconds(&reader.day, &reader.clock, &reader.zone)
}

struct Reader<I> {
    scanner: Scanner<I>,
    day: Day,
    clock: Clock,
    zone: Zone,
}

impl<I: Iterator<Item = u16>> Reader<I> {
    /// Reads the form of ECMAScript as far as it goes. Gives the first token that does not belong to
    /// it, if there is one; `None` when the text is no date.
    fn iso(&mut self) -> Option<Option<Token>> {
        if let Some(token) = self.iso_day() {
            return Some(Some(token));
        }
        match self.scanner.peek() {
            Token::Word(Word::Time) => {
                self.scanner.next();
                self.iso_time()?;
                self.iso_zone()?;
                if self.scanner.peek() != Token::End {
                    return None;
                }
            }
            // A day alone is a day in UTC anyway.
            Token::End => {}
            _ => return Some(Some(self.scanner.next())),
        }
        self.day.iso = true;
        Some(None)
    }

    /// Gives the first token that does not belong to it.
    fn iso_day(&mut self) -> Option<Token> {
        // These always fit: they are the first three.
        if let sign @ Token::Sign(by) = self.scanner.peek() {
            self.scanner.next();
            let Some(year) = self.scanner.peek().fixed(6) else { return Some(sign) };
            self.scanner.next();
            if by < 0 && year == 0 {
                return Some(sign);
            }
            let _ = self.day.add(by * year);
        } else if let Some(year) = self.scanner.peek().fixed(4) {
            self.scanner.next();
            let _ = self.day.add(year);
        } else {
            return Some(self.scanner.next());
        }
        for most in [12, 31] {
            if !self.scanner.skip(Token::Sign(-1)) {
                break;
            }
            let Some(part) = self.scanner.within(2, 1, most) else {
                return Some(self.scanner.next());
            };
            let _ = self.day.add(part);
        }
        None
    }

    fn iso_time(&mut self) -> Option<()> {
        let hour = self.scanner.within(2, 0, 24)?;
        self.clock.add(hour)?;
        // An hour of 24 is the end of the day.
        let most = if hour == 24 { 0 } else { 59 };
        if !self.scanner.skip(Token::Colon) {
            return None;
        }
        self.clock.add(self.scanner.within(2, 0, most)?)?;
        if !self.scanner.skip(Token::Colon) {
            return Some(());
        }
        self.clock.add(self.scanner.within(2, 0, most)?)?;
        if self.scanner.skip(Token::Point) {
            match self.scanner.next() {
                Token::Number(number) if hour < 24 || number.value == 0 => {
                    self.clock.add(number.thousandths())?;
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn iso_zone(&mut self) -> Option<()> {
        let sign = match self.scanner.peek() {
            Token::Word(Word::Zulu) => {
                self.zone.set(0);
                self.scanner.next();
                return Some(());
            }
            Token::Sign(sign) => sign,
            _ => return Some(()),
        };
        self.scanner.next();
        let (hours, minutes) = if let Some(both) = self.scanner.peek().fixed(4) {
            self.scanner.next();
            (both / 100, both % 100)
        } else {
            let hours = self.scanner.within(2, 0, 23)?;
            if !self.scanner.skip(Token::Colon) {
                return None;
            }
            (hours, self.scanner.within(2, 0, 59)?)
        };
        self.zone = Zone { sign: Some(sign), hours: Some(hours), minutes: Some(minutes) };
        (hours < 24 && minutes < 60).then_some(())
    }

    /// Reads on by the old rules.
    fn others(&mut self, first: Token) -> Option<()> {
        let mut had_number = !self.day.is_empty();
        let mut token = first;
        while token != Token::End {
            match token {
                Token::Number(number) => {
                    had_number = true;
                    self.number(number.value)?;
                }
                Token::Word(word) => self.word(word, had_number)?,
                Token::Sign(sign) if self.zone.is_utc() || !self.clock.is_empty() => {
                    had_number = true;
                    self.distance(sign)?;
                }
                Token::Sign(_) | Token::Close if had_number => return None,
                _ => {}
            }
            token = self.scanner.next();
        }
        Some(())
    }

    fn number(&mut self, number: i32) -> Option<()> {
        if self.scanner.skip(Token::Colon) {
            if self.scanner.skip(Token::Colon) {
                if !self.clock.is_empty() {
                    return None;
                }
                self.clock.add(number)?;
                return self.clock.add(0);
            }
            self.clock.add(number)?;
            self.scanner.skip(Token::Point);
        } else if self.scanner.skip(Token::Point) && self.clock.expects(number) {
            self.clock.add(number)?;
            let Token::Number(fraction) = self.scanner.peek() else { return None };
            self.scanner.next();
            // A time may have its fraction only once; more is passed over, as in V8.
            let _ = self.clock.add(fraction.thousandths());
            self.clock.end();
        } else if self.zone.expects(number) {
            self.zone.minutes = Some(number);
        } else if self.clock.expects(number) {
            self.clock.add(number)?;
            self.clock.end();
            return match self.scanner.peek() {
                Token::End | Token::Space | Token::Word(Word::Zulu) | Token::Sign(_) => Some(()),
                _ => None,
            };
        } else {
            self.day.add(number)?;
            self.scanner.skip(Token::Sign(-1));
        }
        Some(())
    }

    fn word(&mut self, word: Word, had_number: bool) -> Option<()> {
        match word {
            Word::Half(half) if !self.clock.is_empty() => self.clock.half = Some(half),
            Word::Month(month) => {
                self.day.month = Some(month);
                self.scanner.skip(Token::Sign(-1));
            }
            Word::Zone(hours) if had_number => self.zone.set(hours),
            Word::Zulu if had_number => self.zone.set(0),
            // Before the first number anything may stand, but not right before it.
            _ if had_number || matches!(self.scanner.peek(), Token::Number(_)) => return None,
            _ => {}
        }
        Some(())
    }

    /// What follows the sign of a distance from UTC: `8`, `08`, `0800`, `08:00`, or nothing.
    fn distance(&mut self, sign: i32) -> Option<()> {
        let (value, digits) = match self.scanner.peek() {
            Token::Number(number) => {
                self.scanner.next();
                (number.value, number.digits)
            }
            _ => (0, 0),
        };
        self.zone.sign = Some(sign);
        (self.zone.hours, self.zone.minutes) = match digits {
            _ if self.scanner.peek() == Token::Colon => (Some(value), None),
            1 | 2 => (Some(value), Some(0)),
            3 | 4 => (Some(value / 100), Some(value % 100)),
            _ => return None,
        };
        Some(())
    }
}
