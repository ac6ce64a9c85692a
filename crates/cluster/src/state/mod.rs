//! The replicated state and its changes: a pure state machine.
//!
//! Reading order: `metadata` (what is known of a cluster), `change` (what can happen to it), `apply`.

mod apply;
mod change;
mod member;
mod membership;
mod metadata;
mod properties;
#[cfg(test)]
mod tests;

pub use change::{Change, Outcome};
pub use member::{Member, MemberStatus};
pub use metadata::ClusterState;
