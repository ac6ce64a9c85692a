//! What jobs leave behind that comes to light when they were removed.

use std::time::Duration;

use mapring_types::NodeId;
use tokio::time::sleep;

use super::world::{World, map};
use crate::store::{Entry, Shelf, Store as _, aside_id, piece_key};
use crate::sweep::Sweep;

const AGE: Duration = Duration::from_secs(60);

fn sweep(world: &World, at: usize) -> Sweep {
    Sweep::of_age(world.jobs(at).runner().clone(), AGE)
}

/// Looks through all shelves; returns how much was removed.
async fn pass(sweep: &mut Sweep) -> u64 {
    let mut removed = 0;
    for _ in 0..3 {
        removed += sweep.step().await.unwrap();
    }
    removed
}

async fn put(world: &World, shelf: Shelf, key: &str) {
    world.store(0).put(shelf, key, "x".into(), Entry::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_no_job_has_is_removed_when_it_is_old() {
    let world = World::start(3).await;
    world.fill("b", 20).await;
    let ended = world.start_job(0, &map("json", "b", "")).await;
    world.ended(0, &ended).await;
    let running = world.start_job(1, &map("hang", "b", r#","slice_ms":600000"#)).await;
    world.until(1, &running, |detail| detail.state == "running").await;
    let own = world.kept(Shelf::Results).await;
    let aside = aside_id("gone");
    for (id, epoch) in [("gone", 1), (aside.as_str(), 2), ("gone-too", 1), (running.as_str(), 1)] {
        put(&world, Shelf::Results, &piece_key(id, epoch, 7)).await;
    }
    for shelf in [Shelf::Checkpoints, Shelf::Errors] {
        for id in ["gone", running.as_str()] {
            put(&world, shelf, id).await;
        }
    }
    let mut sweep = sweep(&world, 2);
    assert_eq!(pass(&mut sweep).await, 0, "it is young");
    sleep(AGE + Duration::from_secs(1)).await;
    put(&world, Shelf::Results, &piece_key("gone", 3, 0)).await;
    assert_eq!(pass(&mut sweep).await, 5);
    let mut left = [own, vec![piece_key("gone", 3, 0), piece_key(&running, 1, 7)]].concat();
    left.sort();
    assert_eq!(world.kept(Shelf::Results).await, left);
    for shelf in [Shelf::Checkpoints, Shelf::Errors] {
        assert_eq!(world.kept(shelf).await, [running.as_str()]);
    }
    assert_eq!(world.rows(0, &ended).await.len(), 20);
    assert_eq!(pass(&mut sweep).await, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_on_doubt() {
    let mut world = World::start(3).await;
    world.fill("b", 5).await;
    // The last node does not hear of the job, and nothing is stored of it yet.
    world.behind.lock().insert(NodeId(3));
    let running = world.start_job(0, &map("hang", "b", r#","slice_ms":600000"#)).await;
    let piece = piece_key(&running, 1, 0);
    put(&world, Shelf::Results, &piece).await;
    sleep(AGE + Duration::from_secs(1)).await;
    assert_eq!(pass(&mut sweep(&world, 2)).await, 0, "others know of the job");
    world.behind.lock().clear();
    world.jobs(0).abort(&running, None).await.unwrap();
    world.ended(0, &running).await;
    assert!(world.kept(Shelf::Results).await.is_empty(), "it goes with its job");

    let gone = piece_key("gone", 1, 0);
    put(&world, Shelf::Results, &gone).await;
    sleep(AGE + Duration::from_secs(1)).await;
    let mut here = sweep(&world, 0);
    world.kill(1);
    world.kill(2);
    assert!(here.step().await.is_err(), "too few can say whether there is a record");
    world.restart(1).await;
    world.restart(2).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.kept(Shelf::Results).await, [gone]);
    // That was given up for this time.
    assert_eq!(pass(&mut here).await + pass(&mut here).await, 1);
    assert!(world.kept(Shelf::Results).await.is_empty());
}
