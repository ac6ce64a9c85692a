//! What holds of all data types, by example and at random.

mod bytes;
mod examples;
mod histories;
mod objects;
