//! Small named values, each a file: written beside its place, fsynced, renamed into it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mapring_types::versioned::Nothing;
use mapring_types::{Error, ErrorKind, Result, Versioned};
use parking_lot::Mutex;

use crate::limits;

/// A file's content: a checksum and the value.
struct Checked(Bytes);

impl Versioned for Checked {
    const WHAT: &'static str = "a meta value";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        match body.split_first_chunk::<4>() {
            Some((checksum, value)) if u32::from_le_bytes(*checksum) == crc32fast::hash(value) => {
                Ok(Self(Bytes::copy_from_slice(value)))
            }
            _ => Err(Error::corrupt("a meta value is damaged")),
        }
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

/// Names of values never begin with a dot: see [`file_name`].
const TEMPORARY: &str = ".new";

/// The values under one directory.
pub(crate) struct MetaFiles {
    dir: PathBuf,
    /// One writer at a time: all use the same temporary file.
    writing: Mutex<()>,
}

impl MetaFiles {
    /// Opens, or makes, the directory.
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|error| failed("make", &dir, error))?;
        Ok(Self { dir, writing: Mutex::new(()) })
    }

    /// Reads a value.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.dir.join(file_name(name)?);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path, error)),
        };
        let read = Checked::decode(&bytes).map_err(|error| error.context(path.display()))?;
        Ok(Some(read.0))
    }

    /// Writes a value; it survives a loss of power once this returns.
    pub(crate) fn set(&self, name: &str, value: &[u8]) -> Result<()> {
        let path = self.dir.join(file_name(name)?);
        let _one_writer = self.writing.lock();
        let temporary = self.dir.join(TEMPORARY);
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&[Checked::VERSION])?;
            file.write_all(&crc32fast::hash(value).to_le_bytes())?;
            file.write_all(value)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_dir(&self.dir)
        };
        write().map_err(|error| failed("write", &path, error))
    }
}

/// Makes the entries of a directory survive a loss of power.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The file name of a value: letters, digits, `_`, `-` and inner dots stand for themselves, other
/// bytes as `%` and two hexadecimal digits.
///
/// # Errors
/// `Invalid` when it is empty or too long.
pub(crate) fn file_name(name: &str) -> Result<String> {
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if plain || (byte == b'.' && at > 0) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    if out.is_empty() || out.len() > limits::META_NAME_BYTES {
        return Err(Error::invalid(format!(
            "a meta value cannot have a name of {} bytes",
            out.len()
        )));
    }
    Ok(out)
}

/// A failed file operation.
pub(crate) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot {what} {}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let open = || MetaFiles::open(dir.path().join("meta")).unwrap();
        open().set("../counter of 7", b"one").unwrap();
        open().set("../counter of 7", b"two").unwrap();
        open().set("empty", b"").unwrap();
        assert_eq!(open().get("../counter of 7").unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(open().get("empty").unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(open().get("none").unwrap(), None);

        let path = dir.path().join("meta/%2e.%2fcounter%20of%207");
        let mut bytes = fs::read(&path).unwrap();
        bytes[6] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = open().get("../counter of 7").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("counter"), "{error}");
        fs::write(&path, b"").unwrap();
        assert_eq!(open().get("../counter of 7").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn what_former_releases_wrote_is_read_and_what_later_ones_wrote_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let values = MetaFiles::open(dir.path().to_owned()).unwrap();
        let kept = format!("{}/fixtures/meta-1", env!("CARGO_MANIFEST_DIR"));
        fs::copy(&kept, dir.path().join("n")).unwrap();
        assert_eq!(values.get("n").unwrap().as_deref(), Some(&b"a value"[..]));
        values.set("again", b"a value").unwrap();
        assert_eq!(fs::read(dir.path().join("again")).unwrap(), fs::read(&kept).unwrap());

        let mut later = fs::read(&kept).unwrap();
        later[0] = 2;
        fs::write(dir.path().join("n"), later).unwrap();
        let error = values.get("n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "no damage");
        assert!(error.message().contains("version 2, and version 1 is understood"), "{error}");
    }

    #[test]
    fn names_are_bounded() {
        assert_eq!(file_name("").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(file_name(&"ä".repeat(40)).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(file_name("vnode-7.mark").unwrap(), "vnode-7.mark");
    }
}
