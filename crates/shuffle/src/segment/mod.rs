//! Segments: what one partition gets of a run, sorted.
//!
//! A segment is a head, blocks of records, and a tail. A *record* is a key, a value and an *order*:
//! bytes that say by their own order where the value stands among the others of its key. All orders
//! of a segment begin with its *prefix*, which the head has; a record has the rest, if any. Records
//! ascend by key and then by order; where both are equal, they stay as they were written.
//!
//! All numbers are little endian.
//!
//! | part | bytes |
//! |---|---|
//! | head | version 1, length of the prefix 2, prefix, checksum 4 |
//! | block | 1, bytes as stored 4, bytes as read 4, records 4, length of the first key 4, checksum of what is stored 4, checksum of all this and the key 4, the key, what is stored |
//! | tail | 2, blocks 4, records 8, bytes as read 8, those of the largest block 4, checksum 4 |
//!
//! What is stored is compressed when that makes it shorter. Of a record there is: how many bytes of
//! the key before it begin its own (twice that, and one if an order follows), the length of the rest
//! and the rest, the length of the order and the order, the length of the value and the value. So a
//! value of the same key as the one before costs three bytes more than itself. Checksums are CRC-32
//! and count the number of the block in, so that blocks cannot be exchanged.

mod format;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod writer;

pub use format::Summary;
pub use reader::{Reader, verify};
pub use source::{Memory, Sink, Source};
pub use writer::Writer;
