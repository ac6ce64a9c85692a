//! Accepting pages, losing lanes.

use std::sync::Arc;

use mapring_cluster::fixed::FixedGroup;
use mapring_cluster::{Cluster, View};
use mapring_ring::{Coverage, CoverageEntry, RingSize};
use mapring_script::Effects;

use super::*;
use mapring_types::{BucketId, ObjectId};

use crate::unit::{Broken, Cost, Page, Progress, Tally};

fn id(key: &str) -> ObjectId {
    ObjectId::new(BucketId::untyped("b"), key.to_owned())
}

fn plan(router: &mut Router, view: &View) {
    router.replica(Partition(0), 3);
    let request = router.request().unwrap();
    let fit = |entry: CoverageEntry| {
        view.is_up(entry.node) && !request.failures.contains_key(&entry.node)
    };
    router.planned(&request, Coverage::new(view.plan(), 3, 0, fit).unwrap());
}

/// A stage with one unfinished partition, unit 1, in lane 1, and a batch of three inputs, unit 9, in
/// lane 2 on the same node.
fn stage() -> (LaneStage, Router, Arc<View>) {
    let view = FixedGroup::start(3, RingSize::new(16).unwrap())[0].view();
    let mut router = Router::new(view.clone());
    plan(&mut router, &view);
    let options = UnitOptions::default();
    let task = Task {
        phase: 0,
        work: Work::Keys { pairs: false },
        prereduce: None,
        results: true,
        options,
    };
    let mut stage = LaneStage::new(task);
    let home = Partition(0);
    let replica = router.replica(home, 3).unwrap();
    let partition = PartitionProgress {
        scan: 0,
        home,
        replica: Some(replica),
        n_val: 3,
        after: None,
        attempt: 3,
        tries: 2,
        failures: 0,
        rests_until: None,
        page: 0,
        results: 0,
        state: None,
        lane: Some(1),
    };
    stage.partitions.insert(1, partition);
    let waiting = |key| {
        let input = KeyInput { id: id(key), keydata: None };
        Waiting {
            input,
            home,
            vnode: home,
            n_val: 3,
            attempt: 1,
            tries: 0,
            failures: 0,
            order: Order::default(),
            state: None,
        }
    };
    let inputs = ["a", "b", "c"].map(waiting).into();
    let loads = [
        Load::Partitions([1].into()),
        Load::Batch { unit: 9, attempt: 1, inputs, taken: 0, state: None },
    ];
    for (lane, load) in (1..).zip(loads) {
        let next = Box::pin(std::future::pending());
        stage
            .lanes
            .insert(lane, Lane { node: replica.node, load, inputs: None, shuffle: None, next });
    }
    stage.opened = 2;
    (stage, router, view)
}

fn page(unit: u32, attempt: u32, progress: Progress) -> Page {
    let results = vec![Row::value("1")];
    Page {
        unit,
        attempt,
        progress,
        results,
        gave: Vec::new(),
        reduced: None,
        inputs: 1,
        made: 1,
        made_bytes: 1,
        skipped: Vec::new(),
        cost: Cost::default(),
        tally: Tally::default(),
        effects: Effects::default(),
        run: None,
        groups: Vec::new(),
        state: None,
    }
}

/// Whether a page is taken, dropped, or an error.
#[track_caller]
fn check(stage: &mut LaneStage, lane: u64, page: Page, expect: Result<bool, ()>) {
    let found = stage.accept(lane, page).map(|accepted| !accepted.results.is_empty());
    assert_eq!(found.map_err(|_| ()), expect);
}

#[test]
fn pages_of_other_attempts_units_and_lanes_are_dropped() {
    let (mut stage, ..) = stage();
    let after = |key| Progress::After(Cursor::new(key));
    check(&mut stage, 1, page(1, 2, after("k")), Ok(false));
    check(&mut stage, 1, page(1, 4, after("k")), Ok(false));
    check(&mut stage, 1, page(2, 3, after("k")), Ok(false));
    check(&mut stage, 2, page(1, 3, after("k")), Ok(false));
    check(&mut stage, 7, page(1, 3, after("k")), Ok(false));
    assert!(stage.partitions[&1].after.is_none());
    check(&mut stage, 1, page(1, 3, after("k")), Ok(true));
    assert_eq!(
        (stage.partitions[&1].after.clone(), stage.partitions[&1].tries),
        (Some(Cursor::new("k")), 0)
    );
}

#[test]
fn pages_go_forward() {
    let (mut stage, ..) = stage();
    let after = |key| Progress::After(Cursor::new(key));
    check(&mut stage, 1, page(1, 3, after("k")), Ok(true));
    check(&mut stage, 1, page(1, 3, after("k")), Err(()));
    check(&mut stage, 1, page(1, 3, after("a")), Err(()));
    check(&mut stage, 1, page(1, 3, Progress::Taken(1)), Err(()));
    check(&mut stage, 1, page(1, 3, Progress::Done), Ok(true));
    check(&mut stage, 1, page(1, 3, Progress::Done), Ok(false));
    check(&mut stage, 2, page(9, 1, Progress::Taken(1)), Ok(true));
    check(&mut stage, 2, page(9, 1, Progress::Taken(1)), Err(()));
    check(&mut stage, 2, page(9, 1, Progress::Taken(4)), Err(()));
    check(&mut stage, 2, page(9, 1, after("k")), Err(()));
    check(&mut stage, 2, page(9, 1, Progress::Done), Ok(true));
    check(&mut stage, 2, page(9, 1, Progress::Done), Err(()));
}

#[test]
fn lost_lanes_go_on_from_where_they_stood() {
    let (mut stage, mut router, view) = stage();
    let node = stage.lanes[&1].node;
    check(&mut stage, 1, page(1, 3, Progress::After(Cursor::new("k"))), Ok(true));
    check(&mut stage, 2, page(9, 1, Progress::Taken(2)), Ok(true));
    for lane in [1, 2] {
        stage.lose(lane, &Error::unavailable("gone"), &mut router).unwrap();
    }
    let partition = &stage.partitions[&1];
    assert_eq!((partition.attempt, partition.tries, partition.lane), (4, 1, None));
    assert_eq!(partition.after, Some(Cursor::new("k")));
    assert!(partition.replica.is_none());
    assert_eq!((stage.unassigned.len(), stage.queued), (1, 1));
    plan(&mut router, &view);
    stage.assign(&mut router);
    assert_ne!(stage.partitions[&1].replica.unwrap().node, node);
    let queued: Vec<_> = stage.queue.values().flatten().map(|w| w.input.id.clone()).collect();
    assert_eq!((queued, stage.queued), (vec![id("c")], 1));
    assert!(!stage.queue.contains_key(&node));
    // The old lane is gone, and with it whatever it still sends.
    check(&mut stage, 1, page(1, 3, Progress::Done), Ok(false));
}

#[test]
fn tries_end() {
    let (mut stage, mut router, _) = stage();
    for _ in 0..limits::TRIES - 3 {
        stage.rerun(1, &Error::unavailable("x"), &mut router).unwrap();
    }
    let failure = stage.rerun(1, &Error::unavailable("x"), &mut router);
    assert!(failure.unwrap_err().message.contains("partition 0 could not be worked on"));
}

#[test]
fn a_broken_function_names_what_it_had() {
    let error = mapring_script::ScriptError {
        cause: mapring_script::FailureCause::Thrown,
        message: "no".into(),
        stack: None,
        input: None,
    };
    let keydata = Some(mapring_script::JsonText("7".into()));
    let broken = Broken { phase: 2, error, input: Some((id("k"), keydata.clone())) };
    let failure = broken_function(broken, "n3");
    let input = FailedInput::Object { id: id("k"), keydata };
    assert_eq!((failure.phase, failure.node.as_deref()), (Some(2), Some("n3")));
    assert_eq!((failure.message.as_str(), &failure.input), ("no", &Some(input)));
}

#[test]
fn nodes_that_are_down_lose_their_work() {
    let (mut stage, ..) = stage();
    let group = FixedGroup::start(3, RingSize::new(16).unwrap());
    let node = stage.lanes[&1].node;
    let me = [NodeId(1), NodeId(2), NodeId(3)].into_iter().find(|&other| other != node);
    let cluster = group[usize::try_from(me.unwrap().0 - 1).unwrap()].clone();
    cluster.report(node, false);
    let mut router = Router::new(Arc::clone(&cluster.view()));
    stage.view_changed(&mut router).unwrap();
    assert!(stage.lanes.is_empty());
    assert!(stage.partitions[&1].replica.is_none());
    assert_eq!((stage.unassigned.len(), stage.queued), (3, 3));
}
