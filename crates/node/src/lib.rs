//! A node of mapring: configuration, telemetry, assembly in order, graceful stop.
//!
//! [`config`] says what an operator can set, [`Node::start`] puts the parts together, [`run()`] is
//! the whole life of a node's process.

pub mod config;
mod data_dir;
mod limits;
mod machine;
mod node;
mod run;
mod system;
pub mod telemetry;
mod usage;

pub use config::Config;
pub use node::{Addresses, Node};
pub use run::run;
