//! Archives that Python's `zipfile` has written.

use bytes::Bytes;
use mapring_readers::{Format, MemberList, MemberPieces, MembersPulled, Piece};

use crate::support::{Given, lines, python, read, read_piece, shown};

/// An archive that a Python program writes as `z`, a `ZipFile` over `out`.
pub(crate) fn archive(program: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let whole = format!(
        "import zipfile, io, warnings\nwarnings.simplefilter('ignore')\n{program}\n\
         sys.stdout.buffer.write(out.getvalue())"
    );
    python(&whole, folder.path(), b"")
}

/// Members 0.txt, 1.txt, 2.txt, of one, two and three lines.
pub(crate) const THREE: &str = "out = io.BytesIO()\n\
    z = zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED)\n\
    for f in range(3): z.writestr(f'{f}.txt', '\\n'.join(f'archive 0 file {f} line {i}' for i in range(f + 1)))\n\
    z.close()";

#[test]
fn lines_of_members() {
    let Some(three) = archive(THREE) else { return };
    let given = shown(read(&[Format::Zip, lines()], &three));
    let place = |file, size, offset| {
        format!(r#"{{"member":"{file}.txt","index":{file},"size":{size},"offset":{offset}}}"#)
    };
    let expect = [
        format!("{} archive 0 file 0 line 0", place(0, 23, 0)),
        format!("{} archive 0 file 1 line 0", place(1, 47, 0)),
        format!("{} archive 0 file 1 line 1", place(1, 47, 24)),
        format!("{} archive 0 file 2 line 0", place(2, 71, 0)),
        format!("{} archive 0 file 2 line 1", place(2, 71, 24)),
        format!("{} archive 0 file 2 line 2", place(2, 71, 48)),
    ];
    assert_eq!(given, expect);
}

/// Names and lengths of the members.
fn members(given: Vec<Given>) -> Vec<(String, usize)> {
    let member = |given: Given| {
        let item = given.unwrap();
        let position: serde_json::Value = serde_json::from_str(&item.position.unwrap()).unwrap();
        assert_eq!(position["size"].as_u64(), Some(item.data.len() as u64));
        (position["member"].as_str().unwrap().to_owned(), item.data.len())
    };
    given.into_iter().map(member).collect()
}

#[test]
fn members_of_all_kinds() {
    // Written to what cannot be gone back in: lengths stand behind the data. Of one name several, a
    // folder, names of both kinds, none of these compressed alike.
    let Some(kinds) = archive(
        "class Out(io.RawIOBase):\n\
         \x20   def __init__(self): self.all = bytearray()\n\
         \x20   def writable(self): return True\n\
         \x20   def write(self, b): self.all += bytes(b); return len(b)\n\
         \x20   def getvalue(self): return bytes(self.all)\n\
         out = Out()\n\
         z = zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED)\n\
         z.writestr('same', b'a' * 10)\n\
         z.writestr('same', b'a' * 20)\n\
         z.writestr('stored', b'a' * 30, zipfile.ZIP_STORED)\n\
         z.writestr('folder/', b'')\n\
         z.writestr('folder/\u{fc}\u{4e2d}', b'x' * 100000)\n\
         z.writestr('none', b'')\n\
         z.comment = b'words PK\\x05\\x06 words'\n\
         z.close()",
    ) else {
        return;
    };
    let expect = [("same", 10), ("same", 20), ("stored", 30), ("folder/ü中", 100_000), ("none", 0)];
    let expect = expect.map(|(name, length)| (name.to_owned(), length));
    assert_eq!(members(read(&[Format::Zip], &kinds)), expect);
    // Behind a program that unpacks it.
    let prefixed = [&b"#!/bin/sh\nexit\n"[..], &kinds].concat();
    assert_eq!(members(read(&[Format::Zip], &prefixed)), expect);
}

#[test]
fn large_forms() {
    let Some(large) = archive(
        "out = io.BytesIO()\n\
         z = zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED)\n\
         with z.open('big', 'w', force_zip64=True) as f: f.write(b'x' * 1000)\n\
         for i in range(70000): z.writestr(zipfile.ZipInfo(str(i)), b'')\n\
         z.close()",
    ) else {
        return;
    };
    let piece = Piece::Whole;
    let given = crate::support::read_from(&[Format::Zip], &large, &piece, None, 100_000);
    assert_eq!(given.len(), 70_001);
    assert_eq!(given[0].0.as_ref().unwrap().data.len(), 1_000);
}

/// The pieces of an archive.
fn pieces(archive: &[u8], least: u64) -> Vec<Piece> {
    let mut list = MemberList::new(archive.len() as u64);
    let (mut gathered, mut pieces) = (MemberPieces::new(least), Vec::new());
    loop {
        match list.pull().unwrap() {
            MembersPulled::Need(at) => {
                let from = usize::try_from(at).unwrap();
                let to = archive.len().min(from + 50);
                list.feed(at, Bytes::copy_from_slice(&archive[from..to]));
            }
            MembersPulled::Member(member) => pieces.extend(gathered.push(member)),
            MembersPulled::End => break,
        }
    }
    pieces.extend(gathered.end());
    pieces
}

#[test]
fn archives_in_pieces() {
    let Some(three) = archive(THREE) else { return };
    let whole = read(&[Format::Zip, lines()], &three);
    for (least, count) in [(1, 3), (24, 2), (70, 2), (71, 1), (1_000, 1)] {
        let pieces = pieces(&three, least);
        assert_eq!(pieces.len(), count, "of {least}");
        let read = |piece: &Piece| read_piece(&[Format::Zip, lines()], &three, piece);
        let found: Vec<Given> = pieces.iter().flat_map(read).collect();
        assert_eq!(found, whole);
    }
}
