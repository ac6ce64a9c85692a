//! Coverage: one complete replica for every home partition.
//!
//! A replica is left out while it is known to lack acknowledged writes: some node holds hints for
//! it, or did when it was last heard, or its node has lost its data. Writes under way are waited
//! for. A replica on a node that has started and not yet heard from every member is taken only where
//! there is no other.

use std::collections::BTreeSet;
use std::sync::Arc;

use mapring_net::Class;
use mapring_ring::{Coverage, CoverageEntry, Partition};
use mapring_types::{Error, NodeId, Result};
use tokio::time::{Instant, sleep};

use crate::{Shared, limits};

/// Plans coverage for `n_val` replicas without the nodes in `without`. Waits for hand-off where the
/// reachable replicas of a partition are all incomplete.
///
/// # Errors
/// `Unavailable`, naming partitions without a complete reachable replica.
pub(crate) async fn coverage(
    shared: &Arc<Shared>,
    n_val: u32,
    without: &BTreeSet<NodeId>,
) -> Result<Coverage> {
    let ends = Instant::now() + limits::FIT_PATIENCE;
    let offset = shared.parts.entropy.next_u64();
    loop {
        let view = shared.parts.cluster.view();
        let nodes: Vec<NodeId> = view.up.difference(without).copied().collect();
        let (behind, unsettled) = shared.behind(&nodes, Class::Foreground).await;
        if let Some(node) = unsettled.first() {
            // Which replicas miss those writes is not known yet.
            if Instant::now() >= ends {
                let message = format!("writes under way at node {node} do not settle");
                return Err(Error::unavailable(message));
            }
            sleep(limits::FIT_TICK).await;
            continue;
        }
        let hinted = shared.hinted_anywhere();
        let plan = |fit: &dyn Fn(&CoverageEntry) -> bool| {
            Coverage::new(view.plan(), n_val, offset, |entry| fit(&entry))
        };
        let has_lost_data =
            |node: &NodeId| view.state.members.get(node).is_some_and(|member| member.incomplete);
        let complete = |entry: &CoverageEntry| {
            behind.contains_key(&entry.node)
                && !hinted.contains(&entry.vnode)
                && !has_lost_data(&entry.node)
        };
        let settled = |entry: &CoverageEntry| {
            behind.get(&entry.node).is_some_and(|behind| !behind.catching_up)
        };
        let doubtful = match plan(&|entry| complete(entry) && settled(entry)) {
            Ok(coverage) => return Ok(coverage),
            Err(partitions) => partitions,
        };
        let second = plan(&|e| complete(e) && (settled(e) || doubtful.contains(&e.home)));
        let lacking = match second {
            Ok(coverage) => return Ok(coverage),
            Err(partitions) => partitions,
        };
        let reachable = plan(&|entry| behind.contains_key(&entry.node));
        if reachable.is_err() || Instant::now() >= ends {
            let named: Vec<String> = lacking.iter().map(Partition::to_string).collect();
            return Err(Error::unavailable(format!(
                "no complete replica can be reached of partitions {}",
                named.join(", ")
            )));
        }
        shared.kick.notify_one();
        sleep(limits::FIT_TICK).await;
    }
}
