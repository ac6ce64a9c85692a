//! Joining, coming back, and being refused.

use std::collections::BTreeMap;

use mapring_client::{ClusterStatus, NewObject, Place};

use mapring_tests::harness::{Cluster, eventually};

fn object() -> NewObject {
    NewObject { body: "x".into(), content_type: "text/plain".into(), ..NewObject::default() }
}

/// Identity, status and partitions of each member.
fn members(status: &ClusterStatus) -> BTreeMap<String, (String, String, u64)> {
    let of = |member: &mapring_client::MemberStatus| {
        let facts = (member.id.clone(), member.status.clone(), member.partitions);
        (member.name.clone(), facts)
    };
    status.members.iter().map(of).collect()
}

#[tokio::test]
async fn early_nodes_share_the_ring_evenly_and_late_ones_own_nothing() {
    let mut cluster = Cluster::start(3).await;
    let status = cluster.nodes[0].status().await;
    let mut shares: Vec<u64> = status.members.iter().map(|member| member.partitions).collect();
    shares.sort_unstable();
    assert_eq!(shares, [21, 21, 22]);

    cluster.client(1).put(&Place::new("b", "k"), object()).await.unwrap();
    cluster.add().wait_ready().await;
    for node in &cluster.nodes {
        let late = eventually("the late node to be known", || async {
            let status = node.status().await;
            status.members.into_iter().find(|member| member.name == "n4")
        })
        .await;
        assert_eq!((late.status.as_str(), late.partitions), ("joining", 0));
    }
    // It serves all the same.
    let client = cluster.client(3);
    assert_eq!(client.get(&Place::new("b", "k")).await.unwrap().body, "x");
    client.put(&Place::new("b", "k2"), object()).await.unwrap();
    assert_eq!(cluster.client(0).get(&Place::new("b", "k2")).await.unwrap().body, "x");
}

#[tokio::test]
async fn restarts_change_nothing() {
    let mut cluster = Cluster::start(3).await;
    cluster.client(0).put(&Place::new("b", "k"), object()).await.unwrap();
    let before = members(&cluster.nodes[0].status().await);
    // With the same --join, one after another, and then all at once.
    for number in 0..3 {
        assert!(cluster.nodes[number].stop().await.success());
        cluster.restart(number).await;
    }
    for node in &mut cluster.nodes {
        assert!(node.stop().await.success());
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    cluster.wait_shared().await;
    for node in &cluster.nodes {
        assert_eq!(members(&node.status().await), before);
        assert_eq!(node.client.get(&Place::new("b", "k")).await.unwrap().body, "x");
    }
}

#[tokio::test]
async fn nodes_of_another_cluster_or_secret_stay_out() {
    let mut cluster = Cluster::start_with(1, &[("MAPRING__CLUSTER__SECRET", "right")]).await;
    for (name, variable, value, reason) in [
        (
            "stranger",
            "MAPRING__CLUSTER__NAME",
            "another",
            "the cluster name is mapring, not another",
        ),
        ("liar", "MAPRING__CLUSTER__SECRET", "wrong", "the shared secret differs"),
        ("misfit", "MAPRING__CLUSTER__RING_SIZE", "128", "the ring size is 64, not 128"),
    ] {
        let reason = format!("refused by the peer: {reason}");
        let refused = cluster.add_with(|node| {
            node.name = name.into();
            node.environment.push((variable.into(), value.into()));
        });
        // It ends, or goes on asking; either way it says why.
        let what = format!("{name} to say: {reason}");
        eventually(&what, || async { refused.log().contains(&reason).then_some(()) }).await;
        refused.kill().await;
    }
    let status = cluster.nodes[0].status().await;
    assert_eq!(status.members.len(), 1, "{status:?}");
}

/// By a file, and a restart of one node after the other.
#[tokio::test]
async fn a_secret_takes_the_place_of_another_node_by_node() {
    let mut cluster = Cluster::empty(&[]);
    let file =
        |cluster: &Cluster, number: usize| cluster.directory().join(format!("secret{number}"));
    let with = |path: std::path::PathBuf| {
        let path = path.into_os_string().into_string().unwrap();
        ("MAPRING__CLUSTER__SECRET_FILE".to_owned(), path)
    };
    for number in 0..3 {
        let path = file(&cluster, number);
        std::fs::write(&path, "old\n").unwrap();
        cluster.add_with(|node| node.environment.push(with(path)));
    }
    cluster.wait_shared().await;
    for lines in ["old\nnew\n", "new\nold\n", "new\n"] {
        for number in 0..3 {
            std::fs::write(file(&cluster, number), lines).unwrap();
            assert!(cluster.nodes[number].stop().await.success());
            cluster.restart(number).await;
        }
    }
    let path = file(&cluster, 3);
    std::fs::write(&path, "old\n").unwrap();
    let late = cluster.add_with(|node| node.environment.push(with(path)));
    let reason = "refused by the peer: the shared secret differs";
    let what = "a node with the old secret to be refused";
    eventually(what, || async { late.log().contains(reason).then_some(()) }).await;
    late.kill().await;
}

#[tokio::test]
async fn joining_waits_for_a_member_to_appear() {
    let mut cluster = Cluster::empty(&[]);
    // n1 is known to n2 by its address before it runs.
    cluster.add();
    cluster.nodes[0].kill().await;
    cluster.add();
    let what = "the second node to run while it is alone";
    eventually(what, || async { (!cluster.nodes[1].log().is_empty()).then_some(()) }).await;
    cluster.nodes[0].spawn();
    cluster.wait_shared().await;
    assert_eq!(cluster.nodes[1].status().await.members.len(), 2);
}
