//! Small clusters in one process: simulated network, memory engines, simulated time.

#[cfg(test)]
mod absent;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod datatypes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod indexes;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod placement;
mod plans;
#[cfg(test)]
mod selections;
#[cfg(test)]
mod settling;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tombstones;
