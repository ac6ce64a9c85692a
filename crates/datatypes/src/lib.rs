//! Data types whose replicas merge by themselves: counters, sets, maps, HyperLogLogs.
//!
//! A [`Datatype`] is a state-based CRDT: the states form a join semilattice, and [`Datatype::merge`] is
//! its join. Whoever coordinates a write applies an [`Update`] to what it knows, under the dot of that
//! write; the other replicas merge what comes of it. So they converge in whatever order they hear of each
//! other.
//!
//! All but the grow-only types are dot stores under one clock (Almeida, Shoker, Baquero: "Delta state
//! replicated data types", 2018): whatever is in them is named by the dot of the write that put it there,
//! and was removed where the clock covers the dot and it is absent. Therefore they keep no tombstones. A
//! client that removes something gives back the clock that it has read, its *context*, and removes what
//! that covers alone; what is added at the same time stays.
//!
//! From the bottom up: [`limits`]; [`kind`]; `dotted`, `counter`, `register`, `set` and `map`, the dot
//! stores; [`hll`]; `deferred`, what is removed before it is known; `state`, where all comes together;
//! [`op`], what clients ask for, and `apply`, how it is done; `codec` and `encoding`, what is stored and
//! sent; [`json`], how Riak's clients write and read it, and [`erlang`], for the words of Riak's errors;
//! [`object`], data types as values of objects.

mod apply;
mod codec;
mod counter;
mod deferred;
mod dotted;
mod encoding;
pub mod erlang;
pub mod hll;
pub mod json;
pub mod kind;
pub mod limits;
mod map;
pub mod object;
pub mod op;
mod register;
mod set;
mod state;

pub use kind::{FieldKind, Kind};
pub use map::FieldName;
pub use op::{FieldOp, MapOp, Op, SetOp, Update};
pub use state::Datatype;

#[cfg(test)]
mod tests;
