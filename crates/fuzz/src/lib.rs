//! Random inputs for whatever reads bytes from outside.
//!
//! A *target* is a test whose name begins with `fuzz_`. It runs a check on the inputs of a [`Corpus`] as
//! they are, then on ones that are damaged at random, and on noise. Most of what is damaged is still
//! near enough to something valid to come far into a parser. The engine is that of the crate `bolero`:
//! it makes the inputs smaller when a check fails, and prints the seed of the one that failed. See
//! `docs/testing.md` for how long targets run and how one input is run again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is for tests, which end by it")]

mod corpus;
mod damage;
pub mod limits;
mod watch;

pub use corpus::Corpus;
pub use damage::{Step, damaged};
