//! Nodes that are lost while a job runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mapring_cluster::{Cluster as _, JobRecord};
use mapring_net::Call as _;
use mapring_types::NodeId;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::world::{World, map, sums};
use crate::lease::Here;
use crate::store::Shelf;
use crate::{JobDetail, Naming, rendezvous};

/// Waits until so many inputs were mapped.
async fn mapped(world: &World, count: u64) {
    while world.calls.mapped.load(Ordering::Relaxed) < count {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Notes who owned the job in each epoch: one.
fn owners(world: &World, at: usize) -> Arc<Mutex<BTreeMap<u64, JobRecord>>> {
    let seen: Arc<Mutex<BTreeMap<u64, JobRecord>>> = Arc::default();
    let (mut changes, noted) = (world.nodes[at].cluster.changes(), seen.clone());
    changes.mark_changed();
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            let view = changes.borrow_and_update().clone();
            let mut noted = noted.lock();
            for job in view.state.jobs.values() {
                let known = noted.entry(job.epoch).or_insert_with(|| job.clone());
                assert_eq!(known.owner, job.owner, "one owner an epoch");
            }
        }
    });
    seen
}

#[tokio::test(start_paused = true)]
async fn another_node_goes_on_when_the_owner_is_lost_twice() {
    let mut world = World::start(3).await;
    world.fill("b", 80).await;
    let output = r#","output":{"bucket":"out","layout":"single","name":"s","format":"ndjson"}"#;
    let id = world.start_job(0, &sums("b", output)).await;
    mapped(&world, 20).await;
    world.kill(0);
    let lost = Instant::now();
    let after =
        |epoch| move |detail: &JobDetail| detail.epoch == epoch && detail.unreachable.is_none();
    let second = world.until(2, &id, after(2)).await;
    assert!(lost.elapsed() < Duration::from_secs(6), "{:?}", lost.elapsed());
    let at = second.node.unwrap()[1..].parse::<usize>().unwrap() - 1;
    let other = 3 - at;
    assert!(at != 0 && other != 0);
    world.restart(0).await;
    let seen = owners(&world, other);
    world.until(other, &id, |detail| detail.state == "running").await;
    world.kill(at);
    let detail = world.ended(other, &id).await;
    assert_eq!(detail.result_status.as_deref(), Some("success"), "{:?}", detail.error);
    assert_eq!((detail.epoch, detail.counters["groups"]), (3, 4));
    assert_eq!(world.get(other, "out", "s").await.unwrap(), expect_of(80));
    assert_eq!(seen.lock().keys().copied().collect::<Vec<_>>(), [2, 3]);
    // One that has come back and does not know of both gets no lease.
    let service = world.jobs(other).service();
    let here = |takes| {
        let body = crate::wire::encode(&Here(takes)).unwrap();
        service.call(NodeId(1), Here::OPERATION, body)
    };
    let error = here(1).await.unwrap_err();
    assert!(error.message().contains("taken over"), "{error}");
    assert!(here(2).await.is_ok());
    assert!(world.kept(Shelf::Documents).await.is_empty());
    assert_eq!(world.kept(Shelf::Results).await.len(), 1, "of one epoch alone");
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_gets_no_lease() {
    let world = World::start(3).await;
    let service = world.jobs(0).service();
    let here = |node| {
        let body = crate::wire::encode(&Here(0)).unwrap();
        service.call(NodeId(node), Here::OPERATION, body)
    };
    assert!(here(2).await.is_ok());
    let error = here(9).await.unwrap_err();
    assert!(error.message().contains("no member"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_before_a_checkpoint_is_not_done_again() {
    let mut world = World::start(3).await;
    world.fill("b", 400).await;
    let more = r#","slice_ms":200,"keep_ms":1000000"#;
    let id = world.start_job(0, &map("slow", "b", more)).await;
    mapped(&world, 200).await;
    world.kill(0);
    let detail = world.ended(1, &id).await;
    assert_eq!((detail.epoch, detail.result_status.as_deref()), (2, Some("success")));
    assert_eq!(detail.counters["mapper-calls"], 400, "each input counts once");
    let of_shards = detail.shards.iter().map(|shard| shard.counters["mapper-calls"]);
    assert_eq!(of_shards.sum::<i64>(), 400, "in one shard each, whoever worked on it");
    let all = world.calls.mapped.load(Ordering::Relaxed);
    assert!((400..560).contains(&all), "{all} calls");
    let mut rows = world.rows(2, &id).await;
    rows.sort_by_key(|row| row.parse::<u64>().unwrap());
    let expect: Vec<String> = (0..400).map(|number: u32| number.to_string()).collect();
    assert_eq!(rows, expect);
    assert!(world.kept(Shelf::Checkpoints).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_becomes_an_object_goes_on_where_it_was_put_aside() {
    let mut world = World::start(3).await;
    world.fill("b", 400).await;
    let output = r#""output":{"bucket":"out","layout":"single","name":"s","format":"ndjson"}"#;
    let more = format!(r#","slice_ms":200,"keep_ms":1000000,{output}"#);
    let id = world.start_job(0, &map("slow", "b", &more)).await;
    mapped(&world, 200).await;
    world.kill_all();
    world.restart_all_after(Duration::from_secs(30)).await;
    let detail = world.ended(1, &id).await;
    assert_eq!(detail.result_status.as_deref(), Some("success"), "{:?}", detail.error);
    assert_eq!(detail.counters["mapper-calls"], 400, "each input counts once");
    let all = world.calls.mapped.load(Ordering::Relaxed);
    assert!((400..560).contains(&all), "{all} calls");
    let found = world.get(2, "out", "s").await.unwrap();
    let mut numbers: Vec<u32> = found.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<u32>>());
    assert!(world.kept(Shelf::Checkpoints).await.is_empty());
    assert_eq!(world.kept(Shelf::Results).await.len(), 1, "the names alone");
    // The same of one that nothing happens to, …
    let again = world.start_job(0, &map("slow", "b", &more)).await;
    assert_eq!(world.ended(0, &again).await.result_status.as_deref(), Some("success"));
    assert_eq!(world.kept(Shelf::Results).await.len(), 2);
    // … and of one that is aborted.
    let third = world.start_job(0, &map("slow", "b", &more)).await;
    let before = world.calls.mapped.load(Ordering::Relaxed);
    mapped(&world, before + 200).await;
    assert!(world.kept(Shelf::Results).await.len() > 2, "nothing is put aside");
    world.jobs(1).abort(&third, None).await.unwrap();
    assert_eq!(world.ended(0, &third).await.result_status.as_deref(), Some("aborted"));
    assert_eq!(world.kept(Shelf::Results).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn groups_that_were_gathered_before_a_checkpoint_are_not_made_again() {
    let mut world = World::start(3).await;
    world.fill("b", 800).await;
    let id = world.start_job(0, &sums("b", r#","slice_ms":200"#)).await;
    mapped(&world, 600).await;
    world.kill(0);
    let detail = world.ended(1, &id).await;
    assert_eq!((detail.epoch, detail.result_status.as_deref()), (2, Some("success")));
    assert_eq!(detail.counters["mapper-calls"], 800, "each input counts once");
    let all = world.calls.mapped.load(Ordering::Relaxed);
    // What was under way is: pages of pairs are large. From the beginning it would be 1,400.
    assert!((800..1_250).contains(&all), "{all} calls");
    assert_eq!(world.rows(2, &id).await.join("\n") + "\n", expect_of(800));
    assert_eq!(detail.shard_count, 16 + 8, "partitions of the bucket and of the pairs");
    assert!(world.kept(Shelf::Checkpoints).await.is_empty());
}

/// How a grouped job ends that all nodes were lost in: how often a map was called. `lost` says which nodes have
/// lost their files of pairs as well.
async fn lost_in_all(lost: &[usize]) -> u64 {
    let mut world = World::start(3).await;
    world.fill("b", 800).await;
    let output = r#","output":{"bucket":"out","layout":"single","name":"s","format":"ndjson"}"#;
    let id = world.start_job(0, &sums("b", &format!(r#","slice_ms":200{output}"#))).await;
    mapped(&world, 600).await;
    assert_eq!(world.kept(Shelf::Checkpoints).await.len(), 1);
    world.kill_all();
    lost.iter().for_each(|at| world.lose_pairs(*at));
    world.restart_all_after(Duration::from_secs(300)).await;
    let detail = world.ended(1, &id).await;
    assert_eq!(detail.result_status.as_deref(), Some("success"), "{:?}", detail.error);
    assert_eq!(detail.counters["mapper-calls"], 800, "each input counts once");
    assert_eq!(world.get(2, "out", "s").await.unwrap(), expect_of(800));
    assert!(world.kept(Shelf::Checkpoints).await.is_empty());
    // What was saved goes when the job has ended.
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.files_of_pairs(), Vec::<String>::new());
    world.calls.mapped.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn groups_go_on_with_pairs_that_were_saved_before_all_nodes_were_lost() {
    let all = lost_in_all(&[]).await;
    // From the beginning it would be 1,400.
    assert!((800..1_250).contains(&all), "{all} calls");
    let all = lost_in_all(&[1]).await;
    assert!((800..1_250).contains(&all), "{all} calls where one of two copies is gone");
}

#[tokio::test(start_paused = true)]
async fn groups_whose_pairs_went_with_all_nodes_are_made_anew() {
    let all = lost_in_all(&[0, 1, 2]).await;
    assert!(all >= 1_400, "{all} calls");
}

fn expect_of(count: u64) -> String {
    let sum = |of: u64| (0..count).filter(|number| number % 4 == of).sum::<u64>();
    (0..4).map(|of| format!("[\"{of}\",{}]\n", sum(of))).collect()
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_stood_still_stores_nothing_more() {
    let world = World::start(3).await;
    world.fill("b", 60).await;
    let seen = owners(&world, 2);
    let id = world.start_job(0, &map("slow", "b", "")).await;
    mapped(&world, 10).await;
    world.hold(0, true);
    let detail = world.ended(1, &id).await;
    assert_eq!((detail.epoch, detail.result_status.as_deref()), (2, Some("success")));
    let rows = world.rows(1, &id).await.len();
    assert_eq!(rows, 60);
    world.hold(0, false);
    sleep(Duration::from_secs(20)).await;
    let after = world.jobs(1).show(&id).await.unwrap();
    assert_eq!((after.epoch, after.updated_timestamp_ms), (2, detail.updated_timestamp_ms));
    assert_eq!(world.rows(0, &id).await.len(), 60);
    assert_eq!(world.kept(Shelf::Results).await.len(), 1);
    assert_eq!(seen.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_cut_off_stops_before_another_begins() {
    let world = World::start(3).await;
    world.fill("b", 80).await;
    let id = world.start_job(0, &map("slow", "b", "")).await;
    mapped(&world, 10).await;
    world.cut(0, true);
    let runs = |at: usize| world.jobs(at).runs(&id);
    let mut both = 0;
    while world.nodes[1].cluster.view().state.jobs.get(&id).is_some_and(|job| job.epoch == 1) {
        both += usize::from(runs(0) && (runs(1) || runs(2)));
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!runs(0), "it has stopped by itself");
    let detail = world.ended(1, &id).await;
    assert_eq!((detail.epoch, detail.result_status.as_deref()), (2, Some("success")));
    world.cut(0, false);
    sleep(Duration::from_secs(20)).await;
    assert_eq!((both, runs(0)), (0, false));
    assert_eq!(world.rows(0, &id).await.len(), 80);
    assert_eq!(world.jobs(0).show(&id).await.unwrap().epoch, 2);
    assert_eq!(world.kept(Shelf::Results).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_nodes_that_were_lost_go_on_when_they_are_back() {
    let mut world = World::start(3).await;
    world.fill("b", 60).await;
    let id = world.start_job(0, &sums("b", "")).await;
    mapped(&world, 10).await;
    world.kill_all();
    world.restart_all_after(Duration::from_secs(60)).await;
    let detail = world.ended(1, &id).await;
    assert_eq!(detail.result_status.as_deref(), Some("success"), "{:?}", detail.error);
    let rows = world.rows(2, &id).await.join("\n") + "\n";
    assert_eq!(rows, expect_of(60));
}

#[tokio::test(start_paused = true)]
async fn an_abort_reaches_a_job_whose_owner_is_gone() {
    let mut world = World::start(3).await;
    world.fill("b", 10).await;
    let id = world.start_job(0, &map("hang", "b", "")).await;
    world.until(1, &id, |detail| detail.state == "running").await;
    world.kill(0);
    let detail = world.jobs(1).show(&id).await.unwrap();
    assert_eq!(detail.unreachable.unwrap().node, "n1");
    world.jobs(2).abort(&id, Some("its node is gone".into())).await.unwrap();
    let detail = world.ended(1, &id).await;
    assert_eq!(detail.result_status.as_deref(), Some("aborted"));
    assert_eq!(detail.error.unwrap()["error"], "its node is gone");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_leaves_its_jobs_to_others() {
    let world = World::start(3).await;
    world.fill("b", 60).await;
    let id = world.start_job(0, &map("slow", "b", "")).await;
    mapped(&world, 10).await;
    world.jobs(0).shutdown();
    let detail = world.ended(1, &id).await;
    assert_eq!((detail.epoch, detail.result_status.as_deref()), (2, Some("success")));
    assert_eq!(world.rows(1, &id).await.len(), 60);
}

#[tokio::test(start_paused = true)]
async fn who_was_taken_over_goes_on_by_nobodys_word_that_does_not_know_it() {
    let world = World::start(3).await;
    world.fill("b", 5).await;
    let others = [NodeId(1), NodeId(2)].into();
    let id = (0..).map(|number| format!("j{number}"));
    let mut id = id.filter(|id| rendezvous::first(id, &others) == Some(NodeId(2)));
    let name = Naming::Id(id.next().unwrap());
    let id = world.try_start(2, &map("hang", "b", ""), name).await.unwrap();
    world.until(2, &id, |detail| detail.state == "running").await;
    // The second takes it, and neither of the others hears of that for long.
    world.behind.lock().extend([NodeId(1), NodeId(3)]);
    world.hold(2, true);
    world.until(1, &id, |detail| detail.epoch == 2).await;
    world.hold(2, false);
    let lease = &world.jobs(2).runner().lease;
    for _ in 0..400 {
        sleep(Duration::from_millis(50)).await;
        assert!(!lease.is_held(), "it works on what is another's");
    }
    world.behind.lock().clear();
    world.jobs(2).abort(&id, None).await.unwrap();
    world.ended(0, &id).await;
}
