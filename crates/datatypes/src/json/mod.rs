//! Data types and operations as Riak's clients write and read them (facts R204 to R207).

mod read;
mod write;

pub use read::{BadUpdate, update};
pub use write::{document, value};
