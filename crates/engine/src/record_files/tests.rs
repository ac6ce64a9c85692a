use std::fs;
use std::path::PathBuf;

use super::*;
use crate::limits;
use crate::value::{self, Stored};

fn record(head: usize, body: usize) -> Record {
    let bytes = |count: usize| (0..count).map(|at| (at % 251) as u8).collect::<Vec<u8>>();
    Record { head: bytes(head).into(), body: bytes(body).into() }
}

fn opened(medium: impl Medium + 'static) -> Arc<RecordFiles> {
    let files = Arc::new(RecordFiles::new(medium));
    files.take_stock().unwrap().finish(false).unwrap();
    files
}

/// Files in a directory, with where they lie.
fn on_disk(fsync: bool) -> (tempfile::TempDir, PathBuf, Arc<RecordFiles>) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("records");
    let files = opened(Directory::open(root.clone(), fsync).unwrap());
    (dir, root, files)
}

fn kept(name: &str) -> Vec<u8> {
    fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const LONG: usize = limits::INLINE_HEAD_BYTES + 1;

fn check_reads(files: &RecordFiles) {
    for (head, body) in [(0, 0), (20, 1 << 20), (LONG, 300_000), (LONG, 0), (100_000, 10)] {
        let record = record(head, body);
        let outline = files.write(b"key", &record).unwrap();
        let read = |depth| files.read(b"key", &outline, depth).unwrap();
        let heads = Record { head: record.head.clone(), body: Bytes::new() };
        assert!(read(ScanDepth::Records) == Found::Record(record), "{head} {body}");
        assert!(read(ScanDepth::Heads) == Found::Record(heads), "{head} {body}");
    }
}

#[test]
fn records_come_back() {
    check_reads(&opened(Memory::default()));
    for fsync in [false, true] {
        check_reads(&on_disk(fsync).2);
    }
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let (_dir, _, files) = on_disk(false);
    for head in [20, LONG] {
        let record = record(head, 300);
        let outline = files.write(b"key", &record).unwrap();
        let path = PathBuf::from(files.place(outline.generation));
        let whole = fs::read(&path).unwrap();
        let read = |depth| files.read(b"key", &outline, depth).unwrap();
        let changed = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(ScanDepth::Records) == Found::Damaged
        };
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            assert!(changed(&damaged), "byte {at}");
            assert!(changed(&whole[..at]), "cut at {at}");
        }
        assert!(changed(&[&whole[..], b"x"].concat()), "longer");
        // A head that is read alone is checked alone.
        if head == LONG {
            let mut damaged = whole.clone();
            damaged[FRAME + 7] ^= 1;
            assert!(changed(&damaged) && read(ScanDepth::Heads) == Found::Damaged);
        }
        fs::write(&path, &whole).unwrap();
        assert!(files.read(b"kez", &outline, ScanDepth::Records).unwrap() == Found::Damaged);
        fs::remove_file(&path).unwrap();
        assert!(read(ScanDepth::Records) == Found::Gone);
    }
}

/// What this release stores is read by later ones: bytes that another program made.
#[test]
fn files_and_what_names_them_are_as_they_are_described() {
    let (_dir, _, files) = on_disk(false);
    for (name, head) in [("record-file-1", 20), ("record-file-1-long-head", LONG)] {
        let outline = Outline::new(&record(head, 300), 9);
        let path = PathBuf::from(files.place(9));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, kept(name)).unwrap();
        let read = files.read(b"key", &outline, ScanDepth::Records).unwrap();
        assert!(read == Found::Record(record(head, 300)), "{name}");
        let inline = outline.inline_head().is_some();
        let head: Bytes = if inline { Bytes::new() } else { record(head, 0).head };
        let body = record(0, 300).body;
        let written = [&frame(b"key", 9, &head, &body)[..], &head, &body].concat();
        assert_eq!(written, kept(name), "{name}");
    }
    let outline = Outline::new(&record(20, 300), 9);
    assert_eq!(value::filed(b"key", &outline), kept("value-2-filed"));
    let stored = value::parse(b"key", &kept("value-2-filed"), ScanDepth::Heads);
    assert_eq!(stored, Some(Stored::Filed(outline)));
}

#[test]
fn what_nothing_names_goes_and_what_is_missing_is_known() {
    let (_dir, root, files) = on_disk(true);
    let write = || files.write(b"key", &record(5, 100)).unwrap();
    let [kept, orphan, gone] = [write(), write(), write()];
    files.remove(&[Unnamed { number: gone.generation, bytes: bytes_of(&gone) }]);
    assert_eq!(files.bytes(), 2 * 109);
    // What others put there is not ours.
    let foreign = [root.join("notes"), root.join("00/readme"), root.join("00/0001")];
    foreign.iter().for_each(|path| fs::write(path, "x").unwrap());
    for keep in [true, false] {
        let again = Arc::new(RecordFiles::new(Directory::open(root.clone(), true).unwrap()));
        let mut stock = again.take_stock().unwrap();
        assert!(stock.name(kept.generation, bytes_of(&kept)));
        assert!(!stock.name(gone.generation, bytes_of(&gone)));
        stock.finish(keep).unwrap();
        assert_eq!(again.bytes(), 109);
        let is_there = |outline: &Outline| again.numbers().unwrap().contains(&outline.generation);
        assert!(is_there(&kept) && is_there(&orphan) == keep);
        // No number is given twice, not even that of one that is missing.
        assert!(again.write(b"key", &record(5, 100)).unwrap().generation > gone.generation);
        assert!(foreign.iter().all(|path| path.exists()));
    }
}

#[test]
fn a_directory_has_so_many_files() {
    let (_dir, root, files) = on_disk(false);
    let place = |number: u64| files.place(number);
    let under = |name: &str| root.join(name).display().to_string();
    assert_eq!(place(0), under("00/0000000000000000"));
    assert_eq!(place(1_024), under("01/0000000000000400"));
    assert_eq!(place(1_024 * 256 + 5), under("00/0000000000040005"));
}

#[test]
fn a_write_that_fails_leaves_no_file() {
    let (_dir, root, files) = on_disk(false);
    fs::write(&root, "in the way").unwrap();
    let error = files.write(b"key", &record(5, 100)).unwrap_err();
    assert_eq!(error.kind(), mapring_types::ErrorKind::Storage);
    assert!(error.to_string().contains("records/00/"), "{error}");
    fs::remove_file(&root).unwrap();
    assert!(files.numbers().unwrap().is_empty() && files.bytes() == 0);
    files.write(b"key", &record(5, 100)).unwrap();
}
