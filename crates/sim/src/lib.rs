//! Whole clusters under simulated time and network, from a seed.
