//! When to collect garbage. boa counts objects but not the text of strings, so that left to itself
//! it holds gigabytes of dead strings before it collects.

use std::time::Instant;

use crate::limits;
use crate::memory::Resident;

/// Collects by volume of input, and by growth of the process.
pub(super) struct Garbage {
    /// After how many bytes garbage is collected.
    every: u64,
    /// Bytes of input since the last collection.
    volume: u64,
    /// Resident bytes after the last collection.
    floor: u64,
    resident: Resident,
}

impl Default for Garbage {
    fn default() -> Self {
        Self { every: limits::COLLECT_BYTES, volume: 0, floor: 0, resident: Resident::default() }
    }
}

impl Garbage {
    /// Collects so often that garbage is a small part of so much memory; `None` for as often as usual.
    pub(super) fn hold(&mut self, memory_bytes: Option<u64>) {
        let most = limits::COLLECT_BYTES;
        self.every = memory_bytes.map_or(most, |bytes| (bytes / limits::GARBAGE_SHARE).min(most));
    }

    /// Takes note of input.
    pub(super) fn count(&mut self, bytes: usize) {
        self.volume += bytes as u64;
        if self.volume >= self.every {
            self.collect();
        }
    }

    /// Looks, after a call that began then, whether the process has grown.
    pub(super) fn look(&mut self, began: Instant) {
        if began.elapsed() >= limits::GARBAGE_CALL
            && self.resident.bytes() > self.floor + self.every
        {
            self.collect();
        }
    }

    /// Resident bytes of the process.
    pub(super) fn resident(&self) -> u64 {
        self.resident.bytes()
    }

    /// Collects, unless hardly anything has come since the last time.
    pub(super) fn collect_if_grown(&mut self) {
        if self.resident.bytes() > self.floor + limits::COLLECT_BYTES / 4 {
            self.collect();
        }
    }

    pub(super) fn collect(&mut self) {
        boa_gc::force_collect();
        self.volume = 0;
        self.floor = self.resident.bytes();
    }
}
