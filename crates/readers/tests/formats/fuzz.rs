//! Files that are damaged at random: whatever they are read in, and from wherever on, the same comes of
//! them, and errors say where.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use mapring_fuzz::Corpus;
use mapring_readers::{Format, limits};

use crate::records::Writer;
use crate::support::{lines, read};

#[track_caller]
fn check(formats: &[Format], file: &[u8]) {
    for given in read(formats, file) {
        match given {
            Ok(item) => assert!(item.data.len() <= limits::ITEM_BYTES),
            Err(why) => assert!(why.contains("byte "), "{why}: where?"),
        }
    }
}

/// Reads a file that nothing is wrong with.
#[track_caller]
fn sound(formats: &[Format], file: Vec<u8>) -> Vec<u8> {
    let given = read(formats, &file);
    assert!(!given.is_empty() && given.iter().all(Result::is_ok), "{given:?}");
    file
}

fn csv(header: bool) -> Format {
    Format::Csv { header, separator: None }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::default());
    to.write_all(data).unwrap();
    to.finish().unwrap()
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut to = DeflateEncoder::new(Vec::new(), Compression::default());
    to.write_all(data).unwrap();
    to.finish().unwrap()
}

/// An archive of members that are kept as they are, or packed.
fn archive(members: &[(&str, &[u8], bool)]) -> Vec<u8> {
    let short = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
    let long = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let (mut out, mut directory): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for (name, data, packed) in members {
        let kept = if *packed { deflated(data) } else { data.to_vec() };
        // From the version that is needed to the length of what is extra: the same in both places.
        let mut about: Vec<u8> = Vec::new();
        about.extend_from_slice(&short(20));
        about.extend_from_slice(&short(0));
        about.extend_from_slice(&short(if *packed { 8 } else { 0 }));
        about.extend_from_slice(&[0, 0, 0x21, 0]);
        about.extend_from_slice(&crc32fast::hash(data).to_le_bytes());
        about.extend_from_slice(&long(kept.len()));
        about.extend_from_slice(&long(data.len()));
        about.extend_from_slice(&short(name.len()));
        about.extend_from_slice(&short(0));
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&short(20));
        directory.extend_from_slice(&about);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&long(out.len()));
        directory.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&about);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&kept);
    }
    let start = out.len();
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&short(members.len()));
    out.extend_from_slice(&short(members.len()));
    out.extend_from_slice(&long(directory.len()));
    out.extend_from_slice(&long(start));
    out.extend_from_slice(&short(0));
    out
}

#[test]
fn fuzz_lines() {
    Corpus::made("lines")
        .and("one\ntwo\r\n\nthree")
        .and("\u{e9}\n\u{1f600}\n")
        .run(|bytes| check(&[lines()], bytes));
}

#[test]
fn fuzz_tables() {
    Corpus::made("tables")
        .and("name,age\nann,21\n\"b, c\",\"d\"\"e\"\n")
        .and("a,b,c\r\n1,2\r\n\"x\ny\",,3")
        .run(|bytes| {
            check(&[csv(true)], bytes);
            check(&[csv(false)], bytes);
        });
}

#[test]
fn fuzz_base64() {
    Corpus::made("base64")
        .and("b25lCnR3bwp0aHJlZQ==")
        .and("b25l\nCnR3\r\nbw==\n")
        .run(|bytes| check(&[Format::Base64, lines()], bytes));
}

#[test]
fn fuzz_gzip() {
    let two = [gzip(b"one\n"), gzip(b"two\n")].concat();
    Corpus::made("gzip")
        .and(sound(&[Format::Gzip, lines()], gzip(&b"some text\n".repeat(30))))
        .and(sound(&[Format::Gzip], two))
        .run(|bytes| {
            check(&[Format::Gzip], bytes);
            check(&[Format::Gzip, lines()], bytes);
        });
}

#[test]
fn fuzz_archives() {
    let text = b"some text\n".repeat(30);
    let kept = archive(&[("a.txt", b"one\ntwo\n", false), ("b.txt", b"three\n", false)]);
    let packed = archive(&[("folder/c.txt", &text[..], true), ("d.txt", b"four\n", false)]);
    Corpus::made("archives")
        .and(sound(&[Format::Zip, lines()], kept))
        .and(sound(&[Format::Zip], packed))
        .run(|bytes| {
            check(&[Format::Zip], bytes);
            check(&[Format::Zip, lines()], bytes);
        });
}

#[test]
fn fuzz_records() {
    let mut blocks = Writer::default();
    [&b"{\"key\":\"a\"}"[..], b"1", b"\xff"].iter().for_each(|data| blocks.record(data));
    Corpus::made("records")
        .and(blocks.0)
        .and("{\"key\":\"a\",\"value\":1}\n[1,2]\n\"x\"\n")
        .run(|bytes| check(&[Format::Records], bytes));
}

#[test]
fn fuzz_fields() {
    Corpus::made("fields")
        .and("{\"a\":1,\"b\":[true,{\"c\":null}],\"\\u00e9\":\"x\"}")
        .and("{}")
        .run(|bytes| check(&[Format::Fields], bytes));
}
