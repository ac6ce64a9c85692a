//! A node is killed, objects are overwritten, deleted and made while it is away, it comes back, and
//! at once every node is asked.

use std::time::Duration;

use futures::future::join_all;

use super::query::{Form, Query};
use super::rig::Rig;
use super::{RUNS, RUNS_OF_FIVE};

const QUICK: Duration = Duration::from_millis(1);

/// Objects that change while the node is away.
const CHANGES: usize = 24;

async fn while_away(nodes: usize, runs: u32) {
    let kind = "kill -9, overwrite, delete, restart, query";
    let mut rig = Rig::start(kind, nodes, runs).await.with_load();
    let mut queries = Query::all(QUICK);
    queries.extend([Form::Plain, Form::Parts].map(Query::count));
    queries.extend(Query::further(QUICK));
    while rig.next_run() {
        let query = rig.draw(&queries);
        let victim = *rig.random.pick(&rig.everyone());
        rig.note_of(victim, "is killed");
        rig.cluster.nodes[victim].kill().await;
        let others = rig.others(victim);
        for item in rig.some_items(CHANGES) {
            if rig.model.0.contains_key(&item) && rig.random.chance(0.4) {
                rig.delete_item(item, &others).await;
            } else {
                rig.put_item(item, &others).await;
            }
        }
        rig.note_of(victim, "starts again");
        rig.cluster.nodes[victim].spawn();
        let before = rig.all_units_rerun().await;
        let asked: Vec<_> = rig.everyone().into_iter().map(|node| rig.ask(node, query)).collect();
        join_all(asked.into_iter().map(|asked| rig.judge(asked))).await;
        let reruns = rig.all_units_rerun().await.saturating_sub(before);
        rig.count(reruns);
        rig.recover().await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_of_three_is_away() {
    while_away(3, RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_of_five_is_away() {
    while_away(5, RUNS_OF_FIVE).await;
}
