//! Parsers that can be reached from outside of their crates, a family a file. Those that cannot be have
//! their targets beside them.
//!
//! What is accepted is written again and read as the same; what is refused says what is wrong. Formats
//! that have better tests of their own (data types as they are stored, segments of pairs, frames and
//! handshakes between nodes) are not here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod documents;
mod filters;
mod headers;
mod names;
mod objects;
mod queries;
mod workers;

/// The input as text, where it is some.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The input in two: up to the first line end, and what follows it.
fn halves(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}
