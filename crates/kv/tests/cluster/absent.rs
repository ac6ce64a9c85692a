//! What is not found, and what cannot be known.

use std::collections::BTreeSet;

use mapring_kv::GetOptions;
use mapring_types::error::QuorumKind;
use mapring_types::{ErrorKind, NodeId, ObjectId, Quorum};

use crate::support::*;

/// The numbers of an object's primaries, then those of the nodes that stand in for them.
fn places(cluster: &TestCluster, id: &ObjectId) -> Vec<usize> {
    let at = |node: NodeId| cluster.nodes.iter().position(|other| other.id == node).unwrap();
    let list = cluster.kv(0).preference(id).unwrap().primaries;
    let mut places: Vec<usize> = list.iter().map(|entry| at(entry.node)).collect();
    let others: Vec<usize> = (0..cluster.nodes.len()).filter(|at| !places.contains(at)).collect();
    places.extend(others);
    places
}

fn distinct(nodes: &[NodeId]) -> bool {
    nodes.iter().collect::<BTreeSet<_>>().len() == nodes.len()
}

#[tokio::test(start_paused = true)]
async fn what_stand_ins_hold_is_found_when_the_primaries_that_are_back_lack_it() {
    let mut cluster = TestCluster::start(5, 64).await;
    let id = cluster.key_where(&bucket(), distinct);
    let [first, second, third, one, other] = places(&cluster, &id)[..] else { unreachable!() };
    cluster.kill(second);
    cluster.kill(third);
    put(cluster.kv(first), &id, "v").await;
    let vnodes = cluster.kv(first).preference(&id).unwrap().primaries;
    eventually("both stand-ins to have it", || {
        let held = |at: usize| {
            vnodes.iter().any(|e| cluster.stored_at(cluster.id(at), e.vnode.0, &id).is_some())
        };
        held(one) && held(other)
    })
    .await;
    cluster.kill(first);
    cluster.kill(one);
    cluster.restart(second).await;
    cluster.restart(third).await;
    for at in [second, third, other] {
        assert_eq!(get(cluster.kv(at), &id).await, ["v"], "{at}");
    }
    // Of another object with these primaries nobody has anything; the two that are away may.
    let nodes: Vec<NodeId> = vnodes.iter().map(|entry| entry.node).collect();
    let probe = mapring_types::BucketId::untyped("none");
    let none = (0..10_000).map(|n| ObjectId::new(probe.clone(), format!("{n}"))).find(|id| {
        let list = cluster.kv(second).preference(id).unwrap().primaries;
        list.iter().map(|entry| entry.node).eq(nodes.iter().copied())
    });
    let none = none.unwrap();
    let error = cluster.kv(second).get(&none, &GetOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("is not known"), "{error}");
    let all = r(Quorum::All);
    let error = cluster.kv(second).get(&none, &all).await.unwrap_err();
    let kind = ErrorKind::Quorum { what: QuorumKind::R, got: 2, want: 3 };
    assert_eq!(error.kind(), kind);
    cluster.restart(one).await;
    assert!(get(cluster.kv(second), &none).await.is_empty(), "one away is no majority");
}

#[tokio::test(start_paused = true)]
async fn while_all_nodes_fill_themselves_nothing_is_not_found() {
    let cluster = TestCluster::start(3, 64).await;
    let ids: Vec<ObjectId> = (0..200).map(|n| key(format!("k{n}"))).collect();
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    eventually("replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    let mut refused = 0;
    for turn in 0..20 {
        for at in 0..3 {
            cluster.kv(0).repair(cluster.id(at)).await.unwrap();
        }
        for (at, id) in ids.iter().enumerate() {
            let kv = cluster.kv((turn + at) % 3);
            let options = if at % 2 == 0 { r(Quorum::One) } else { GetOptions::default() };
            match kv.get(id, &options).await {
                Ok(found) => assert_eq!(bodies(&found.expect("an object")), ["v"]),
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error.kind(), ErrorKind::Quorum { .. }), "{error}");
                }
            }
            if let Ok(found) = kv.delete(&key("none"), None, &Default::default()).await {
                assert!(!found);
            }
        }
        eventually("all to be filled", || (0..3).all(|at| !cluster.incomplete(at))).await;
    }
    assert!(refused > 0, "nobody refused: a weak test");
}
