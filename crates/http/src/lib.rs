//! The public HTTP interface: Riak's, as its clients use it.
//!
//! A request comes in through [`server`], passes the [`layers`] that lie around all handling, and
//! finds its route in [`routes`], the one table of them; [`dispatch`] asks whether it is permitted
//! and calls the handler in the module of its resource. That decides in Webmachine's order: 405
//! before 400 before 403, then, as the resource is, 404, 415, 406 and conditions (facts R7, R268, R272). What is
//! written on the wire, byte for byte, stands in [`multipart`], [`headers`] and [`reply`]. Jobs (`jobs`)
//! are mapring's own. What all of it is for programs, [`openapi`] says.
//!
//! Differences from Riak, on purpose: an `X-Riak-Vclock` that was not made by this cluster is
//! refused with 400 (Riak: 500); a body over the limit with 413 (Riak: 500); `asis` is checked and has no effect; `Content-MD5` is ignored;
//! names that are not UTF-8 appear in JSON listings with U+FFFD (Riak: 500); the
//! path and query of a request have at most 65,534 bytes (414), which bounds names before
//! [`mapring_types::limits::KEY_BYTES`] does.

mod admin;
mod app;
mod body;
mod bucket_query;
mod bucket_types;
mod buckets;
mod datatypes;
mod decision;
mod dispatch;
mod events;
mod folds;
mod gzip;
pub mod headers;
mod health;
mod in_json;
mod index;
mod jobs;
mod layers;
pub mod limits;
mod lines;
mod listing;
mod mapred;
pub mod multipart;
pub mod negotiate;
mod objects;
mod openapi;
mod params;
pub mod path;
mod props;
mod queries;
pub mod reply;
mod route;
mod routes;
pub mod server;
mod statistics;
pub mod status;
mod workers;

pub use app::{HttpConfig, LayerFacts, NodeFacts, SandboxFacts, StorageFacts};
pub use server::{HttpParts, HttpServer};

#[cfg(test)]
mod tests;
