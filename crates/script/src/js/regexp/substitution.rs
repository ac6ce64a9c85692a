//! Texts that are put in the place of matches, where a dollar stands for a part of the match:
//! ECMAScript's `GetSubstitution`, without names of groups.

use std::ops::Range;

use boa_engine::string::{JsStr, JsStrVariant};
use boa_engine::{JsError, JsNativeError, JsResult, JsString};
use regress::Match;

use crate::limits;

/// A part of such a text.
enum Piece {
    /// A part of the text itself.
    Own(Range<usize>),
    Match,
    Before,
    After,
    Capture(usize),
}

/// The text with all matches replaced.
pub(super) fn replaced(text: &JsString, by: &JsString, found: &[Match]) -> JsResult<JsString> {
    let captures = found.first().map_or(0, |found| found.captures.len());
    let pieces = pieces(by, captures);
    let (text, by) = (text.as_str(), by.as_str());
    if let (JsStrVariant::Latin1(text), JsStrVariant::Latin1(by)) = (text.variant(), by.variant()) {
        return Ok(JsStr::latin1(&expanded(text, by, &pieces, found)?).into());
    }
    let units = |text: JsStr<'_>| text.iter().collect::<Vec<u16>>();
    Ok(JsStr::utf16(&expanded(&units(text), &units(by), &pieces, found)?).into())
}

fn expanded<T: Copy>(text: &[T], by: &[T], pieces: &[Piece], all: &[Match]) -> JsResult<Vec<T>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = 0;
    for found in all {
        out.extend_from_slice(&text[rest..found.start()]);
        for piece in pieces {
            let part = match piece {
                Piece::Own(range) => &by[range.clone()],
                Piece::Match => &text[found.range()],
                Piece::Before => &text[..found.start()],
                Piece::After => &text[found.end()..],
                Piece::Capture(at) => match found.captures.get(*at - 1) {
                    Some(Some(range)) => &text[range.clone()],
                    _ => continue,
                },
            };
            if out.len() + part.len() > limits::REPLACED_UNITS {
                return Err(too_long());
            }
            out.extend_from_slice(part);
        }
        rest = found.end();
    }
    out.extend_from_slice(&text[rest..]);
    Ok(out)
}

fn too_long() -> JsError {
    let most = limits::REPLACED_UNITS;
    let message = format!("replace: the text would have more than {most} characters");
    JsNativeError::range().with_message(message).into()
}

/// The parts of a text, for an expression with so many captures.
fn pieces(by: &JsString, captures: usize) -> Vec<Piece> {
    let units: Vec<u16> = by.iter().collect();
    let byte = |at: usize| units.get(at).and_then(|&unit| u8::try_from(unit).ok()).unwrap_or(0);
    let digit = |at: usize| Some(usize::from(byte(at))).filter(|byte| (48..58).contains(byte));
    let is_capture = |number: &usize| (1..=captures).contains(number);
    let (mut pieces, mut at, mut own) = (Vec::new(), 0, 0);
    while at < units.len() {
        let two = || Some((digit(at + 1)? - 48) * 10 + digit(at + 2)? - 48).filter(is_capture);
        let one = || Some(digit(at + 1)? - 48).filter(is_capture);
        let (piece, length) = match (byte(at), byte(at + 1)) {
            // The second one stays.
            (b'$', b'$') => (Piece::Own(at + 1..at + 2), 2),
            (b'$', b'&') => (Piece::Match, 2),
            (b'$', b'`') => (Piece::Before, 2),
            (b'$', b'\'') => (Piece::After, 2),
            (b'$', _) => match (two(), one()) {
                (Some(number), _) => (Piece::Capture(number), 3),
                (None, Some(number)) => (Piece::Capture(number), 2),
                (None, None) => {
                    at += 1;
                    continue;
                }
            },
            _ => {
                at += 1;
                continue;
            }
        };
        if own < at {
            pieces.push(Piece::Own(own..at));
        }
        pieces.push(piece);
        at += length;
        own = at;
    }
    if own < units.len() {
        pieces.push(Piece::Own(own..units.len()));
    }
    pieces
}
