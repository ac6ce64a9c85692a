//! Reading a root to its end, as a node does, and programs to compare with.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use mapring_readers::{Cursor, Format, Item, LineFormat, Piece, Pulled, Reader, Root};

/// What a reader gives: an item, or an error as text.
pub(crate) type Given = Result<Item, String>;

/// A root of so many bytes.
pub(crate) fn of(length: usize) -> Root {
    Root { length: length as u64, number: 7, seed: 1 }
}

pub(crate) fn lines() -> Format {
    Format::Lines(LineFormat::default())
}

/// Reads from a cursor to the end, fed with chunks of so many bytes; with the cursor behind each.
pub(crate) fn read_from(
    formats: &[Format],
    root: &[u8],
    piece: &Piece,
    cursor: Option<&Cursor>,
    chunk: usize,
) -> Vec<(Given, Cursor)> {
    let root = Bytes::copy_from_slice(root);
    let mut reader = Reader::new(formats, &of(root.len()), piece, cursor).unwrap();
    let mut given = Vec::new();
    loop {
        match reader.pull() {
            Ok(Pulled::Item(item)) => given.push((Ok(item), reader.cursor())),
            Ok(Pulled::End) => return given,
            Ok(Pulled::Need(at)) => {
                let from = usize::try_from(at).unwrap();
                assert!(from < root.len(), "byte {from} of {} is needed", root.len());
                reader.feed(at, root.slice(from..root.len().min(from + chunk)));
            }
            Err(error) => given.push((Err(error.to_string()), reader.cursor())),
        }
        assert!(given.len() < 1_000_000, "it does not end");
    }
}

/// Reads all, in chunks of several sizes and from every cursor on, which must make no difference.
#[track_caller]
pub(crate) fn read_piece(formats: &[Format], root: &[u8], piece: &Piece) -> Vec<Given> {
    let all = read_from(formats, root, piece, None, 64 << 10);
    let items = |given: &[(Given, Cursor)]| -> Vec<Given> {
        given.iter().map(|(given, _)| given.clone()).collect()
    };
    for chunk in [1, 7, 100] {
        if root.len() / chunk < 100_000 {
            let other = read_from(formats, root, piece, None, chunk);
            assert_eq!(items(&other), items(&all), "in chunks of {chunk}");
        }
    }
    let step = (all.len() / 40).max(1);
    for (number, (_, cursor)) in all.iter().enumerate().step_by(step) {
        let sent = Cursor::new(cursor.as_bytes().clone());
        let rest = read_from(formats, root, piece, Some(&sent), 1_000);
        assert_eq!(items(&rest), items(&all[number + 1..]), "from item {number} on");
    }
    assert!(all.is_sorted_by(|(_, one), (_, two)| one < two), "cursors go forward");
    items(&all)
}

#[track_caller]
pub(crate) fn read(formats: &[Format], root: &[u8]) -> Vec<Given> {
    read_piece(formats, root, &Piece::Whole)
}

/// The items as text, with where they are; errors with a `!` before.
#[track_caller]
pub(crate) fn shown(given: Vec<Given>) -> Vec<String> {
    let item = |given: Given| match given {
        Ok(item) => {
            let data = String::from_utf8_lossy(&item.data).into_owned();
            let key = item.key.map(|key| format!("{key}=")).unwrap_or_default();
            format!("{} {key}{data}", item.position.unwrap_or_default())
        }
        Err(error) => format!("!{error}"),
    };
    given.into_iter().map(item).collect()
}

/// The items' bytes; no errors.
#[track_caller]
pub(crate) fn data(given: Vec<Given>) -> Vec<Vec<u8>> {
    given.into_iter().map(|given| given.unwrap().data.to_vec()).collect()
}

/// Runs a program over bytes; `None`, with a word, when it is not there.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("left out: {program} is not there");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    Some(output.stdout)
}

/// Runs a Python program in a folder.
pub(crate) fn python(program: &str, folder: &Path, input: &[u8]) -> Option<Vec<u8>> {
    let whole = format!("import os, sys\nos.chdir({:?})\n{program}", folder.display().to_string());
    run("python3", &["-c", &whole], input)
}

/// Numbers of which it does not matter what they are.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 += 1;
        let number = mapring_readers::splitmix(0x5eed, self.0);
        usize::try_from(number % most as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
