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
