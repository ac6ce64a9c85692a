//! A node of mapring: configuration, telemetry, assembly in order, graceful stop.
//!
//! [`config`] says what an operator can set, [`Node::start`] puts the parts together, [`run`] is a
//! node's whole life up to a signal.

pub mod config;
mod data_dir;
mod machine;
pub mod telemetry;

pub use config::Config;
