//! A part of the documents, chosen by where they are: the same however the root is split.

use serde::{Deserialize, Serialize};

use crate::documents::Documents;
use crate::error::Pull;
use crate::generate::splitmix;

/// Whether something at a place is chosen, when so many of 2^64 are.
pub(crate) fn chosen(share: u64, seed: u64, places: &[u64]) -> bool {
    places.iter().fold(seed, |hash, place| splitmix(hash, *place)) < share
}

/// A part of named objects, chosen by their names: the same whoever looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySample {
    /// How many of 2^64.
    pub share: u64,
    /// Which.
    pub seed: u64,
}

impl KeySample {
    /// Whether an object of this key is in it. A whole root of that number is in the sample of the same
    /// share and seed then, and only then.
    pub fn keeps(&self, key: &[u8]) -> bool {
        chosen(self.share, self.seed ^ key_number(key), &[0])
    }
}

/// A number for a key, by which roots are told apart.
pub fn key_number(key: &[u8]) -> u64 {
    let mut number = key.len() as u64;
    for chunk in key.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        number = splitmix(number, u64::from_be_bytes(word));
    }
    number
}

/// The layer.
pub(crate) struct Sample {
    inner: Box<dyn Documents>,
    share: u64,
    seed: u64,
}

impl Sample {
    pub(crate) fn new(inner: Box<dyn Documents>, share: u64, seed: u64) -> Self {
        Self { inner, share, seed }
    }
}

impl Documents for Sample {
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

    fn next(&mut self) -> Pull<bool> {
        while self.inner.next()? {
            let mut places = Vec::new();
            self.inner.place(&mut places);
            if chosen(self.share, self.seed, &places) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fill(&mut self) -> Pull<bool> {
        self.inner.fill()
    }

    fn bytes(&self) -> &[u8] {
        self.inner.bytes()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }

    fn at(&self) -> u64 {
        self.inner.at()
    }

    fn seek(&mut self, to: u64) -> Pull<()> {
        self.inner.seek(to)
    }

    fn length(&self) -> Option<u64> {
        self.inner.length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Format, Root};

    #[test]
    fn keys_are_sampled_as_roots_are() {
        let sample = KeySample { share: u64::MAX / 10, seed: 7 };
        let format = Format::Sample { share: sample.share, seed: Some(sample.seed) };
        let keys: Vec<String> = (0..10_000).map(|number| format!("k{number}")).collect();
        let kept = keys.iter().filter(|key| {
            let number = key_number(key.as_bytes());
            let kept = sample.keeps(key.as_bytes());
            assert_eq!(kept, !format.leaves_out(&Root { length: 1, number, seed: 0 }), "{key}");
            kept
        });
        let kept = kept.count();
        assert!((850..1_150).contains(&kept), "{kept}");
        assert_ne!(key_number(b"a"), key_number(b"a\0"));
    }
}
