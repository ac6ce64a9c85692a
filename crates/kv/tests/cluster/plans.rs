//! Nodes that learn that what they have belongs to others now.

use mapring_cluster::Cluster;
use mapring_types::NodeId;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn what_a_node_no_longer_owns_goes_to_the_new_owner() {
    let mut cluster = TestCluster::start(3, 8).await;
    let ids: Vec<_> = (0..20).map(|number| key(format!("k{number}"))).collect();
    for id in &ids {
        put(cluster.kv(0), id, "value").await;
    }
    eventually("replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    let (old, new) = (cluster.id(1), NodeId(9));
    cluster.replace(1, new).await;
    let view = cluster.nodes[0].cluster.view();
    let vnodes = |node: NodeId| view.plan().owned_by(node).collect::<Vec<_>>();
    assert!(vnodes(old).is_empty() && !vnodes(new).is_empty());
    let lies_at = |node: NodeId| {
        let at = |id| vnodes(new).iter().any(|v| cluster.stored_at(node, v.0, id).is_some());
        ids.iter().filter(|id| at(id)).count()
    };
    let all = lies_at(old);
    assert!(all > 0);
    eventually("the new owner has it", || lies_at(new) == all).await;
    eventually("the former one keeps nothing", || lies_at(old) == 0).await;
    assert_eq!(lies_at(new), all);
}
