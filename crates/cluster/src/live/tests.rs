//! Whole clusters over a simulated network, with real gossip and real files.

mod copies;
mod releases;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mapring_types::props::PropChanges;
use mapring_types::{BucketId, ErrorKind, NodeId};
use world::{World, until};

use super::LiveCluster;
use crate::{Change, Cluster, MemberStatus, Outcome};

fn owned(cluster: &Arc<LiveCluster>, node: u64) -> usize {
    cluster.view().plan().owned_by(NodeId(node)).count()
}

fn set_n_val(bucket: &str, n_val: u32) -> Change {
    let changes = serde_json::Map::from_iter([("n_val".to_owned(), n_val.into())]);
    Change::SetBucket {
        bucket: BucketId::untyped(bucket.to_owned()),
        changes: PropChanges(changes),
    }
}

fn n_val(cluster: &Arc<LiveCluster>, bucket: &str) -> u32 {
    cluster.view().props(&BucketId::untyped(bucket.to_owned())).unwrap().n_val
}

/// Waits until all see the same plan of `members` and the same number of voters.
async fn settled(clusters: &[&Arc<LiveCluster>], members: usize, voters: usize) {
    until("the clusters agree", || {
        let first = clusters[0].view();
        clusters.iter().all(|cluster| {
            let view = cluster.view();
            view.state == first.state
                && view.state.members.len() == members
                && view.up.len() == members
                && cluster.status().voters.len() == voters
                && !cluster.status().voters_changing
        })
    })
    .await;
}

async fn three(world: &mut World) -> Vec<Arc<LiveCluster>> {
    let nodes = [
        world.node(1, "n1", 1, &[]).await,
        world.node(2, "n2", 2, &[1]).await,
        world.node(3, "n3", 3, &[1]).await,
    ];
    let ran = futures::future::join_all(nodes.iter().map(LiveCluster::run)).await;
    ran.into_iter().for_each(Result::unwrap);
    settled(&nodes.each_ref(), 3, 3).await;
    nodes.into()
}

#[tokio::test]
async fn a_single_node_founds_a_cluster() {
    let mut world = World::new();
    // The own address among those to join is as good as none.
    let node = world.node(1, "n1", 1, &[1]).await;
    assert!(node.view().state.members.is_empty());
    node.run().await.unwrap();
    assert_eq!(owned(&node, 1), 64);
    let status = node.status();
    assert_eq!(status.leader.as_deref(), Some("0000000000000001"));
    assert_eq!(status.voters, ["0000000000000001"]);
    assert_eq!((status.members.len(), status.members[0].partitions), (1, 64));
    assert!(status.members[0].up && status.applied_index > 0 && status.term > 0);
    assert_eq!(node.propose(set_n_val("b", 2)).await.unwrap(), Outcome::Applied);
    assert_eq!(n_val(&node, "b"), 2);
    node.shutdown().await;
}

#[tokio::test]
async fn nodes_that_join_at_once_share_the_ring() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    for node in 1..=3 {
        assert!((21..=22).contains(&owned(&nodes[0], node)), "{}", owned(&nodes[0], node));
    }
    // A proposal on any node is applied there when it returns.
    for (position, node) in nodes.iter().enumerate() {
        let n = u32::try_from(position).unwrap() + 4;
        assert_eq!(node.propose(set_n_val("b", n)).await.unwrap(), Outcome::Applied);
        assert_eq!(n_val(node, "b"), n);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_node_that_joins_after_data_owns_nothing() {
    let mut world = World::new();
    let first = world.node(1, "n1", 1, &[]).await;
    first.run().await.unwrap();
    first.propose(Change::Seal).await.unwrap();
    let second = world.node(2, "n2", 2, &[1]).await;
    second.run().await.unwrap();
    assert_eq!(second.view().state.members[&NodeId(2)].status, MemberStatus::Joining);
    assert_eq!((owned(&second, 1), owned(&second, 2)), (64, 0));
    world.stop().await;
}

#[tokio::test]
async fn one_node_restarts() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    world.kill(3).await;
    until("the dead is down", || !nodes[0].view().is_up(NodeId(3))).await;
    nodes[1].propose(set_n_val("b", 5)).await.unwrap();
    let third = world.node(3, "n3", 13, &[1]).await;
    third.run().await.unwrap();
    settled(&[&nodes[0], &nodes[1], &third], 3, 3).await;
    assert_eq!(n_val(&third, "b"), 5);
    assert_eq!(nodes[0].view().state.members[&NodeId(3)].cluster_address, "127.0.0.1:13");
    world.stop().await;
}

#[tokio::test]
async fn all_restart_with_other_addresses() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    nodes[0].propose(set_n_val("b", 6)).await.unwrap();
    settled(&[&nodes[0], &nodes[1], &nodes[2]], 3, 3).await;
    let before = nodes[2].view();
    for node in 1..=3 {
        world.kill(node).await;
    }
    // Only one of the new addresses is told to anybody.
    let mut restarted = Vec::new();
    for node in 1..=3 {
        let port = 20 + u16::try_from(node).unwrap();
        restarted.push(world.node(node, &format!("n{node}"), port, &[21]).await);
    }
    // Each has its last applied state before it hears of anybody.
    for node in &restarted {
        assert_eq!(node.view().state, before.state);
    }
    let ran = futures::future::join_all(restarted.iter().map(LiveCluster::run)).await;
    ran.into_iter().for_each(Result::unwrap);
    until("all know all addresses", || {
        restarted.iter().all(|cluster| {
            let view = cluster.view();
            (1..=3).all(|node| {
                let address = format!("127.0.0.1:{}", 20 + node);
                view.state.members[&NodeId(node)].cluster_address == address
            })
        })
    })
    .await;
    assert_eq!(restarted[0].view().state.plan, before.state.plan);
    assert_eq!(restarted[1].propose(set_n_val("b", 7)).await.unwrap(), Outcome::Applied);
    world.stop().await;
}

#[tokio::test]
async fn another_leads_when_the_leader_dies() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    let leader = nodes[0].leader().unwrap();
    let rest: Vec<_> = nodes.iter().filter(|node| node.config.me != leader).collect();
    world.kill(leader.0).await;
    for node in &rest {
        assert_eq!(node.propose(set_n_val("b", 8)).await.unwrap(), Outcome::Applied);
    }
    assert!(rest.iter().all(|node| node.leader() != Some(leader)));
    until("the dead is down", || rest.iter().all(|node| !node.view().is_up(leader))).await;
    world.stop().await;
}

#[tokio::test]
async fn without_a_majority_nothing_is_decided_but_the_view_stays() {
    let mut world = World::new();
    world.tuning.propose = Duration::from_secs(5);
    let nodes = three(&mut world).await;
    let plan = nodes[0].view().plan().clone();
    let survivor = &nodes[0];
    world.kill(2).await;
    world.kill(3).await;
    let error = survivor.propose(set_n_val("b", 8)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(*survivor.view().plan(), plan);
    until("the dead are down", || survivor.view().up.len() == 1).await;
    until("it knows that nothing can be decided", || !survivor.status().decides).await;
    // It restarts by itself, too, and serves what it knew.
    world.kill(1).await;
    let again = world.node(1, "n1", 1, &[2]).await;
    again.run().await.unwrap();
    assert_eq!(*again.view().plan(), plan);
    // It hears nobody, and asks instead of taking them to be up.
    until("the others are down", || again.view().up.len() == 1).await;
    assert!(!again.status().decides);
    world.stop().await;
}

/// Invariant I8.
#[tokio::test]
async fn a_cut_off_leader_decides_nothing() {
    let mut world = World::new();
    world.tuning.propose = Duration::from_secs(15);
    let nodes = three(&mut world).await;
    let cut_off = nodes[0].leader().unwrap();
    world.cut_off(cut_off);
    let (old, rest): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.config.me == cut_off);
    let before = old[0].view().state.clone();
    let (lost, decided) =
        futures::join!(old[0].propose(set_n_val("b", 8)), rest[0].propose(set_n_val("b", 9)));
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(decided.unwrap(), Outcome::Applied);
    assert_eq!(old[0].view().state, before);
    let late = world.node(4, "n4", 4, &[2, 3, 1]).await;
    late.run().await.unwrap();
    assert_eq!(old[0].view().state, before);

    world.heal();
    settled(&[&nodes[0], &nodes[1], &nodes[2], &late], 4, 3).await;
    assert_eq!(n_val(old[0], "b"), 9);
    world.stop().await;
}

#[tokio::test]
async fn a_name_in_use_is_refused_and_a_dead_one_given_on() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    nodes[0].propose(Change::Seal).await.unwrap();
    let intruder = world.node(9, "n3", 9, &[2]).await;
    let error = intruder.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.message().contains("the name n3 belongs to a node that is up"), "{error}");
    world.kill(9).await;

    let (version, partitions) = (nodes[0].view().plan().version(), owned(&nodes[0], 3));
    world.kill(3).await;
    let heir = world.node(10, "n3", 10, &[1]).await;
    heir.run().await.unwrap();
    settled(&[&nodes[0], &nodes[1], &heir], 3, 3).await;
    let view = heir.view();
    assert_eq!(view.plan().version(), version + 1);
    assert_eq!((owned(&heir, 10), owned(&heir, 3)), (partitions, 0));
    assert!(view.state.members[&NodeId(10)].incomplete);

    // The old one comes back with its data: its place is taken.
    let old = world.node(3, "n3", 3, &[1]).await;
    let error = old.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    world.stop().await;
}

#[tokio::test]
async fn an_emptied_founder_joins_instead_of_founding_again() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    let id = nodes[1].view().state.id;
    world.kill(1).await;
    // As the first node of a cluster is started: without anybody to join.
    world.tuning.found_listen = Duration::from_secs(30);
    let again = world.node(11, "n1", 1, &[1]).await;
    again.run().await.unwrap();
    settled(&[&nodes[1], &nodes[2], &again], 3, 3).await;
    assert_eq!(again.view().state.id, id);
    world.stop().await;
}

#[tokio::test]
async fn wrong_clusters_are_refused() {
    let mut world = World::new();
    let first = world.node(1, "n1", 1, &[]).await;
    first.run().await.unwrap();
    let mut config = world.config(2, "n2", 2, &[1]);
    config.ring_size = mapring_ring::RingSize::new(32).unwrap();
    let second = world.start(config).await.unwrap();
    let error = second.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.message().contains("64 partitions, not 32"), "{error}");
    world.kill(2).await;
    // Nor may a directory change its ring size.
    let error = world.start(world.config(2, "n2", 2, &[1])).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    world.stop().await;
}

#[tokio::test]
async fn the_sixth_node_is_a_learner_and_gets_a_snapshot() {
    let mut world = World::new();
    let first = world.node(1, "n1", 1, &[]).await;
    first.run().await.unwrap();
    for change in 0..450 {
        let bucket = format!("bucket{}", change % 7);
        first.propose(set_n_val(&bucket, change % 5 + 1)).await.unwrap();
    }
    let mut nodes = vec![first];
    for node in 2..=6 {
        nodes.push(world.node(node, &format!("n{node}"), node.try_into().unwrap(), &[1]).await);
    }
    let ran = futures::future::join_all(nodes[1..].iter().map(LiveCluster::run)).await;
    ran.into_iter().for_each(Result::unwrap);
    settled(&nodes.iter().collect::<Vec<_>>(), 6, 5).await;
    assert_eq!(nodes[5].status().learners.len(), 1);
    assert_eq!(n_val(&nodes[5], "bucket1"), n_val(&nodes[0], "bucket1"));
    // A learner proposes as well, and has all again after a restart.
    nodes[5].propose(set_n_val("bucket1", 9)).await.unwrap();
    let before = nodes[5].view().state.clone();
    world.kill(6).await;
    let again = world.node(6, "n6", 6, &[1]).await;
    assert_eq!(again.view().state, before);
    world.stop().await;
}

#[tokio::test]
async fn a_refused_connection_counts_at_once_and_a_polite_leave_too() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    nodes[0].report(NodeId(2), false);
    assert!(!nodes[0].view().is_up(NodeId(2)));
    until("heartbeats prove it alive", || nodes[0].view().is_up(NodeId(2))).await;

    let began = tokio::time::Instant::now();
    let left = nodes[2].shutdown();
    let seen = until("it has left", || !nodes[0].view().is_up(NodeId(3)));
    futures::join!(left, seen);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    world.stop().await;
}

fn voters(cluster: &Arc<LiveCluster>) -> Vec<u64> {
    let voters = cluster.status().voters;
    voters.iter().map(|id| u64::from_str_radix(id, 16).unwrap()).collect()
}

#[track_caller]
fn check_refused(outcome: mapring_types::Result<Outcome>, reason: &str) {
    match outcome.unwrap() {
        Outcome::Refused(said) => assert!(said.contains(reason), "{said}"),
        Outcome::Applied => panic!("not refused: {reason}"),
    }
}

/// Others may be members of a cluster before the node that began it.
#[tokio::test]
async fn the_founder_may_join_second() {
    let mut world = World::new();
    let first = world.node(1, "n1", 1, &[]).await;
    let nodes = BTreeMap::from([(1, super::cluster::raft_node("n1", "127.0.0.1:1"))]);
    first.raft.initialize(nodes).await.unwrap();
    first.raft.runtime_config().elect(true);
    let second = world.node(2, "n2", 2, &[1]).await;
    let founding = async {
        until("the other is a member", || first.view().state.members.len() == 1).await;
        first.run().await
    };
    let (joined, founded) = futures::join!(second.run(), founding);
    joined.unwrap();
    founded.unwrap();
    settled(&[&first, &second], 2, 1).await;
    world.stop().await;
}

#[tokio::test]
async fn of_two_one_votes_and_a_third_makes_three() {
    let mut world = World::new();
    let nodes = [world.node(1, "n1", 1, &[]).await, world.node(2, "n2", 2, &[1]).await];
    nodes[0].run().await.unwrap();
    nodes[1].run().await.unwrap();
    settled(&nodes.each_ref(), 2, 1).await;
    assert_eq!(nodes[1].status().learners, ["0000000000000002"]);
    // The other one may go.
    world.kill(2).await;
    until("the dead is down", || !nodes[0].view().is_up(NodeId(2))).await;
    assert!(nodes[0].status().decides);
    nodes[0].propose(set_n_val("b", 4)).await.unwrap();
    let second = world.node(2, "n2", 2, &[1]).await;
    second.run().await.unwrap();
    until("it hears what was decided", || n_val(&second, "b") == 4).await;
    let third = world.node(3, "n3", 3, &[2]).await;
    third.run().await.unwrap();
    settled(&[&nodes[0], &second, &third], 3, 3).await;
    world.stop().await;
}

/// A fourth node that joined and went must not be missed when another is replaced.
#[tokio::test]
async fn who_owns_nothing_is_not_missed_and_can_be_forgotten() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    nodes[0].propose(Change::Seal).await.unwrap();
    let fourth = world.node(4, "n4", 4, &[1]).await;
    fourth.run().await.unwrap();
    settled(&[&nodes[0], &nodes[1], &nodes[2], &fourth], 4, 3).await;
    assert_eq!(voters(&nodes[0]), [1, 2, 3]);
    check_refused(nodes[1].forget(NodeId(4)).await, "n4 (0000000000000004) is up");

    world.kill(4).await;
    world.kill(2).await;
    let heir = world.node(20, "n2", 2, &[1]).await;
    heir.run().await.unwrap();
    until("the heir votes", || voters(&nodes[0]) == [1, 3, 20]).await;
    until("the dead is down", || !heir.view().is_up(NodeId(4))).await;

    check_refused(heir.forget(NodeId(3)).await, "n3 (0000000000000003) owns 21 partitions");
    check_refused(heir.forget(NodeId(9)).await, "0000000000000009 is no member");
    assert_eq!(heir.forget(NodeId(4)).await.unwrap(), Outcome::Applied);
    settled(&[&nodes[0], &nodes[2], &heir], 3, 3).await;
    assert_eq!(nodes[0].status().learners.len(), 0);
    let back = world.node(4, "n4", 4, &[1]).await;
    let error = back.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.message().contains("n4 was removed from the cluster"), "{error}");
    world.stop().await;
}

#[tokio::test]
async fn a_voter_that_is_down_for_long_is_followed_by_another() {
    let mut world = World::new();
    world.tuning.voter_down = Duration::from_millis(500);
    let mut nodes = three(&mut world).await;
    let fourth = world.node(4, "n4", 4, &[1]).await;
    fourth.run().await.unwrap();
    nodes.push(fourth);
    settled(&nodes.iter().collect::<Vec<_>>(), 4, 3).await;
    let leader = nodes[0].leader().unwrap();
    let gone = if leader == NodeId(3) { 2 } else { 3 };
    world.kill(gone).await;
    let rest: Vec<u64> = (1..=4).filter(|id| *id != gone).collect();
    until("another votes", || voters(&nodes[3]) == rest).await;
    // It keeps the vote.
    let again = world.node(gone, &format!("n{gone}"), 7, &[1, 2, 3]).await;
    again.run().await.unwrap();
    until("it is up", || nodes[3].view().up.len() == 4).await;
    assert_eq!(voters(&nodes[3]), rest);
    world.stop().await;
}

#[tokio::test]
async fn voters_are_of_all_zones() {
    let mut world = World::new();
    let mut nodes = Vec::new();
    for (id, zone) in [(1, "a"), (2, "a"), (3, "a"), (4, "b")] {
        let join: &[u16] = if id == 1 { &[] } else { &[1] };
        let mut config = world.config(id, &format!("n{id}"), u16::try_from(id).unwrap(), join);
        config.zone = Some(zone.to_owned());
        let node = world.start(config).await.unwrap();
        node.run().await.unwrap();
        nodes.push(node);
    }
    until("another zone votes", || voters(&nodes[0]) == [1, 2, 4]).await;
    until("the zone is known", || {
        nodes[0].view().state.members[&NodeId(4)].zone.as_deref() == Some("b")
    })
    .await;
    world.stop().await;
}
