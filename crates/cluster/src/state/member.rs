//! A node of the cluster, as the metadata has it.

use mapring_types::{Release, Releases};
use serde::{Deserialize, Serialize};

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberStatus {
    /// Takes part and owns partitions.
    Valid,
    /// Has joined after data arrived; owns nothing until a planned change is committed.
    Joining,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The name given by the operator; unique.
    pub name: String,
    /// `host:port` of the cluster listener as other nodes reach it.
    pub cluster_address: String,
    /// `host:port` of the public HTTP listener.
    pub http_address: String,
    /// Where the member stands.
    pub status: MemberStatus,
    /// Whether its vnodes lack writes that they once had: it has lost data, or took the place of a
    /// node whose data it does not have. Decided here, like the status.
    #[serde(default)]
    pub incomplete: bool,
    /// How often it was found to have lost data. Decided here.
    #[serde(default)]
    pub losses: u64,
    /// The number that its data directory was given at its last start. Decided here.
    #[serde(default)]
    pub start: u64,
    /// What it may fail together with, as the operator says (a rack, a hall): voters of the
    /// metadata are spread over zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The releases of the formats that it knows, as it said at its last start; `None` as long as any
    /// member is of a program that does not know this of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<Releases>,
}

impl Member {
    /// The last release of the formats that it reads.
    pub fn release(&self) -> Release {
        self.releases.map_or(Release::FIRST, |releases| releases.writes)
    }
}
