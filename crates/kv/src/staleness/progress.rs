//! How far the filling of a node is.

use mapring_types::ObjectId;
use serde::{Deserialize, Serialize};

use crate::limits;

/// How far the filling of a node is; its figures stay until the next begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether nothing is missing any more.
    pub complete: bool,
    /// What was found to be missing.
    pub lost: Option<String>,
    /// Slices (a vnode's part of one home partition) that have to be filled.
    pub slices: u64,
    /// Slices that lack nothing any more.
    pub filled: u64,
    /// Objects of other replicas that were compared.
    pub compared: u64,
    /// Objects that were fetched from others.
    pub fetched: u64,
    /// Objects that were given to others, which lacked something of them.
    pub given: u64,
    /// Objects that were removed here, since another replica proves that they were deleted.
    pub removed: u64,
    /// Objects that no other replica knew, nor that they were deleted: they are kept, and given to
    /// the others.
    pub kept: u64,
    /// The names of the first of these.
    pub kept_names: Vec<String>,
    /// Why it does not go on at present.
    pub waits_for: Option<String>,
}

impl Progress {
    pub(crate) fn keep(&mut self, id: &ObjectId) {
        self.kept += 1;
        if self.kept_names.len() < limits::KEPT_NAMED {
            self.kept_names.push(id.to_string());
        }
    }
}
