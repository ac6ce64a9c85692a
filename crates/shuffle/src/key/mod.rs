//! Keys of groups in their canonical form: bytes that compare as the values do.
//!
//! Compared byte by byte, null comes before false, true, numbers, strings, arrays and objects.
//! Numbers compare by what they are: `1`, `1.0` and `1e0` are one key, and no digit is lost. Strings
//! compare by their UTF-8, arrays element by element, objects member by member in the order of the
//! names, of each the name and then the value; what ends first comes first. So objects that differ
//! in the order of their members alone are one key.
//!
//! No key begins with another: so they can stand behind each other, and one that is no longer than a
//! prefix is told from all others by it.

mod json;
mod number;
mod reader;
mod tag;
#[cfg(test)]
mod tests;
mod writer;

use std::num::NonZeroU32;

use mapring_types::Result;

pub use writer::{Text, Writer};

/// Appends the key of a JSON text to `out`. What is at fault leaves nothing.
///
/// # Errors
/// `Invalid` for what is no JSON or nested too deeply, `TooLarge` for a key longer than
/// [`crate::limits::KEY_BYTES`].
pub fn encode(json: &str, out: &mut Vec<u8>) -> Result<()> {
    let mut writer = Writer::new(out);
    json::read(json, &mut writer)?;
    writer.finish()
}

/// The canonical JSON of a key: numbers as JavaScript writes them, those with more digits in full;
/// members of objects in the order of their names; surrogates without a partner as escapes.
///
/// # Errors
/// `Corrupt` for what is no key.
pub fn decode(key: &[u8]) -> Result<String> {
    let mut text = String::with_capacity(key.len() + 2);
    reader::read(key, &mut text)?;
    Ok(text)
}

/// Whether bytes are a key.
///
/// # Errors
/// `Corrupt`, with the byte, when they are not.
pub fn check(key: &[u8]) -> Result<()> {
    reader::read(key, &mut ())
}

/// To which of so many partitions a key belongs: the same at all nodes and in all releases.
pub fn partition(key: &[u8], partitions: NonZeroU32) -> u32 {
    (hash(key) % u64::from(partitions.get())) as u32
}

/// Eight bytes at a time are mixed in, and the whole at the end, so that each bit of the key bears on
/// all bits.
fn hash(key: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = key.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut hash = key.len() as u64;
    for word in words.iter().chain([&last]) {
        hash = mix((hash ^ u64::from_le_bytes(*word)).wrapping_mul(ODD));
    }
    mix(hash.wrapping_mul(ODD))
}

fn mix(hash: u64) -> u64 {
    hash ^ (hash >> 32)
}

/// Bytes of a key that [`head`] has.
const HEAD: u8 = 16;

/// The first bytes of a key as one number: keys whose numbers differ compare as these do.
pub(crate) fn head(key: &[u8]) -> u128 {
    if let Some(first) = key.first_chunk() {
        return u128::from_be_bytes(*first);
    }
    let mut first = [0; HEAD as usize];
    first[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(first)
}

/// Whether a key of this length is equal to all others with its [`head`]: no other begins with it.
pub(crate) fn is_in_head(length: usize) -> bool {
    length <= usize::from(HEAD)
}
