//! The members of an archive without their bytes: by which it is split.

use bytes::Bytes;

use super::directory::Directory;
use crate::documents::Documents;
use crate::error::{ReadError, Stop};
use crate::input::Input;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 0.
    pub index: u64,
    /// Its bytes when unpacked, as the directory says.
    pub size: u64,
    /// The byte of its entry in the directory.
    pub entry: u64,
}

/// What a [`MemberList`] gives.
#[derive(Debug, PartialEq, Eq)]
pub enum MembersPulled {
    /// The next member.
    Member(Member),
    /// The archive's bytes from this one on are needed.
    Need(u64),
    /// There are no more.
    End,
}

/// Walks through the directory of an archive.
pub struct MemberList {
    input: Input,
    directory: Directory,
}

impl MemberList {
    /// Of an archive of so many bytes.
    pub fn new(length: u64) -> Self {
        Self { input: Input::new(length), directory: Directory::new() }
    }

    /// Takes bytes of the archive.
    pub fn feed(&mut self, at: u64, bytes: Bytes) {
        self.input.feed(at, bytes);
    }

    /// The next member.
    ///
    /// # Errors
    /// Damage of the directory.
    pub fn pull(&mut self) -> Result<MembersPulled, ReadError> {
        let (input, directory) = (&mut self.input, &mut self.directory);
        let opened = directory.open(input, None);
        match opened.and_then(|()| directory.next(input)) {
            Ok(Some(entry)) => Ok(MembersPulled::Member(Member {
                index: entry.index,
                size: entry.size,
                entry: entry.entry_at,
            })),
            Ok(None) => Ok(MembersPulled::End),
            Err(Stop::Need(at)) => Ok(MembersPulled::Need(at)),
            Err(Stop::Broken(error)) => Err(error),
        }
    }
}
