//! What mapring does, seen from outside: real processes, real sockets, real disks.
//!
//! One binary, a module a behaviour. [`mapring_tests::harness`] starts and kills nodes; nothing here
//! waits by sleeping for a time, only for conditions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod absent;
mod answers;
mod bodies;
mod bounds;
mod configuration;
mod copies;
mod damage;
mod datatypes;
mod documents;
mod durability;
mod examples;
mod facts;
mod faults;
mod grouping;
mod health;
mod hostile;
mod inputs;
mod jail;
mod leaving;
mod membership;
mod metrics;
mod observation;
mod openapi;
mod oversized;
mod permissions;
mod pipelining;
mod playground;
mod queries;
mod quorum;
mod refusals;
mod running;
mod sharing;
mod signals;
mod statistics;
mod stopping;
mod structure;
mod tools;
mod tutorial;
mod upgrade;
mod workspace;
