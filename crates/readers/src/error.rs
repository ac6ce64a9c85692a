//! What can be wrong with a file, and with what is asked of one.

use std::fmt;

/// Damage of a file: what, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The documents, from the root inwards, in the last of which the byte counts: members, and what
    /// came of decompressing. Empty for the root itself.
    pub within: Vec<String>,
    /// The byte, from 0.
    pub byte: u64,
    /// What the byte belongs to, where that is a part of the document: a member.
    pub about: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.within {
            write!(f, "{name}, ")?;
        }
        write!(f, "byte {}", self.byte)?;
        if let Some(about) = &self.about {
            write!(f, " ({about})")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ReadError {}

/// What is wrong with a description of a format, or with a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// The member of the description in question.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl FormatError {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for FormatError {}

/// Why a layer gives nothing now.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It needs the root from this byte on. What was called is called again then, and goes on where it
    /// stood.
    Need(u64),
    /// The file is damaged.
    Broken(ReadError),
}

/// What a layer gives.
pub(crate) type Pull<T> = Result<T, Stop>;
