//! Filters: which objects of a bucket are the inputs of a query, which entries of an index its hits.
//!
//! Key filters are Riak's (facts R47 to R51), and look at keys alone; [`property`] are conditions on
//! what objects hold; [`entry`] are tests of index entries.
//!
//! A list of key filters is a *pipeline*: each filter gets what the one before it gave, the first gets
//! the key. A key is kept when the last filter gives exactly `true`. [`parse`] reads a pipeline,
//! [`compile`] makes it ready to run, [`eval`] runs it for a key. Values are Erlang's terms
//! ([`term`], [`number`]), since that is what the results of transforms and comparisons depend on.
//!
//! Pipelines run inside the node, over text that users wrote: everything is bounded
//! ([`limits`]), and expressions go through [`pattern`] first.

pub mod limits;

mod chars;
mod compile;
mod distance;
mod entry;
mod eval;
mod filter;
mod number;
mod parse;
mod pattern;
mod property;
mod term;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use entry::sets::SetExpression;
pub use entry::{CompiledEntryTest, EntryError, EntryQuery, EntryTest, Substitution};
pub use eval::Compiled;
pub use filter::FilterError;
pub use property::{Access, PropertyError, PropertyFilters, PropertyTest};

use filter::Pipeline;

/// A pipeline as a query has it: what travels to the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters(Pipeline);

impl Filters {
    /// Reads the JSON array of a query's `key_filters`.
    ///
    /// # Errors
    /// An unknown filter, or one that is not written as it must be.
    pub fn parse(text: &RawValue) -> Result<Self, FilterError> {
        parse::parse(text).map(Self)
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// Which filter cannot be run and why.
    pub fn compile(&self) -> Result<Compiled, FilterError> {
        compile::compile(&self.0).map(Compiled::new)
    }
}
