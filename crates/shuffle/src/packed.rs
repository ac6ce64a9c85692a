//! Many things in one piece of memory, as they travel: a version, how many there are, and these.

use std::fmt;
use std::marker::PhantomData;

use mapring_types::versioned::Versioned;
use mapring_types::{Error, Result};
use serde::de::{Deserializer, Visitor};
use serde::ser::Serializer;

/// Bytes before the things: the version, and how many there are (four bytes, little endian).
const HEAD_BYTES: usize = 5;

/// See the module. Of nothing it is empty, without a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packed(Vec<u8>);

impl Packed {
    /// What stands after the version of `T`.
    ///
    /// # Errors
    /// `Corrupt` when there is no head.
    pub(crate) fn read<T: Versioned>(body: &[u8]) -> Result<Self> {
        if body.len() + 1 < HEAD_BYTES {
            return Err(Error::corrupt(format!("{} is cut off", T::WHAT)));
        }
        Ok(Self([&[T::VERSION], body].concat()))
    }

    /// How many things there are.
    pub(crate) fn count(&self) -> u32 {
        let count = self.0.get(1..HEAD_BYTES).and_then(|bytes| bytes.try_into().ok());
        count.map_or(0, u32::from_le_bytes)
    }

    /// Where the next thing is written, of something of this version.
    pub(crate) fn open(&mut self, version: u8) -> &mut Vec<u8> {
        if self.0.is_empty() {
            self.0.extend([version, 0, 0, 0, 0]);
        }
        &mut self.0
    }

    /// Says how many things have been written.
    pub(crate) fn set_count(&mut self, count: u32) {
        if let Some(bytes) = self.0.get_mut(1..HEAD_BYTES) {
            bytes.copy_from_slice(&count.to_le_bytes());
        }
    }

    /// All bytes, with the head.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The things.
    pub(crate) fn things(&self) -> &[u8] {
        self.0.get(HEAD_BYTES..).unwrap_or_default()
    }

    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// Reads what [`Packed::serialize`] has written, as what is made of it.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Versioned + Default,
    D: Deserializer<'de>,
{
    deserializer.deserialize_bytes(PackedVisitor(PhantomData))
}

struct PackedVisitor<T>(PhantomData<T>);

impl<T: Versioned + Default> Visitor<'_> for PackedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        if bytes.is_empty() { Ok(T::default()) } else { T::decode(bytes).map_err(E::custom) }
    }
}
