//! Damaged files: each is an error that names member and byte, and never just shorter.

use mapring_readers::Format;

use crate::support::{Random, lines, read, run, shown};
use crate::zip::{THREE, archive};

/// How a file is damaged, and what is said first.
type Damage<'a> = (&'a str, Box<dyn Fn(&mut Vec<u8>)>, &'a str);

#[track_caller]
fn check(formats: &[Format], sound: &[u8], damages: Vec<Damage<'_>>) {
    for (name, damage, expect) in damages {
        let mut file = sound.to_vec();
        damage(&mut file);
        let given = shown(read(formats, &file));
        let error = given.iter().find_map(|given| given.strip_prefix('!'));
        assert_eq!(error, Some(expect), "{name}");
    }
}

#[test]
fn damaged_gzip() {
    // Of known bytes: other programs and versions compress otherwise.
    let Some(file) = crate::support::python(
        "import zlib, struct\n\
         d = zlib.compressobj(0, zlib.DEFLATED, -15)\n\
         body = d.compress(b'a\\nbb\\n') + d.flush()\n\
         sys.stdout.buffer.write(b'\\x1f\\x8b\\x08' + bytes(7) + body + struct.pack('<II', zlib.crc32(b'a\\nbb\\n'), 5))",
        std::path::Path::new("/"),
        b"",
    ) else {
        return;
    };
    assert_eq!(file.len(), 28);
    let of = ", in the gzip member that begins at byte 0";
    let cut = format!("byte 27: the file is cut off{of}");
    let start = format!("byte 12: the file is cut off{of}");
    let checksum = format!("byte 28: the checksum is wrong{of}");
    let length = format!("byte 28: the length is wrong{of}");
    let method = format!("byte 10: it is compressed in an unknown way{of}");
    let flags = format!("byte 10: the header has unknown flags{of}");
    let empty = format!("byte 0: there is nothing{of}");
    let second =
        "byte 38: the file is cut off, in the gzip member that begins at byte 30".to_owned();
    check(
        &[Format::Gzip, lines()],
        &file,
        vec![
            ("cut in the trailer", Box::new(|file| file.truncate(27)), &cut),
            ("cut in the data", Box::new(|file| file.truncate(12)), &start),
            ("wrong checksum", Box::new(|file| file[20] ^= 1), &checksum),
            ("wrong length", Box::new(|file| file[24] ^= 1), &length),
            ("unknown method", Box::new(|file| file[2] = 7), &method),
            ("unknown flags", Box::new(|file| file[3] = 0x80), &flags),
            ("nothing", Box::new(Vec::clear), &empty),
            (
                "something behind",
                Box::new(|file| file.extend(b"\0\0x2345678901")),
                "byte 30: here is neither a gzip member nor padding",
            ),
            (
                "no gzip",
                Box::new(|file| file[0] = b'x'),
                "byte 0: here is neither a gzip member nor padding",
            ),
            (
                "second member cut",
                Box::new(|file| {
                    file.extend([0, 0]);
                    let again = file[..8].to_vec();
                    file.extend(again);
                }),
                &second,
            ),
        ],
    );
}

/// Every file that ends early is an error, wherever.
#[test]
fn gzip_cut_anywhere() {
    let Some(file) = run("gzip", &["-c"], &b"some text\n".repeat(30)) else { return };
    for length in 0..file.len() {
        let given = shown(read(&[Format::Gzip], &file[..length]));
        assert!(given.len() == 1 && given[0].starts_with('!'), "{length}: {given:?}");
    }
}

#[test]
fn damaged_archives() {
    let Some(file) = archive(&THREE.replace("ZIP_DEFLATED", "ZIP_STORED")) else { return };
    // Header 30, name 5, data 23, and so on.
    let second = 30 + 5 + 23;
    let directory = second + 30 + 5 + 47 + 30 + 5 + 71;
    let entry = 46 + 5;
    assert_eq!(&file[directory..directory + 4], b"PK\x01\x02");
    let at = |at: usize, text: &str| format!("byte {at} (member \"1.txt\"): {text}");
    let data_end = second + 35 + 47;
    let checksum = at(data_end, "its checksum is wrong");
    let encrypted = at(second, "it is encrypted");
    let method = at(second, "it is packed with method 12; only deflate is read");
    let lengths = at(second, "it is not packed and has two lengths");
    let name = at(second, "its header and the directory differ in its name");
    let packing = at(second, "its header and the directory differ in how it is packed");
    let room = at(second, "it is longer than there is room before the directory");
    let none = at(second, "here is no member");
    let behind = format!(
        "byte {} (member \"1.txt\"): its place lies behind the directory's start",
        directory + entry
    );
    let damaged = format!("byte {}: the directory is damaged", directory + entry);
    let count = format!(
        "byte {}: the directory has 3 entries and says that it has 4",
        directory + 3 * entry
    );
    let gone = format!(
        "byte {}: there is no end record: this is no archive, or it is cut off",
        file.len() - 1
    );
    let parts = format!("byte {}: it is one of several parts of an archive", directory + 3 * entry);
    let entry = directory + entry;
    let end = file.len() - 22;
    check(
        &[Format::Zip, lines()],
        &file,
        vec![
            ("checksum", Box::new(move |file| file[second + 40] ^= 1), &checksum),
            ("encrypted", Box::new(move |file| file[entry + 8] |= 1), &encrypted),
            ("method", Box::new(move |file| file[entry + 10] = 12), &method),
            ("size", Box::new(move |file| file[entry + 24] += 1), &lengths),
            ("name", Box::new(move |file| file[second + 30] = b'x'), &name),
            ("packing", Box::new(move |file| file[second + 8] = 8), &packing),
            (
                "too long",
                Box::new(move |file| {
                    file[entry + 22] = 9;
                    file[entry + 26] = 9;
                }),
                &room,
            ),
            ("header", Box::new(move |file| file[second] = b'x'), &none),
            ("place", Box::new(move |file| file[entry + 44] = 1), &behind),
            ("directory", Box::new(move |file| file[entry] = b'x'), &damaged),
            ("count", Box::new(move |file| file[end + 10] = 4), &count),
            (
                "cut",
                Box::new(|file| {
                    file.pop();
                }),
                &gone,
            ),
            ("parts", Box::new(move |file| file[end + 4] = 1), &parts),
            (
                "empty",
                Box::new(Vec::clear),
                "byte 0: there is no end record: this is no archive, or it is cut off",
            ),
        ],
    );
    let mut one_wrong = file.clone();
    one_wrong[second + 40] ^= 1;
    let given = shown(read(&[Format::Zip], &one_wrong));
    assert_eq!(given.len(), 3, "the others are as they are");
    assert!(given[2].ends_with("archive 0 file 2 line 2"));
}

/// Members whose compressed data does not agree with what the directory says.
#[test]
fn sizes_that_lie() {
    let Some(file) = archive(THREE) else { return };
    let directory = file.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let size = |change: i16| {
        let mut file = file.clone();
        let old = u16::from_le_bytes([file[directory + 24], file[directory + 25]]);
        let new = old.wrapping_add_signed(change).to_le_bytes();
        file[directory + 24..directory + 26].copy_from_slice(&new);
        shown(read(&[Format::Zip], &file)).remove(0)
    };
    assert!(size(1).ends_with("(member \"0.txt\"): it has 23 bytes and the directory says 24"));
    assert!(size(-1).ends_with("it has more than the 22 bytes that the directory says"));
    let mut short = file.clone();
    short[directory + 20] -= 2;
    let given = shown(read(&[Format::Zip], &short)).remove(0);
    assert!(given.ends_with("its compressed data is cut off"), "{given}");
}

/// Whatever is changed in a file, a reader ends, and what it gives is as it was, or it says that
/// something is wrong.
#[test]
fn changed_bytes_never_go_unnoticed() {
    let Some(gzip) = run("gzip", &["-nc"], &b"some text\n".repeat(30)) else { return };
    let Some(zip) = archive(THREE) else { return };
    for (format, file) in [(Format::Gzip, gzip), (Format::Zip, zip)] {
        let formats = [format];
        let all =
            crate::support::read_from(&formats, &file, &mapring_readers::Piece::Whole, None, 999);
        let mut random = Random(5);
        for _ in 0..2_000 {
            let mut changed = file.clone();
            let at = random.below(changed.len());
            changed[at] ^= 1 << random.below(8);
            let piece = mapring_readers::Piece::Whole;
            let given = crate::support::read_from(&formats, &changed, &piece, None, 999);
            let wrong = given.iter().any(|(given, _)| given.is_err());
            let same = given.len() == all.len()
                && given.iter().zip(&all).all(|((one, _), (two, _))| {
                    one.as_ref().map(|item| &item.data) == two.as_ref().map(|item| &item.data)
                });
            assert!(wrong || same, "byte {at} of {formats:?}");
        }
    }
}
