//! In what bytes texts are written.

use std::borrow::Cow;

use encoding_rs::Encoding as Table;

/// An encoding of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Utf8,
    Latin1,
    /// Units of two or four bytes; where the order is not known, a mark at the start says it.
    Wide(Width, Option<Order>),
    Table(&'static Table),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Two,
    Four,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

/// What text in wide units begins with, if it says the order of their bytes.
const MARK: char = '\u{feff}';

/// Bytes from this on may be the second of a character in tables of several bytes.
const SECOND_BYTES: u8 = 0x30;

impl Encoding {
    /// UTF-8, which is passed on as it is.
    pub const UTF_8: Self = Self(Kind::Utf8);

    /// The encoding of a name: `utf-8`, `latin-1`, `utf-16` and `utf-32` (with a mark, or `le` or `be`),
    /// and the labels of the Encoding Standard. `None` for an unknown one.
    pub fn of(name: &str) -> Option<Self> {
        let plain: String = name.to_ascii_lowercase().replace(['_', ' '], "-");
        let plain = plain.replace("utf-", "utf");
        let kind = match plain.as_str() {
            "utf8" | "ascii" | "us-ascii" => Kind::Utf8,
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Kind::Latin1,
            "utf16" => Kind::Wide(Width::Two, None),
            "utf16le" | "utf16-le" => Kind::Wide(Width::Two, Some(Order::Little)),
            "utf16be" | "utf16-be" => Kind::Wide(Width::Two, Some(Order::Big)),
            "utf32" => Kind::Wide(Width::Four, None),
            "utf32le" | "utf32-le" => Kind::Wide(Width::Four, Some(Order::Little)),
            "utf32be" | "utf32-be" => Kind::Wide(Width::Four, Some(Order::Big)),
            _ => {
                let table = Table::for_label(name.as_bytes())?;
                if !table.is_ascii_compatible() {
                    return None;
                }
                Kind::Table(table)
            }
        };
        Some(Self(kind))
    }

    /// The bytes of its smallest unit.
    pub(crate) fn unit(self) -> u64 {
        match self.0 {
            Kind::Wide(Width::Two, _) => 2,
            Kind::Wide(Width::Four, _) => 4,
            _ => 1,
        }
    }

    /// Whether only the start of a text says how it is written.
    pub(crate) fn needs_mark(self) -> bool {
        matches!(self.0, Kind::Wide(_, None))
    }

    /// What the start of a text says about it, and how long the mark is: little-endian if there is
    /// none.
    pub(crate) fn marked(self, start: &[u8]) -> (Self, u64) {
        let Kind::Wide(width, None) = self.0 else { return (self, 0) };
        let with = |order| Self(Kind::Wide(width, Some(order)));
        for order in [Order::Little, Order::Big] {
            if with(order).encode(&String::from(MARK)).is_some_and(|mark| start == mark) {
                return (with(order), self.unit());
            }
        }
        (with(Order::Little), 0)
    }

    /// A separator as it stands in a text; `None` when it cannot, or cannot be told from parts of other
    /// characters.
    pub(crate) fn encode(self, text: &str) -> Option<Vec<u8>> {
        Some(match self.0 {
            Kind::Utf8 => text.as_bytes().to_vec(),
            Kind::Latin1 => {
                let bytes = text.chars().map(|char| u8::try_from(u32::from(char)).ok());
                bytes.collect::<Option<_>>()?
            }
            Kind::Wide(Width::Two, order) => {
                let units = text.encode_utf16().map(|unit| match order {
                    Some(Order::Big) => unit.to_be_bytes(),
                    _ => unit.to_le_bytes(),
                });
                units.flatten().collect()
            }
            Kind::Wide(Width::Four, order) => {
                let units = text.chars().map(|char| match order {
                    Some(Order::Big) => u32::from(char).to_be_bytes(),
                    _ => u32::from(char).to_le_bytes(),
                });
                units.flatten().collect()
            }
            Kind::Table(table) => {
                let (bytes, _, lacking) = table.encode(text);
                let told_apart =
                    table.is_single_byte() || bytes.iter().all(|byte| *byte < SECOND_BYTES);
                if lacking || !told_apart {
                    return None;
                }
                bytes.into_owned()
            }
        })
    }

    /// A text in UTF-8; `None` when the bytes are none in this encoding. UTF-8 itself is not looked
    /// into.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        let text: String = match self.0 {
            Kind::Utf8 => return Some(Cow::Borrowed(bytes)),
            Kind::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Kind::Wide(Width::Two, order) => {
                let (units, []) = bytes.as_chunks::<2>() else { return None };
                let units = units.iter().copied().map(|unit| match order {
                    Some(Order::Big) => u16::from_be_bytes(unit),
                    _ => u16::from_le_bytes(unit),
                });
                char::decode_utf16(units).collect::<Result<_, _>>().ok()?
            }
            Kind::Wide(Width::Four, order) => {
                let (units, []) = bytes.as_chunks::<4>() else { return None };
                let units = units.iter().copied().map(|unit| match order {
                    Some(Order::Big) => u32::from_be_bytes(unit),
                    _ => u32::from_le_bytes(unit),
                });
                units.map(char::from_u32).collect::<Option<_>>()?
            }
            Kind::Table(table) => {
                table.decode_without_bom_handling_and_without_replacement(bytes)?.into_owned()
            }
        };
        Some(Cow::Owned(text.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, bytes: &[u8]) {
        let encoding = Encoding::of(name).unwrap();
        assert_eq!(encoding.encode(text).as_deref(), Some(bytes), "{name}");
        assert_eq!(encoding.decode(bytes).as_deref(), Some(text.as_bytes()), "{name}");
    }

    #[test]
    fn texts_in_encodings() {
        check("utf-8", "é", b"\xc3\xa9");
        check("UTF8", "é", b"\xc3\xa9");
        check("latin-1", "é", b"\xe9");
        check("ISO-8859-1", "\u{80}", b"\x80");
        check("windows-1252", "€", b"\x80");
        check("utf-16le", "é\n", b"\xe9\0\n\0");
        check("utf_16_be", "é\n", b"\0\xe9\0\n");
        check("utf-16le", "😀", b"\x3d\xd8\0\xde");
        check("utf32", "\n", b"\n\0\0\0");
        check("UTF-32BE", "😀", b"\0\x01\xf6\0");
        check("shift_jis", "\n", b"\n");
        for name in ["", "utf-7", "utf-64", "iso-2022-jp", "nothing"] {
            assert_eq!(Encoding::of(name), None, "{name}");
        }
        let sjis = Encoding::of("shift_jis").unwrap();
        assert_eq!(sjis.encode("|"), None);
        assert_eq!(sjis.decode(b"\x81"), None);
        assert_eq!(Encoding::of("utf-16le").unwrap().decode(b"\0\xd8"), None);
        assert_eq!(Encoding::of("utf-32le").unwrap().decode(b"\0\0\x11\0"), None);
        assert_eq!(Encoding::of("latin-1").unwrap().encode("€"), None);
    }

    #[test]
    fn marks_say_the_order_of_bytes() {
        let (two, four) = (Encoding::of("utf-16").unwrap(), Encoding::of("utf-32").unwrap());
        assert_eq!(two.marked(b"\xff\xfe"), (Encoding::of("utf-16le").unwrap(), 2));
        assert_eq!(two.marked(b"\xfe\xff"), (Encoding::of("utf-16be").unwrap(), 2));
        assert_eq!(two.marked(b"a\0"), (Encoding::of("utf-16le").unwrap(), 0));
        assert_eq!(four.marked(b"\0\0\xfe\xff"), (Encoding::of("utf-32be").unwrap(), 4));
    }
}
