//! Records: lines of JSON, blocks, fields.

use mapring_readers::{Format, Piece, split};

use crate::support::{Given, Random, read, read_from, shown};

const BLOCK: usize = 32 << 10;

/// Writes blocks.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    fn fragment(&mut self, kind: u8, data: &[u8]) {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), data);
        let masked = checksum.rotate_right(15).wrapping_add(0xa282_ead8);
        self.0.extend_from_slice(&masked.to_le_bytes());
        self.0.extend_from_slice(&u16::try_from(data.len()).unwrap().to_le_bytes());
        self.0.push(kind);
        self.0.extend_from_slice(data);
    }

    pub(crate) fn record(&mut self, mut data: &[u8]) {
        let mut first = true;
        loop {
            let left = BLOCK - self.0.len() % BLOCK;
            if left < 7 {
                self.0.resize(self.0.len() + left, 0);
                continue;
            }
            let (part, rest) = data.split_at(data.len().min(left - 7));
            let kind = match (first, rest.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            self.fragment(kind, part);
            (data, first) = (rest, false);
            if data.is_empty() {
                return;
            }
        }
    }

    /// Fills the block, as a flush does.
    pub(crate) fn flush(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }
}

fn records(given: Vec<Given>) -> Vec<Vec<u8>> {
    crate::support::data(given)
}

/// Records of many sizes, some flushed behind.
fn file(seed: u64) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut random = Random(seed * 1_000);
    let mut writer = Writer::default();
    let mut all = Vec::new();
    for number in 0..40u8 {
        let most = *random.pick(&[10, 1_000, 40_000, 120_000]);
        let length = random.below(most);
        // Now and then an empty one with exactly seven bytes left.
        let left = BLOCK - writer.0.len() % BLOCK;
        let length = if left > 20 && random.below(5) == 0 { left - 14 } else { length };
        let record = vec![number; length];
        writer.record(&record);
        all.push(record);
        if length + 14 == left {
            writer.record(b"");
            all.push(Vec::new());
        }
        if random.below(6) == 0 {
            writer.flush();
        }
    }
    (all, writer.0)
}

#[test]
fn blocks_in_pieces() {
    for seed in 0..6 {
        let (all, file) = file(seed);
        let whole = read_from(&[Format::Records], &file, &Piece::Whole, None, 10_000);
        let whole: Vec<Given> = whole.into_iter().map(|(given, _)| given).collect();
        assert_eq!(records(whole.clone()), all, "seed {seed}");
        for pieces in [2, 3, 7, 50, 333] {
            let pieces = split(file.len() as u64, pieces);
            let read = |piece: &Piece| read_from(&[Format::Records], &file, piece, None, 9_999);
            let found = pieces.iter().flat_map(read).map(|(given, _)| given);
            assert_eq!(found.collect::<Vec<_>>(), whole, "seed {seed}");
        }
    }
}

#[test]
fn small_blocks_from_every_cursor() {
    let mut writer = Writer::default();
    for record in [&b"one"[..], b"", &[7; 40_000], b"two"] {
        writer.record(record);
    }
    writer.flush();
    writer.record(b"three");
    let given = read(&[Format::Records], &writer.0);
    assert_eq!(records(given).last().unwrap(), b"three");
}

/// What the pieces of a damaged file give, however many: the same.
#[track_caller]
fn check(file: &[u8], expect: &[&str]) {
    let found = |given: Vec<Given>| -> Vec<String> {
        let mut all = shown(given);
        for text in &mut all {
            *text = text.chars().take(160).collect();
        }
        all
    };
    assert_eq!(found(read(&[Format::Records], file)), expect);
    for pieces in [2, 5, 64] {
        let pieces = split(file.len() as u64, pieces);
        let read = |piece: &Piece| read_from(&[Format::Records], file, piece, None, 9_999);
        let given = pieces.iter().flat_map(read).map(|(given, _)| given).collect();
        let (mut found, mut expect) = (found(given), expect.to_vec());
        // An error about a record may come behind those of a later piece.
        found.sort_unstable();
        expect.sort_unstable();
        assert_eq!(found, expect, "in {} pieces", pieces.len());
    }
}

#[test]
fn damaged_blocks() {
    let mut writer = Writer::default();
    writer.record(b"one");
    writer.record(&vec![b'x'; BLOCK]);
    writer.record(b"three");
    let sound = writer.0;
    let (one, three) = (r#"{"offset":0} one"#, r#"{"offset":32792} three"#);
    let cut = "the file ends within the record that begins here";

    let mut wrong = sound.clone();
    wrong[8] ^= 1;
    let left_out = "!byte 0: the checksum of a fragment is wrong; the block is left out from here on, up to byte 32768";
    check(&wrong, &[left_out, three]);
    let mut wrong = sound.clone();
    wrong[BLOCK + 8] ^= 1;
    let both = "!byte 32768: the checksum of a fragment is wrong; the block is left out from here on, up to byte 65536, with the record that begins at byte 10";
    check(&wrong, &[one, both]);
    let mut wrong = sound.clone();
    wrong[10 + 6] = 9;
    let kind = "!byte 10: a fragment has an unknown kind; the block is left out from here on, up to byte 32768";
    check(&wrong, &[one, kind, three]);
    let mut wrong = sound.clone();
    wrong[10 + 5] = 0xff;
    let beyond = "!byte 10: a fragment reaches beyond its block; the block is left out from here on, up to byte 32768";
    check(&wrong, &[one, beyond, three]);
    check(&sound[..BLOCK + 3], &[one, &format!("!byte 10: {cut}")]);
    check(&sound[..BLOCK + 20], &[one, &format!("!byte 10: {cut}")]);
    check(
        &sound[..32_792 + 3],
        &[one, &shown(read(&[Format::Records], &sound))[1][..160], &format!("!byte 32792: {cut}")],
    );
}

#[test]
fn fragments_that_do_not_fit_together() {
    let mut writer = Writer::default();
    writer.fragment(2, b"begun");
    writer.fragment(1, b"full");
    writer.fragment(3, b"middle");
    writer.fragment(4, b"last");
    writer.fragment(1, b"end");
    let expect = [
        "!byte 0: the record that begins here has no end",
        r#"{"offset":12} full"#,
        "!byte 23: a record has no beginning",
        r#"{"offset":47} end"#,
    ];
    check(&writer.0, &expect);
}

#[test]
fn lines_of_json() {
    let expect = [
        r#"{"offset":0} a=1"#,
        r#"{"offset":8} b=[2]"#,
        r#"{"offset":19} ["a",3,4]"#,
        r#"{"offset":30} [1]={"x":"y"}"#,
        r#"!byte 46: the line is no JSON: EOF while parsing a list at line 1 column 4 of it"#,
        r#"{"offset":51} "text""#,
    ];
    let text = b"[\"a\",1]\n[\"b\",[2]]\n\n[\"a\",3,4]\n\n[[1],{\"x\":\"y\"}]\n[\"a\"\n\"text\"";
    assert_eq!(shown(read(&[Format::Records], text)), expect);
    assert_eq!(shown(read(&[Format::Records], b"")), [""; 0]);
    // A mark of UTF-8 is no part of the first line, but of the file; elsewhere it is no JSON.
    let marked = b"\xef\xbb\xbf[\"a\",1]\n2\n\xef\xbb\xbf3";
    let wrong = "!byte 13: the line is no JSON: expected value at line 1 column 1 of it";
    check(marked, &[r#"{"offset":0} a=1"#, r#"{"offset":11} 2"#, wrong]);
    assert_eq!(shown(read(&[Format::Records], b"\xef\xbb\xbf")), [""; 0]);
    assert_eq!(shown(read(&[Format::Records], b"1")), [r#"{"offset":0} 1"#]);
}

#[test]
fn fields_of_an_object() {
    let expect =
        [r#"{"index":0} 1={"name":"Chad"}"#, r#"{"index":1} 2=text"#, r#"{"index":2} 1=3"#];
    let text = br#"{"1":{"name":"Chad"},"2":"text","1":3}"#;
    assert_eq!(shown(read(&[Format::Fields], text)), expect);
    assert_eq!(shown(read(&[Format::Fields], b"{}")), [""; 0]);
    let wrong = shown(read(&[Format::Fields], b"[1]"));
    assert!(
        wrong.len() == 1 && wrong[0].starts_with("!byte 0: here should be a JSON object"),
        "{wrong:?}"
    );
}
