//! What the tests share: clusters of real processes, HTTP by hand, waiting for conditions.
//!
//! A library, so that every test binary of this package uses the same one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is for tests, which end by it")]

pub mod harness;
