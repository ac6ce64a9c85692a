//! Small clusters in one process: simulated network, memory engines, simulated time.

mod faults;
mod histories;
mod listing;
mod objects;
mod support;
mod tombstones;
