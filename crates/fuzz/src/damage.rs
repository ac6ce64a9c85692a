//! How inputs are damaged.

use std::fmt;

use crate::limits;

/// A step of damage: a kind, a place, and something that means as much as the kind says.
pub type Step = (u8, u16, u16);

/// What an input is made of, by chance: which sample, how many steps, and the steps.
pub(crate) type Recipe = (u16, u8, Vec<Step>);

/// What grammars consist of: put in where it does not belong.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"<",
    b">",
    b",",
    b";",
    b":",
    b"=",
    b"&",
    b"?",
    b"#",
    b"%",
    b"%00",
    b"%zz",
    b"+",
    b"-",
    b"*",
    b"/",
    b"..",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
];

/// Numbers about which programs are wrong.
const NUMBERS: &[&[u8]] = &[
    b"0",
    b"-0",
    b"-1",
    b"1",
    b"255",
    b"256",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"9007199254740993",
    b"18446744073709551616",
    b"1e999",
    b"1.5",
    b"007",
];

/// An input, shown so that a shell's `printf` takes it.
pub(crate) struct Input(Vec<u8>);

impl Input {
    /// Follows a recipe.
    pub(crate) fn of(samples: &[Vec<u8>], (sample, count, steps): &Recipe) -> Self {
        let index = usize::from(*sample) % (samples.len() + 1);
        let Some(bytes) = samples.get(index) else { return Self(noise(steps)) };
        let count = 1 + usize::from(*count) % limits::STEPS;
        let steps = steps.get(..count).unwrap_or(steps);
        Self(damaged(bytes.clone(), samples, steps))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Damages bytes step by step; parts of `others` may come into them.
pub fn damaged(mut bytes: Vec<u8>, others: &[Vec<u8>], steps: &[Step]) -> Vec<u8> {
    for (kind, at, what) in steps {
        damage(&mut bytes, others, *kind, usize::from(*at), usize::from(*what));
        bytes.truncate(limits::INPUT_BYTES);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, others: &[Vec<u8>], kind: u8, at: usize, what: usize) {
    let at = at % (bytes.len() + 1);
    let end = (at + 1 + what % limits::PART_BYTES).min(bytes.len());
    match kind % 9 {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (what % 8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = low(what);
            }
        }
        2 => insert(bytes, at, TOKENS[what % TOKENS.len()]),
        3 => insert(bytes, at, &[low(what)]),
        4 => {
            bytes.drain(at..end);
        }
        5 => {
            let part = bytes[at..end].to_vec();
            insert(bytes, at, &part);
        }
        6 => bytes.truncate(at),
        7 => {
            let other = others.get(what % others.len().max(1));
            bytes.truncate(at);
            bytes.extend_from_slice(other.and_then(|other| other.get(at..)).unwrap_or_default());
        }
        _ => renumber(bytes, at, NUMBERS[what % NUMBERS.len()]),
    }
}

/// All that is in the steps.
fn noise(steps: &[Step]) -> Vec<u8> {
    let bytes = |(kind, at, what): &Step| {
        let ([a, b], [c, d]) = (at.to_be_bytes(), what.to_be_bytes());
        [*kind, a, b, c, d]
    };
    steps.iter().flat_map(bytes).collect()
}

fn low(what: usize) -> u8 {
    what.to_le_bytes()[0]
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}

/// Writes another number in the place of the next one from `at` on.
fn renumber(bytes: &mut Vec<u8>, at: usize, number: &[u8]) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found)
    else {
        return;
    };
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    bytes.splice(start..start + digits, number.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: u8, at: u16, what: u16, expect: &[u8]) {
        let samples = [b"a 12 b".to_vec(), b"0123456789".to_vec()];
        let input = Input::of(&samples, &(0, 0, vec![(kind, at, what)]));
        assert_eq!(input.bytes().escape_ascii().to_string(), expect.escape_ascii().to_string());
    }

    #[test]
    fn every_kind_of_damage() {
        check(0, 0, 1, b"c 12 b");
        check(1, 5, 0x100 + u16::from(b'z'), b"a 12 z");
        check(2, 0, 2, b"{a 12 b");
        check(3, 6, u16::from(b'!'), b"a 12 b!");
        check(4, 1, 2, b"a b");
        check(5, 0, 1, b"a a 12 b");
        check(6, 3, 0, b"a 1");
        check(7, 3, 1, b"a 13456789");
        check(8, 1, 2, b"a -1 b");
        // At the end, and behind it.
        check(0, 6, 0, b"a 12 b");
        check(4, 13, 9, b"a 12 b");
        check(8, 5, 0, b"a 12 b");
    }

    #[test]
    fn noise_is_of_the_steps_alone() {
        let input = Input::of(&[b"x".to_vec()], &(1, 9, vec![(1, 0x0203, 0x0405)]));
        assert_eq!(input.bytes(), [1, 2, 3, 4, 5]);
        assert_eq!(format!("{input:?}"), "\\x01\\x02\\x03\\x04\\x05");
    }

    #[test]
    fn inputs_stay_short() {
        let steps = vec![(5, 0, 63); limits::STEPS];
        let input = Input::of(&[vec![0; limits::INPUT_BYTES]], &(0, 5, steps));
        assert_eq!(input.bytes().len(), limits::INPUT_BYTES);
    }
}
