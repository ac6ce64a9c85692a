//! Property filters: which objects of a bucket are the inputs of a query, by what they hold.
//!
//! A query has a list of *conditions*, `[["age",">=",21],["@key","prefix","p"]]`, and an object is
//! taken when one of its values meets all of them. [`parse`] reads them ([`path`] says how names are
//! addressed, [`time`] how times are written), [`test`] holds them against objects, [`document`]
//! against a value's JSON without building a tree of it, [`constant`] and [`decimal`] compare.
//! [`access`] says which part of the bucket has to be looked at at all.

mod access;
mod condition;
mod constant;
mod decimal;
mod document;
mod parse;
mod path;
mod test;
#[cfg(test)]
mod tests;
mod time;

pub use access::Access;
pub use condition::PropertyFilters;
pub use parse::PropertyError;
pub use test::PropertyTest;
