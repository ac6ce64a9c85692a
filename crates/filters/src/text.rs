//! Texts as the filters see them: lists of characters, each a byte.

use std::borrow::Cow;

use super::term::{Atom, Term};

/// What a filter that looks at text makes of a value.
#[derive(Debug)]
pub(super) enum Text<'a> {
    Flat(Cow<'a, [u8]>),
    /// What Erlang's `io_lib:format("~p", …)` makes of a boolean: a list whose one item is the
    /// name. It is no list of characters, and equals none.
    Word(bool),
}

/// What a filter that looks at text makes of its argument.
#[derive(Debug)]
pub(super) enum Constant {
    Flat(Vec<u8>),
    /// See [`Text::Word`].
    Word(Atom),
    /// A list of other things than characters: no value has any of them.
    Other,
}

impl Constant {
    pub(super) fn new(term: &Term) -> Self {
        match term {
            Term::Binary(bytes) | Term::Chars(bytes) => Self::Flat(bytes.clone()),
            Term::Integer(integer) => Self::Flat(integer.to_string().into_bytes()),
            Term::Float(float) => Self::Flat(super::number::float_text(*float).into_bytes()),
            Term::Atom(atom) => Self::Word(*atom),
            Term::Tuple => Self::Other,
            Term::List(items) => match items.as_slice() {
                [Term::Chars(name)] => [Atom::True, Atom::False]
                    .into_iter()
                    .find(|atom| atom.name().as_bytes() == name)
                    .map_or(Self::Other, Self::Word),
                _ => Self::Other,
            },
        }
    }

    pub(super) fn is_prefix_of(&self, text: &Text) -> bool {
        self.stands_in(text, |text, part| text.starts_with(part))
    }

    pub(super) fn is_suffix_of(&self, text: &Text) -> bool {
        self.stands_in(text, |text, part| text.ends_with(part))
    }

    fn stands_in(&self, text: &Text, test: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        match (self, text) {
            (Self::Flat(part), Text::Flat(text)) => test(text, part),
            (Self::Flat(part), Text::Word(_)) => part.is_empty(),
            (Self::Word(a), Text::Word(b)) => *a == Atom::from(*b),
            _ => false,
        }
    }
}

/// The token of this number, from 1: what stands between separators, of which several count as one.
pub(super) fn token<'t>(
    text: &'t [u8],
    separators: &[bool; 256],
    number: usize,
) -> Option<&'t [u8]> {
    let tokens = text.split(|byte| separators[usize::from(*byte)]);
    tokens.filter(|token| !token.is_empty()).nth(number.checked_sub(1)?)
}

/// As `string:to_upper`: Latin-1, a byte a character.
pub(super) fn upper(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if lower_case(*byte) { byte - 0x20 } else { *byte }).collect()
}

/// As `string:to_lower`.
pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if upper_case(*byte) { byte + 0x20 } else { *byte }).collect()
}

/// Letters with an upper-case form in Latin-1.
pub(super) fn lower_case(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | 0xe0..=0xf6 | 0xf8..=0xfe)
}

/// Letters with a lower-case form in Latin-1.
pub(super) fn upper_case(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde)
}

/// The value of a form's field, decoded: it ends at `&` or `;`, as Riak's decoder has it. A `%`
/// without two hexadecimal digits stands for itself.
pub(super) fn url_decoded(text: &[u8]) -> Vec<u8> {
    let end = text.iter().position(|byte| matches!(byte, b'&' | b';')).unwrap_or(text.len());
    let mut rest = text.get(..end).unwrap_or(text);
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let hex =
            |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(*byte),
        }
    }
    decoded
}
