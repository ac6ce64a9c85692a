//! Small files that are either whole or known to be damaged: a mark, a version, a checksum, a
//! length, then the content. They are replaced by way of a temporary file, so that a crash leaves
//! the old or the new content.

use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::Path;

use mapring_types::versioned::Nothing;
use mapring_types::{Error, ErrorKind, Result, Versioned};

/// What kind of file it is; the first four bytes.
pub(crate) type Mark = [u8; 4];

/// What stands behind the mark: the checksum and the length of the content, and the content.
struct Checked(Vec<u8>);

impl Versioned for Checked {
    const WHAT: &'static str = "a file of the metadata";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("a file of the metadata is damaged");
        let (checksum, rest) = body.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (length, content) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let whole = u64::from_le_bytes(*length) == content.len() as u64
            && u32::from_le_bytes(*checksum) == crc32fast::hash(content);
        whole.then(|| Self(content.to_vec())).ok_or_else(damaged)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

const HEADER: usize = 4 + 1 + 4 + 8;

/// Replaces the file's content, durable when this returns.
pub(crate) fn replace(path: &Path, mark: Mark, content: &[u8]) -> Result<()> {
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend_from_slice(&mark);
    bytes.push(Checked::VERSION);
    bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
    bytes.extend_from_slice(content);
    replace_raw(path, &bytes)
}

/// Replaces the file's bytes, durable when this returns.
pub(crate) fn replace_raw(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |error| storage("cannot write", path, error);
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::rename(&temporary, path).map_err(fail)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// The file's content; `None` when there is no such file.
///
/// # Errors
/// `Corrupt` when it is not what was written, `Storage` when it cannot be read.
pub(crate) fn read(path: &Path, mark: Mark) -> Result<Option<Vec<u8>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(storage("cannot read", path, error)),
    };
    let damaged = || Error::corrupt(format!("the file {} is damaged", path.display()));
    let rest = bytes.strip_prefix(&mark).ok_or_else(damaged)?;
    match Checked::decode(rest) {
        Ok(Checked(content)) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::Corrupt => Err(damaged()),
        Err(error) => Err(error.context(path.display())),
    }
}

/// Makes a rename in the directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| storage("cannot sync", directory, error))
}

/// A failed operation on a file.
pub(crate) fn storage(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("{what} {}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = *b"test";

    #[test]
    fn whole_or_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vote");
        assert_eq!(read(&path, MARK).unwrap(), None);
        replace(&path, MARK, b"one").unwrap();
        replace(&path, MARK, b"another").unwrap();
        assert_eq!(read(&path, MARK).unwrap().unwrap(), b"another");
        assert!(read(&path, *b"else").is_err());

        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let error = read(&path, MARK).unwrap_err();
            // Another version is none that is known, and no damage.
            let version = position == MARK.len();
            let kind = if version { ErrorKind::Unavailable } else { ErrorKind::Corrupt };
            assert_eq!(error.kind(), kind, "byte {position}");
            assert!(error.message().contains("vote"), "{error}");
            fs::write(&path, &whole[..position]).unwrap();
            assert!(read(&path, MARK).is_err(), "cut at {position}");
        }
    }
}
