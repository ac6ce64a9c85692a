//! Clocks that are set back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mapring_types::{Dot, ObjectId, Quorum};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_loses_nothing_and_gives_no_dot_or_time_again() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids: Vec<ObjectId> = (0..40).map(|n| key(format!("k{n}"))).collect();
    let mut times: BTreeMap<&ObjectId, u64> = BTreeMap::new();
    let mut dots: BTreeSet<Dot> = BTreeSet::new();
    for round in 0..6_usize {
        for (number, id) in ids.iter().enumerate() {
            // The last writer wins here: without a context, and through every node.
            let text = format!("{number} {round}");
            let object = put(cluster.kv((number + round) % 3), id, &text).await;
            let newest = object.newest().unwrap();
            assert!(dots.insert(newest.dot), "{id}: {:?} was given twice", newest.dot);
            let before = times.insert(id, newest.last_modified).unwrap_or(0);
            assert!(newest.last_modified > before, "{id}: round {round}");
            eventually("replicas", || cluster.converged(id)).await;
            for at in 0..3 {
                let found = cluster.kv(at).get(id, &r(Quorum::All)).await.unwrap().unwrap();
                assert_eq!(bodies(&found), [text.as_str()], "{id} in round {round}");
            }
        }
        cluster.set_clock_back(Duration::from_secs(3_600));
        if round % 2 == 1 {
            // What is known of the time must not depend on memory.
            for at in 0..3 {
                cluster.stop(at).await;
            }
            for at in 0..3 {
                cluster.restart(at).await;
            }
        }
    }
    let deleted = &ids[0];
    assert!(delete(cluster.kv(0), deleted).await);
    cluster.set_clock_back(Duration::from_secs(3_600));
    put(cluster.kv(1), deleted, "again").await;
    for at in 0..3 {
        assert_eq!(get(cluster.kv(at), deleted).await, ["again"]);
    }
}
