//! The consistent-hash ring: partitions, SHA-1 placement equal to Riak's, claim, preference lists,
//! coverage plans, versioned ownership plans. Pure: no I/O, no clock, no randomness.

pub mod claim;
pub mod coverage;
pub mod hash;
pub mod limits;
pub mod plan;
pub mod preference;

pub use coverage::{Coverage, CoverageEntry};
pub use hash::{Partition, RingSize};
pub use plan::{OwnershipPlan, Replicas};
pub use preference::{PreferenceEntry, PreferenceList};
