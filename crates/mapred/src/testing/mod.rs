//! Whole queries over three nodes in one process: simulated network, paused time, stand-ins for the
//! store and the workers.

mod answers;
mod faults;
mod groups;
mod options;
mod outputs;
mod shapes;
mod store;
mod workers;
pub(crate) mod world;
