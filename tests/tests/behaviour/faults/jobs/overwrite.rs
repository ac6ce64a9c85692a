//! Objects are overwritten while a job reads them, and the node that runs it is killed: each counts once,
//! as it was when the job began or at some time since.

use std::collections::{BTreeMap, BTreeSet};

use super::super::model;
use super::super::rig::Rig;
use super::fault::{Takeovers, kill};
use super::task::{Kind, Pace, Point, Task, key_of};
use super::{LATEST, RUNS, SLOW_RATE, finish, remove, seen, someone};

/// Objects that change between two looks at the job.
const CHANGES: usize = 4;

/// The versions that each item has had since a time.
#[derive(Default)]
struct Versions(BTreeMap<u32, BTreeSet<u32>>);

impl Versions {
    fn note(&mut self, model: &model::Model) {
        for (&item, &version) in &model.0 {
            self.0.entry(item).or_default().insert(version);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_overwritten_meanwhile() {
    let mut rig = Rig::start("jobs, overwritten meanwhile", 3, RUNS).await;
    let mut taken = Takeovers::default();
    while rig.next_run() {
        let kind = [Kind::Map, Kind::Groups][rig.run() as usize % 2];
        let id = format!("run{}-0", rig.run());
        let task = Task::new(kind, &id, Pace::Rate(SLOW_RATE), &rig.model);
        let node = rig.random.below(3);
        let mut versions = Versions::default();
        versions.note(&rig.model);
        seen::start(&rig, node, &task).await;
        let most = rig.model.0.len() as f64 * LATEST;
        let count = 1 + (most * rig.random.fraction()) as i64;
        let point = Point { counter: "mapper-calls", count };
        change(&mut rig, &mut versions).await;
        let midst = seen::midst(&rig, node, &task, point).await;
        change(&mut rig, &mut versions).await;
        let victim = match &midst {
            Some(midst) => {
                let began = std::time::Instant::now();
                let left = kill(&mut rig, midst.owner).await;
                change_through(&mut rig, midst.owner, &mut versions).await;
                let through = someone(&mut rig, Some(midst.owner));
                if let Some((_, since)) = seen::taken(&rig, through, &midst.job, 2).await {
                    taken.note(since - began);
                    rig.count(0);
                }
                change_through(&mut rig, midst.owner, &mut versions).await;
                Some(left)
            }
            None => None,
        };
        let through = someone(&mut rig, victim.and_then(super::fault::Left::victim));
        seen::ended(&rig, through, &task).await;
        if let Some(left) = victim {
            left.undo(&mut rig, None);
        }
        rig.recover().await;
        for node in rig.everyone() {
            let job = seen::told(&rig, node, &task.path()).await.unwrap();
            assert_eq!(job["result_status"], "success", "{job}");
            assert_eq!(job["counters"]["mapper-calls"], rig.model.0.len(), "{job}");
            let results = seen::results(&rig, node, &task.id, &task.id).await;
            check(kind, &results, &versions);
        }
        remove(&mut rig, &[task]).await;
    }
    eprintln!("{}", taken.figures());
    finish(rig).await;
}

async fn change(rig: &mut Rig, versions: &mut Versions) {
    for item in rig.some_items(CHANGES) {
        rig.put_item(item, &rig.everyone()).await;
    }
    versions.note(&rig.model);
}

async fn change_through(rig: &mut Rig, without: usize, versions: &mut Versions) {
    for item in rig.some_items(CHANGES) {
        rig.put_item(item, &rig.others(without)).await;
    }
    versions.note(&rig.model);
}

/// Each item is among the results once, in one of its versions.
#[track_caller]
fn check(kind: Kind, results: &[String], versions: &Versions) {
    let mut found = BTreeMap::<u32, Vec<u32>>::new();
    if kind == Kind::Map {
        for result in results {
            let text: String = serde_json::from_str(result).unwrap();
            let (item, version) = text[1..].split_once('=').unwrap();
            let (item, version) = (item.parse().unwrap(), version.parse().unwrap());
            found.entry(item).or_default().push(version);
        }
    } else {
        let mut pairs = BTreeMap::<u32, BTreeSet<(u32, u32)>>::new();
        for result in results {
            let (key, values): (u32, String) = serde_json::from_str(result).unwrap();
            for value in values.split(' ').map(|value| value.parse::<u32>().unwrap()) {
                let new = pairs.entry(value / 100).or_default().insert((value % 100, key));
                assert!(new, "{value} is there twice");
            }
        }
        for (item, pairs) in pairs {
            // All of them come from one version.
            let of = |version: u32| -> BTreeSet<(u32, u32)> {
                let pair = |pair| (pair, key_of(item, version, pair) % model::KEYS);
                (0..model::PAIRS).map(pair).collect()
            };
            let version = versions.0[&item].iter().find(|version| of(**version) == pairs);
            let version = version.unwrap_or_else(|| panic!("{item}: {pairs:?}"));
            found.entry(item).or_default().push(*version);
        }
    }
    let items: Vec<&u32> = found.keys().collect();
    assert_eq!(items, versions.0.keys().collect::<Vec<_>>());
    for (item, seen) in found {
        let known = &versions.0[&item];
        assert!(seen.len() == 1 && known.contains(&seen[0]), "{item}: {seen:?} of {known:?}");
    }
}
