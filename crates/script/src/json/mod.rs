//! JSON as JavaScript and Erlang see it: one reader for all kinds of values, and what writers
//! share. Unlike serde_json it accepts lone surrogates, bounds the depth, and keeps numbers exact.

mod mend;
mod number;
mod read;
mod value;

pub(crate) use mend::without_raw_controls;
pub use mend::without_trailing_commas;
pub(crate) use number::{write_erlang_float, write_js_number};
pub(crate) use read::{Build, ReadError, Text, read};
pub(crate) use value::{Number, Value, js_order, parse, parse_members};

/// Appends the text as a JSON string, escaping what JSON requires.
pub(crate) fn write_str(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(plain..at).unwrap_or_default());
        escape(u16::from(byte), out);
        plain = at + 1;
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

/// Appends UTF-16 code units as a JSON string; lone surrogates are escaped.
pub(crate) fn write_units(units: impl Iterator<Item = u16>, out: &mut String) {
    out.push('"');
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(c) if c >= ' ' && c != '"' && c != '\\' => out.push(c),
            Ok(c) => escape(u16::try_from(u32::from(c)).unwrap_or_default(), out),
            Err(lone) => escape(lone.unpaired_surrogate(), out),
        }
    }
    out.push('"');
}

/// The JSON text of a string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_str(text, &mut out);
    out
}

fn escape(unit: u16, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match unit {
        0x08 => 'b',
        0x09 => 't',
        0x0a => 'n',
        0x0c => 'f',
        0x0d => 'r',
        0x22 => '"',
        0x5c => '\\',
        _ => {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                out.push(char::from(HEX[usize::from((unit >> shift) & 15)]));
            }
            return;
        }
    };
    out.push('\\');
    out.push(short);
}
