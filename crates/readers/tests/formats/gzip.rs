//! gzip and base64, held against `gzip` and `base64`.

use mapring_readers::Format;

use crate::support::{data, lines, read, run, shown};

#[test]
fn every_member_of_a_file() {
    let Some(one) = run("gzip", &["-c"], b"a\nbb\n\nccc\ndddd") else { return };
    let text: Vec<u8> =
        (0..40_000u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let Some(two) = run("gzip", &["-1", "-c"], &text) else { return };
    assert_eq!(data(read(&[Format::Gzip], &one)), [b"a\nbb\n\nccc\ndddd"]);
    let padded = [&one[..], &[0; 600], &two, &one, &[0; 3]].concat();
    let whole = [b"a\nbb\n\nccc\ndddd", &text[..], b"a\nbb\n\nccc\ndddd"].concat();
    assert_eq!(data(read(&[Format::Gzip], &padded)), [&whole[..]]);
    let given = shown(read(&[Format::Gzip, lines()], &padded));
    assert_eq!(given.len(), 5 + 39_999 + 5);
    assert_eq!(given[4], "{\"offset\":10} dddd0");
    assert_eq!(Some(whole), run("gzip", &["-dc"], &[&one[..], &two, &one].concat()));
}

#[test]
fn headers_with_all_their_parts() {
    let Some(made) = crate::support::python(
        "import zlib, struct\n\
         d = zlib.compressobj(9, zlib.DEFLATED, -15)\n\
         body = d.compress(b'hello') + d.flush()\n\
         head = b'\\x1f\\x8b\\x08\\x1f' + bytes(6) + struct.pack('<H', 300) + bytes(300) + b'name\\0' + b'words\\0'\n\
         head += struct.pack('<H', zlib.crc32(head) & 0xffff)\n\
         sys.stdout.buffer.write(head + body + struct.pack('<II', zlib.crc32(b'hello'), 5))",
        std::path::Path::new("/"),
        b"",
    ) else {
        return;
    };
    assert_eq!(data(read(&[Format::Gzip], &made)), [b"hello"]);
    assert_eq!(run("gzip", &["-dc"], &made), Some(b"hello".to_vec()));
    let mut wrong = made.clone();
    wrong[14] ^= 1;
    let expect = [
        "!byte 325: the checksum of the header is wrong, in the gzip member that begins at byte 0",
    ];
    assert_eq!(shown(read(&[Format::Gzip], &wrong)), expect);
}

#[test]
fn gzip_in_gzip() {
    let Some(inner) = run("gzip", &["-c"], b"x\ny\n") else { return };
    let Some(outer) = run("gzip", &["-c"], &inner) else { return };
    let formats = [Format::Gzip, Format::Gzip, lines()];
    assert_eq!(shown(read(&formats, &outer)), ["{\"offset\":0} x", "{\"offset\":2} y"]);
    let Some(broken) = run("gzip", &["-c"], &inner[..inner.len() - 3]) else { return };
    let expect =
        "!decompressed, byte 21: the file is cut off, in the gzip member that begins at byte 0";
    assert_eq!(shown(read(&formats, &broken)).last().unwrap(), expect);
}

#[track_caller]
fn decodes(text: &str, expect: Result<&str, &str>) {
    let given = shown(read(&[Format::Base64], text.as_bytes()));
    let expect = match expect {
        Ok(text) => format!(" {text}"),
        Err(error) => format!("!{error}"),
    };
    assert_eq!(given, [expect], "{text}");
}

#[test]
fn base64() {
    decodes("", Ok(""));
    decodes("aGVsbG8=", Ok("hello"));
    decodes("aGVsbG8", Ok("hello"));
    decodes(" aGV\r\nsbG8\n=\n", Ok("hello"));
    decodes("Pj4-Pz8_", Ok(">>>???"));
    decodes("aGVsbG8=x", Err("byte 8: text follows the padding"));
    decodes("aGVs*bG8", Err("byte 4: here is no digit of base64"));
    decodes("aGVsb", Err("byte 5: the text is cut off or damaged"));
    decodes(
        "aGVsbG8==",
        Err("byte 9: the padding does not fit the text: it is cut off or damaged"),
    );
    let bytes: Vec<u8> = (0..300_000u32).map(|number| number.to_le_bytes()[1]).collect();
    let Some(text) = run("base64", &[], &bytes) else { return };
    assert_eq!(data(read(&[Format::Base64], &text)), [bytes]);
}
