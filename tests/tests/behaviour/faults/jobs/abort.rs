//! A job is aborted while a node that runs it, or another one, is killed or stands still.

use std::time::Duration;

use super::super::rig::Rig;
use super::fault::{kill, stop};
use super::task::Task;
use super::{BESIDE, Deck, LATEST, RUNS, finish, midst, over, remove, seen, someone, start};

/// How long after the fault the abort comes, at most: some come before another node has the job, and
/// some after that.
const LATER: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_aborted_for_good() {
    let mut rig = Rig::start("jobs, abort during a fault", 3, RUNS).await;
    let mut deck = Deck(Vec::new());
    while rig.next_run() {
        let kinds = deck.draw(&mut rig);
        let (node, tasks) = start(&mut rig, &kinds, true).await;
        let Some(midst) = midst(&mut rig, node, &tasks, LATEST).await else {
            over(&mut rig, &tasks, 1..=1).await;
            continue;
        };
        let victim =
            if rig.random.chance(0.7) { midst.owner } else { someone(&mut rig, Some(midst.owner)) };
        let left = match rig.random.chance(0.5) {
            true => kill(&mut rig, victim).await,
            false => stop(&rig, victim),
        };
        tokio::time::sleep(LATER.mul_f64(rig.random.fraction())).await;
        let through = someone(&mut rig, Some(victim));
        let message = format!("enough of run {}", rig.run());
        let mut aborted = Vec::new();
        for task in &tasks {
            aborted.push(seen::abort(&rig, through, task, &message).await);
        }
        let early = rig.random.chance(0.5);
        if early {
            left.undo(&mut rig, None);
        }
        is_over(&rig, through, &tasks, &aborted, &message).await;
        if !early {
            left.undo(&mut rig, None);
        }
        if aborted[0] {
            deck.count(&mut rig);
        }
        rig.recover().await;
        for node in rig.everyone() {
            is_over(&rig, node, &tasks, &aborted, &message).await;
        }
        remove(&mut rig, &tasks).await;
    }
    finish(rig).await;
}

/// Each task has ended as it was told to, or as if it had not been told: when its outputs are being written,
/// or its end is stored and only to be decided, an abort comes too late.
async fn is_over(rig: &Rig, through: usize, tasks: &[Task], aborted: &[bool], message: &str) {
    for (task, aborted) in tasks.iter().zip(aborted) {
        let shown = seen::ended(rig, through, task).await;
        let succeeded = shown["result_status"] == "success" || shown["status"] == "done";
        if *aborted && !succeeded {
            seen::aborted(rig, through, task, message).await;
        } else {
            seen::succeeded(rig, through, task, &BESIDE).await;
        }
    }
}
