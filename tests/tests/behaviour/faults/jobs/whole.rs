//! A job that groups by key goes on with the pairs that it has gathered after all nodes were killed.

use super::super::rig::Rig;
use super::fault::{Fault, Takeovers};
use super::task::{Kind, Point};
use super::{RUNS, finish, over, seen, someone, start};

/// How much of a job's inputs are mapped at least before all nodes are killed.
const MAPPED: f64 = 0.6;

#[tokio::test(flavor = "multi_thread")]
async fn groups_go_on_after_all_nodes_were_killed() {
    let mut rig = Rig::start("jobs, groups when all nodes are killed", 3, RUNS).await;
    while rig.next_run() {
        let (node, tasks) = start(&mut rig, &[Kind::Groups], true).await;
        let counter = "mapper-calls";
        let of_counter = tasks[0].counters.iter().find(|(name, _)| *name == counter);
        let count = (of_counter.unwrap().1 as f64 * MAPPED) as i64;
        let Some(midst) = seen::midst(&rig, node, &tasks[0], Point { counter, count }).await else {
            over(&mut rig, &tasks, 1..=1).await;
            continue;
        };
        // By then its pairs are saved.
        if !seen::checkpointed(&rig, node, &midst).await {
            over(&mut rig, &tasks, 1..=1).await;
            continue;
        }
        let came = Fault::KillAll.comes(&mut rig, None, &midst, &mut Takeovers::default()).await;
        let through = someone(&mut rig, None);
        seen::succeeded(&rig, through, &tasks[0], &came.epochs).await;
        goes_on(&rig, through, &midst.job).await;
        rig.count(0);
        rig.recover().await;
        over(&mut rig, &tasks, came.epochs).await;
    }
    finish(rig).await;
}

/// A job that has ended did not begin anew since all nodes were killed.
async fn goes_on(rig: &Rig, through: usize, job: &str) {
    let mut events = rig.cluster.client(through).job_events(job, None).await.unwrap();
    while let Ok(Some(event)) = events.next().await {
        let anew = event.event == "retry" && event.data.to_string().contains("anew");
        assert!(!anew, "{job}: {}", event.data);
    }
}
