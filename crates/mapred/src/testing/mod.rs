//! Whole queries over three nodes in one process: simulated network, paused time, stand-ins for the
//! store and the workers.

mod answers;
mod checkpoints;
mod counters;
mod failures;
mod faults;
mod groups;
mod handlers;
mod inputs;
mod jobs;
mod options;
mod order;
mod outputs;
mod partitions;
mod parts;
mod readers;
mod shapes;
mod shards;
mod sources;
mod store;
mod workers;
pub(crate) mod world;
mod writers;
