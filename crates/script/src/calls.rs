//! What comes with a call beside its inputs, and what comes back beside its results.

use serde::{Deserialize, Serialize};

use crate::{Effects, JsonText, Row};

/// Where a call belongs: what functions see as `ctx`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallContext {
    /// The job's id: `ctx.job.id`.
    pub job: String,
    /// The job's name, when it has one: `ctx.job.name`.
    pub name: Option<String>,
    /// The phase's number: `ctx.phase`.
    pub phase: u32,
    /// The shard's number: `ctx.shard.number`.
    pub shard: u32,
    /// Which attempt at the shard this is, from 1: `ctx.shard.attempt`.
    pub attempt: u32,
    /// The number of the slice (page) within the shard: `ctx.slice`.
    pub slice: u32,
    /// The job's parameters as JSON; `{}` when absent: `ctx.params`.
    pub params: Option<JsonText>,
    /// What `ctx.random()` follows from, with the input or the key of the call: so that it gives the
    /// same numbers for an input wherever and whenever it is called with it.
    pub seed: u64,
    /// What the call begins and ends, for functions that are objects with such methods.
    pub stage: Stage,
}

/// What the calls of one query are held to, within the limits of the worker itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallBounds {
    /// Longest call, in milliseconds: it counts in place of the worker's own limit.
    pub call_ms: u64,
    /// How much the worker may grow while it works for the query, in bytes.
    pub memory_bytes: u64,
}

/// The class in which calls of a query have their turn.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Priority {
    /// After all others, but for a small share.
    Low,
    /// As most jobs: queries that somebody waits for have more.
    #[default]
    Normal,
    /// As queries that somebody waits for.
    High,
}

/// Where in the life of a shard a call stands. Only functions that are objects with `begin_shard`,
/// `begin_slice`, `end_slice` or `end_shard` look at it.
///
/// By default a call is a shard and a slice of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What `this.state` was when the last call of the shard ended; `None` before the first.
    pub state: Option<JsonText>,
    /// What begins before the first input.
    pub begins: Option<Span>,
    /// What ends after the last input. Nothing ends when the call is broken off before that.
    pub ends: Option<Span>,
}

/// What begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// A slice.
    Slice,
    /// A shard, and a slice of it.
    Shard,
}

impl Default for Stage {
    fn default() -> Self {
        Self { state: None, begins: Some(Span::Shard), ends: Some(Span::Shard) }
    }
}

/// What a function that is an object with methods for shards and slices leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// Its `this.state`, for the next call of the shard.
    pub state: JsonText,
    /// Whether what the call should end has been ended: not when it was broken off early.
    pub ended: bool,
    /// What `begin_shard` and `begin_slice` gave: before the results of the inputs. Empty where
    /// results go into pairs.
    pub begun: Vec<Row>,
    /// What `end_slice` and `end_shard` gave: after the results of the inputs. As `begun`.
    pub rest: Vec<Row>,
}

/// The results of a batch of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// The results of the inputs (or groups), one by one: it may be shorter than these.
    pub results: Vec<Vec<Row>>,
    /// What the calls asked for.
    pub effects: Effects,
    /// Of a function that is an object with methods for shards and slices.
    pub handled: Option<Handled>,
}

/// The results of a reduce.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduced {
    /// The results.
    pub results: Vec<Row>,
    /// What all its calls asked for.
    pub effects: Effects,
}
