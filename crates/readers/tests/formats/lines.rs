//! Lines, in pieces and encodings.

use mapring_readers::{Format, LineFormat, Piece, Reader, split};

use crate::support::{Given, Random, lines, of, read, read_from, read_piece, shown};

#[track_caller]
fn check(format: LineFormat, text: &[u8], expect: &[&str]) {
    assert_eq!(shown(read(&[Format::Lines(format)], text)), expect);
}

fn separated(separator: &str) -> LineFormat {
    LineFormat { separator: Some(separator.to_owned()), ..LineFormat::default() }
}

fn encoded(encoding: &str) -> LineFormat {
    LineFormat { encoding: Some(encoding.to_owned()), ..LineFormat::default() }
}

#[test]
fn lines_with_their_offsets() {
    let questions = b"20-questions\r\n20q\r\na\r\n";
    let plain = LineFormat::default();
    let stripped = ["{\"offset\":0} 20-questions", "{\"offset\":14} 20q", "{\"offset\":19} a"];
    check(plain.clone(), questions, &stripped);
    let kept = LineFormat { keep_cr: true, ..LineFormat::default() };
    let kept_texts =
        ["{\"offset\":0} 20-questions\r", "{\"offset\":14} 20q\r", "{\"offset\":19} a\r"];
    check(kept, questions, &kept_texts);
    let expect = [
        "{\"offset\":0} a",
        "{\"offset\":2} bb",
        "{\"offset\":5} ",
        "{\"offset\":6} ccc",
        "{\"offset\":10} dddd",
    ];
    check(plain.clone(), b"a\nbb\n\nccc\ndddd", &expect);
    check(plain.clone(), b"", &[]);
    check(plain, b"\n", &["{\"offset\":0} "]);
}

#[test]
fn other_separators() {
    check(separated("\0"), b"a\0b\r\n\0", &["{\"offset\":0} a", "{\"offset\":2} b\r\n"]);
    check(
        separated("ab"),
        b"aabxabab",
        &["{\"offset\":0} a", "{\"offset\":3} x", "{\"offset\":6} "],
    );
    check(separated("aa"), b"xaaayaa", &["{\"offset\":0} x", "{\"offset\":3} ay"]);
}

#[test]
fn encodings() {
    let wide = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    };
    let little = wide("é\r\n😀\n\u{a0a}\n", u16::to_le_bytes);
    let expect = ["{\"offset\":0} é", "{\"offset\":6} 😀", "{\"offset\":12} \u{a0a}"];
    check(encoded("utf-16le"), &little, &expect);
    check(encoded("utf-16"), &little, &expect);
    let big = wide("\u{feff}é\r\n😀\n\u{a0a}\n", u16::to_be_bytes);
    let expect = ["{\"offset\":2} é", "{\"offset\":8} 😀", "{\"offset\":14} \u{a0a}"];
    check(encoded("utf-16"), &big, &expect);
    check(
        encoded("utf-16"),
        &wide("\nx", u16::to_le_bytes),
        &["{\"offset\":0} ", "{\"offset\":2} x"],
    );
    check(encoded("latin-1"), b"\xe9\nb", &["{\"offset\":0} é", "{\"offset\":2} b"]);
    let wrong = "!byte 2: the line is no text in its encoding";
    check(
        encoded("utf-16le"),
        b"\n\0x\0\0\xd8\n\0y\0",
        &["{\"offset\":0} ", wrong, "{\"offset\":8} y"],
    );
}

#[test]
fn text_that_is_not_utf8_is_passed_on() {
    let given = read(&[lines()], b"\xff\n");
    assert_eq!(given[0].as_ref().unwrap().data.as_ref(), b"\xff");
}

/// What all pieces give together.
#[track_caller]
fn together(format: &Format, text: &[u8], pieces: u64) -> Vec<Given> {
    let pieces = split(text.len() as u64, pieces);
    let read = |piece: &Piece| read_from(std::slice::from_ref(format), text, piece, None, 5);
    pieces.iter().flat_map(read).map(|(given, _)| given).collect()
}

#[test]
fn pieces_have_each_line_once() {
    let counts = |pieces| -> Vec<usize> {
        let pieces = split(14, pieces);
        let read = |piece| read_piece(&[lines()], b"a\nbb\n\nccc\ndddd", piece).len();
        pieces.iter().map(read).collect()
    };
    assert_eq!(counts(3), [2, 2, 1]);
    let mut random = Random(0);
    for separator in ["\n", "\r\n", "ab", "\u{e9}", "abc"] {
        for encoding in ["utf-8", "utf-16le", "utf-32be"] {
            let format = LineFormat {
                separator: Some(separator.to_owned()),
                encoding: Some(encoding.to_owned()),
                keep_cr: false,
            };
            let format = Format::Lines(format);
            assert!(format.splits_bytes());
            for _ in 0..30 {
                let parts = ["a", "b", "c", "\r", "\n", "é", "\u{a0a}", separator];
                let length = random.below(20);
                let text: String = (0..length).map(|_| *random.pick(&parts)).collect();
                let bytes: Vec<u8> = match encoding {
                    "utf-8" => text.clone().into_bytes(),
                    "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                    _ => text.chars().flat_map(|char| u32::from(char).to_be_bytes()).collect(),
                };
                let whole = read(std::slice::from_ref(&format), &bytes);
                let expect: Vec<&str> = text.split(separator).collect();
                let texts = crate::support::data(whole.clone());
                let expect = match expect.split_last() {
                    Some((&"", before)) => before,
                    _ => &expect[..],
                };
                let texts: Vec<String> =
                    texts.into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
                assert_eq!(texts, expect, "{text:?} by {separator:?} in {encoding}");
                for pieces in 1..12 {
                    assert_eq!(together(&format, &bytes, pieces), whole, "{text:?} in {pieces}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_found_from_the_middle_is_not_split() {
    for format in [separated("aa"), separated("\n\n"), encoded("utf-16")] {
        assert!(!Format::Lines(format).splits_bytes());
    }
    let piece = Piece::Bytes { start: 1, end: 2 };
    for format in [Format::Gzip, Format::Lines(separated("aa")), Format::Fields] {
        assert!(Reader::new(&[format], &of(3), &piece, None).is_err());
    }
}

#[test]
fn formats_that_cannot_be() {
    for (format, field) in [
        (separated(""), "separator"),
        (separated(&"x".repeat(1_000)), "separator"),
        (encoded("nothing"), "encoding"),
        (LineFormat { encoding: Some("gbk".into()), ..separated("|") }, "separator"),
    ] {
        assert_eq!(Format::Lines(format).check().unwrap_err().field, field);
    }
    let deep = vec![Format::Gzip; 9];
    assert!(Reader::new(&deep, &of(0), &Piece::Whole, None).is_err());
}

#[test]
fn a_line_beyond_the_limit_is_an_error_and_the_next_is_read() {
    let most = mapring_readers::limits::ITEM_BYTES;
    let mut text = vec![b'x'; most + 100];
    text.extend_from_slice(b"\nshort\n");
    let offset = most + 101;
    let expect = [
        format!("!byte 0: a line is longer than {most} bytes"),
        format!("{{\"offset\":{offset}}} short"),
    ];
    assert_eq!(shown(read(&[lines()], &text)), expect);
    text.truncate(most + 50);
    assert_eq!(shown(read(&[lines()], &text)), expect[..1]);
}
