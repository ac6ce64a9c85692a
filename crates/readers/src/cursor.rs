//! Places from which a reader goes on.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::FormatError;

/// The version of what stands in a cursor.
const VERSION: u8 = 1;

/// In a place: the document below is over.
pub(crate) const OVER: u64 = u64::MAX;

/// A place in a root from which a reader of the same formats and the same piece goes on. Of two the one
/// further on has the greater bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor(Bytes);

impl Cursor {
    /// One that a reader has given, from its bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    pub(crate) fn of(places: &[u64]) -> Self {
        let numbers = places.iter().flat_map(|place| place.to_be_bytes());
        Self([VERSION].into_iter().chain(numbers).collect::<Vec<u8>>().into())
    }

    pub(crate) fn places(&self) -> Result<Places, FormatError> {
        let wrong = |what: &str| FormatError::new("cursor", what);
        let (version, numbers) = self.0.split_first().ok_or_else(|| wrong("it has no version"))?;
        if *version != VERSION {
            return Err(wrong("it is of another version"));
        }
        let (numbers, []) = numbers.as_chunks::<8>() else {
            return Err(wrong("it is cut off"));
        };
        let mut places: Vec<u64> = numbers.iter().copied().map(u64::from_be_bytes).collect();
        places.reverse();
        Ok(Places(places))
    }
}

/// The numbers of a cursor, taken from the front: the lowest layer has the first.
#[derive(Default)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    pub(crate) fn take(&mut self) -> Option<u64> {
        self.0.pop()
    }
}
