//! Directories of earlier times in the place of those that nodes had.

use std::sync::Arc;
use std::time::Duration;

use mapring_types::{BucketId, NodeId};

use super::world::{World, until};
use super::{n_val, set_n_val, settled, three};
use crate::live::LiveCluster;
use crate::raft::log::change_last_entry;
use crate::{Cluster, Outcome};

/// Sets properties of buckets `numbers`, by way of any of `nodes`.
async fn decide(nodes: &[&Arc<LiveCluster>], numbers: std::ops::Range<u32>) {
    for number in numbers {
        let node = nodes[number as usize % nodes.len()];
        let change = set_n_val(&format!("bucket{number}"), number % 7 + 1);
        assert_eq!(node.propose(change).await.unwrap(), Outcome::Applied);
    }
}

/// Whether a node has all that [`decide`] decided of `numbers`.
#[track_caller]
fn check_decided(node: &Arc<LiveCluster>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(n_val(node, &format!("bucket{number}")), number % 7 + 1, "bucket{number}");
    }
}

/// Waits until all have applied the same.
async fn agreed(nodes: &[&Arc<LiveCluster>]) {
    until("all nodes have applied the same", || {
        let first = (nodes[0].status().applied_index, nodes[0].view());
        nodes.iter().all(|node| {
            node.status().applied_index == first.0
                && node.view().state == first.1.state
                && node.status().metadata.hash.is_some()
                && node.status().metadata.hash == nodes[0].status().metadata.hash
        })
    })
    .await;
}

/// Starts a node again as it was started first.
async fn start(world: &mut World, id: u64) -> Arc<LiveCluster> {
    world.node(id, &format!("n{id}"), id.try_into().unwrap(), &[1, 2, 3]).await
}

fn bucket(number: u32) -> BucketId {
    BucketId::untyped(format!("bucket{number}"))
}

fn others(nodes: &[Arc<LiveCluster>], but: NodeId) -> Vec<&Arc<LiveCluster>> {
    nodes.iter().filter(|node| node.config.me != but).collect()
}

#[tokio::test]
async fn a_leader_put_back_and_started_at_once_does_not_go_on() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    let all: Vec<_> = nodes.iter().collect();
    decide(&all, 0..5).await;
    agreed(&all).await;
    let leader = nodes[0].leader().unwrap();
    let copy = world.copy(leader.0);
    decide(&all, 5..15).await;
    agreed(&all).await;

    world.kill(leader.0).await;
    world.put_back(leader.0, &copy);
    let again = start(&mut world, leader.0).await;
    let mut now = others(&nodes, leader);
    now.push(&again);
    // The old leader decides what it can at once, if it takes itself for the leader.
    let (ran, decided) = futures::join!(again.run(), again.propose(set_n_val("early", 5)));
    ran.unwrap();
    assert_eq!(decided.unwrap(), Outcome::Applied);
    decide(&now, 15..25).await;
    settled(&now, 3, 3).await;
    agreed(&now).await;
    for node in now {
        check_decided(node, 0..25);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_follower_put_back_is_filled_and_its_leader_goes_on() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    let all: Vec<_> = nodes.iter().collect();
    decide(&all, 0..5).await;
    agreed(&all).await;
    let (leader, term) = (nodes[0].leader().unwrap(), nodes[0].status().term);
    let follower = NodeId((1..=3).find(|id| *id != leader.0).unwrap());
    let copy = world.copy(follower.0);
    decide(&all, 5..15).await;
    agreed(&all).await;

    world.kill(follower.0).await;
    world.put_back(follower.0, &copy);
    let again = start(&mut world, follower.0).await;
    again.run().await.unwrap();
    let mut now = others(&nodes, follower);
    now.push(&again);
    decide(&now, 15..20).await;
    agreed(&now).await;
    for node in &now {
        check_decided(node, 0..20);
        assert_eq!((node.leader(), node.status().term), (Some(leader), term));
    }
    world.stop().await;
}

#[tokio::test]
async fn of_copies_of_different_times_the_longest_history_wins() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    let all: Vec<_> = nodes.iter().collect();
    let mut copies = Vec::new();
    for (id, numbers) in [(1, 0..5), (2, 5..10), (3, 10..15)] {
        decide(&all, numbers).await;
        agreed(&all).await;
        copies.push((id, world.copy(id)));
    }
    // What was decided after the last copy is lost with all that remember it.
    decide(&all, 15..20).await;
    agreed(&all).await;
    for (id, copy) in &copies {
        world.kill(*id).await;
        world.put_back(*id, copy);
    }
    let now = [start(&mut world, 1).await, start(&mut world, 2).await, start(&mut world, 3).await];
    let ran = futures::future::join_all(now.iter().map(LiveCluster::run)).await;
    ran.into_iter().for_each(Result::unwrap);
    let now: Vec<_> = now.iter().collect();
    decide(&now, 20..25).await;
    agreed(&now).await;
    for node in &now {
        check_decided(node, 0..15);
        check_decided(node, 20..25);
        assert!(!node.status().metadata.needs_choice);
        assert!(node.view().props(&bucket(17)).unwrap().n_val == 3, "not decided any more");
    }
    world.stop().await;
}

/// A node that is told of its past by one that then is gone for a while; another one is put back
/// too, and knows nothing.
async fn nobody_may_lead(world: &mut World) -> [Arc<LiveCluster>; 2] {
    let nodes = three(world).await;
    let all: Vec<_> = nodes.iter().collect();
    decide(&all, 0..5).await;
    agreed(&all).await;
    let (first, third) = (world.copy(1), world.copy(3));
    decide(&all, 5..10).await;
    agreed(&all).await;
    for id in 1..=3 {
        world.kill(id).await;
    }
    world.put_back(1, &first);
    world.put_back(3, &third);
    // It answers, but does not take part yet.
    let second = start(world, 2).await;
    let first = start(world, 1).await;
    first.recall().await;
    assert!(!first.guard.may_stand());
    drop(second);
    world.kill(2).await;
    let third = start(world, 3).await;
    [first, third]
}

#[tokio::test]
async fn without_a_history_that_may_lead_the_operator_chooses() {
    let mut world = World::new();
    world.tuning.propose = Duration::from_secs(10);
    let [first, third] = nobody_may_lead(&mut world).await;
    let begun = [first.clone(), third.clone()].map(|node| {
        tokio::spawn(async move {
            let _ = node.run().await;
        })
    });
    let needs = |node: &Arc<LiveCluster>| node.status().metadata.needs_choice;
    until("both say that somebody must choose", || needs(&first) && needs(&third)).await;
    let status = third.status().metadata;
    let behind: Vec<_> = status.members.iter().filter(|member| member.once.is_some()).collect();
    let names: Vec<_> = behind.iter().map(|member| member.name.as_str()).collect();
    // n2 has told n1 of n3, too.
    assert_eq!(names, ["n1", "n3"], "{status:?}");
    assert_eq!(behind[0].remembered_by, ["n2"]);
    assert_eq!(behind[1].remembered_by, ["n1"]);
    assert!(behind.iter().all(|member| member.index < member.once) && !status.has_leader);

    check_refused(&first, "n9", "there is no node n9").await;
    check_refused(&first, "n2", "n2 cannot be reached").await;
    let chosen = first.choose("n3").await.unwrap();
    assert_eq!((chosen.node.as_str(), chosen.continues_at), ("n3", 1_000_000));
    assert_eq!(chosen.missing, ["n2"]);
    for task in begun {
        task.await.unwrap();
    }
    check_refused(&third, "n3", "has a leader").await;
    decide(&[&first, &third], 10..15).await;

    // It comes back with entries that are no more.
    let second = start(&mut world, 2).await;
    second.run().await.unwrap();
    let now = [&first, &second, &third];
    settled(&now, 3, 3).await;
    agreed(&now).await;
    decide(&now, 15..20).await;
    agreed(&now).await;
    for node in now {
        check_decided(node, 0..5);
        check_decided(node, 10..20);
        assert!(node.view().props(&bucket(7)).unwrap().n_val == 3);
        let status = node.status().metadata;
        let is_well = |member: &crate::status::MetadataMember| {
            member.once.is_none() && member.differs_at.is_none()
        };
        assert!(status.has_leader && status.members.iter().all(is_well), "{status:?}");
    }
    world.stop().await;
}

async fn check_refused(node: &Arc<LiveCluster>, name: &str, expected: &str) {
    let error = node.choose(name).await.unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_difference_is_an_alarm_and_an_emptied_node_is_filled() {
    let mut world = World::new();
    let nodes = three(&mut world).await;
    let all: Vec<_> = nodes.iter().collect();
    decide(&all, 0..5).await;
    agreed(&all).await;
    let leader = nodes[0].leader().unwrap();
    let odd = NodeId((1..=3).find(|id| *id != leader.0).unwrap());
    world.kill(odd.0).await;
    change_last_entry(&world.raft_directory(odd.0), set_n_val("bucket4", 1));
    let again = start(&mut world, odd.0).await;
    again.run().await.unwrap();
    let differs = |node: &Arc<LiveCluster>, other: NodeId| {
        let members = node.status().metadata.members;
        let other = other.to_string();
        members.iter().any(|member| member.id == other && member.differs_at.is_some())
    };
    until("all see it", || {
        let rest = others(&nodes, odd);
        rest.iter().all(|node| differs(node, odd)) && differs(&again, leader)
    })
    .await;
    assert!(others(&nodes, odd).iter().all(|node| !differs(node, leader)));

    world.kill(odd.0).await;
    let place = world.raft_directory(odd.0);
    std::fs::rename(&place, place.with_file_name("raft-odd")).unwrap();
    let again = start(&mut world, odd.0).await;
    again.run().await.unwrap();
    let mut now = others(&nodes, odd);
    now.push(&again);
    settled(&now, 3, 3).await;
    decide(&now, 5..8).await;
    agreed(&now).await;
    until("nobody sees a difference", || {
        now.iter().all(|node| (1..=3).all(|id| !differs(node, NodeId(id))))
    })
    .await;
    for node in now {
        check_decided(node, 0..8);
        assert!(node.guard.may_stand());
    }
    world.stop().await;
}
