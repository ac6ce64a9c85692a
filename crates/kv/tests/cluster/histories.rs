//! Random histories with faults: no acknowledged write is lost, nothing that was replaced comes
//! back, and all replicas agree in the end.
//!
//! Every write carries a name of its own. What a writer had seen is followed through the answers it
//! got, value by value, and not through clocks: a clock that claims too much would hide the very
//! losses that are looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use mapring_kv::{GetOptions, KvConfig, NewValue, PutOptions};
use mapring_types::{Metadata, Object, ObjectId, Quorum};
use proptest::prelude::*;

use crate::support::*;

/// One step of a history.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Reads at a node, and remembers what was seen.
    Read {
        at: usize,
        key: usize,
        strong: bool,
    },
    /// Writes at a node, over what was last seen of the key, or without a context.
    Write {
        at: usize,
        key: usize,
        seen: bool,
        delete: bool,
        kind: Kind,
    },
    /// Cuts one node off from the others.
    Cut(usize),
    Pause(usize),
    Heal,
    Kill(usize),
    Stop(usize),
    Restart(usize),
    Wait(u64),
}

/// How many acknowledgements a write asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One.
    Weak,
    /// The default: a majority, fallbacks included.
    Default,
    /// A majority of the primaries.
    Strong,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = 0..3usize;
    let key = 0..2usize;
    let kind = prop_oneof![Just(Kind::Weak), Just(Kind::Default), Just(Kind::Strong)];
    let read = (at.clone(), key.clone(), any::<bool>()).prop_map(|(at, key, strong)| Step::Read {
        at,
        key,
        strong,
    });
    let write =
        (at.clone(), key, any::<bool>(), 0..5u8, kind).prop_map(|(at, key, seen, delete, kind)| {
            Step::Write { at, key, seen, delete: delete == 0, kind }
        });
    let step = prop_oneof![
        6 => read,
        10 => write,
        1 => at.clone().prop_map(Step::Cut),
        1 => at.clone().prop_map(Step::Pause),
        2 => Just(Step::Heal),
        1 => at.clone().prop_map(Step::Kill),
        1 => at.clone().prop_map(Step::Stop),
        2 => at.prop_map(Step::Restart),
        2 => (1..8_000u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..50)
}

/// A write that was tried.
#[derive(Debug)]
struct Written {
    key: usize,
    delete: bool,
    kind: Kind,
    acknowledged: bool,
    /// The names of all writes that its writer had seen, also those seen replaced.
    seen: BTreeSet<String>,
}

/// What a client knows of one key.
#[derive(Debug, Clone, Default)]
struct Known {
    object: Object,
    seen: BTreeSet<String>,
}

#[derive(Default)]
struct History {
    writes: BTreeMap<String, Written>,
    known: BTreeMap<usize, Known>,
}

fn names(object: &Object) -> Vec<String> {
    let name = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
    object.siblings.iter().map(|sibling| name(&sibling.metadata.user[0].1)).collect()
}

impl History {
    fn learn(&mut self, key: usize, object: Object) {
        let mut seen = BTreeSet::new();
        for name in names(&object) {
            seen.extend(self.writes[&name].seen.iter().cloned());
            seen.insert(name);
        }
        self.known.insert(key, Known { object, seen });
    }

    async fn write(&mut self, cluster: &TestCluster, step: Step, id: &ObjectId) {
        let Step::Write { at, key, seen, delete, kind } = step else { return };
        let known = self.known.get(&key).filter(|_| seen).cloned();
        let name = format!("w{}", self.writes.len());
        let user = vec![("X-Riak-Meta-Name".to_owned(), Bytes::from(name.clone()))];
        let value = NewValue {
            metadata: Metadata { user, ..Metadata::default() },
            body: if delete { Bytes::new() } else { Bytes::from(name.clone()) },
            deleted: delete,
        };
        let w = if kind == Kind::Weak { Quorum::One } else { Quorum::Default };
        let pw = if kind == Kind::Strong { Quorum::Majority } else { Quorum::Default };
        let timeout = Some(Duration::from_secs(10));
        let options = PutOptions { w, dw: w, pw, timeout, ..PutOptions::default() };
        let seen = known.as_ref().map(|known| known.seen.clone()).unwrap_or_default();
        let written = Written { key, delete, kind, acknowledged: false, seen };
        self.writes.insert(name.clone(), written);
        let context = known.map(|known| known.object.clock);
        if let Ok(object) = cluster.kv(at).put(id, context, value, &options).await {
            self.writes.get_mut(&name).unwrap().acknowledged = true;
            self.learn(key, object);
        }
    }

    /// Checks what a majority of the primaries has given: invariant I1.
    fn check_strong(&self, key: usize, got: Option<&Object>, reap: bool) -> Result<(), String> {
        let present: BTreeSet<String> = got.map(names).unwrap_or_default().into_iter().collect();
        for (name, write) in self.writes.iter().filter(|(_, write)| write.key == key) {
            let due = write.acknowledged && write.kind == Kind::Strong;
            let replaced = self.writes.values().any(|other| other.seen.contains(name));
            let reaped = reap && write.delete;
            if due && !present.contains(name) && !replaced && !reaped {
                return Err(format!("a read missed {name} of key {key}: {present:?}, {write:?}"));
            }
        }
        Ok(())
    }

    /// Checks what all replicas have agreed on. Tombstones may have been reaped.
    fn check(&self, key: usize, last: Option<&Object>, reap: bool) -> Result<(), String> {
        let present: BTreeSet<String> = last.map(names).unwrap_or_default().into_iter().collect();
        let others = || self.writes.values().filter(|write| write.key == key);
        for (name, write) in self.writes.iter().filter(|(_, write)| write.key == key) {
            let replaced = others().any(|other| other.seen.contains(name));
            let accounted = present.contains(name) || replaced || (reap && write.delete);
            if write.acknowledged && !accounted {
                return Err(format!("{name} of key {key} is lost: {present:?}, {write:?}"));
            }
            let for_good = others().any(|other| other.acknowledged && other.seen.contains(name));
            if present.contains(name) && for_good {
                return Err(format!("{name} of key {key} was replaced and is back: {present:?}"));
            }
        }
        Ok(())
    }
}

async fn play(steps: &[Step], seed: u64, reap: bool) -> Result<(), String> {
    let reap_after = reap.then_some(Duration::from_secs(3));
    let mut cluster =
        TestCluster::start_with(3, 64, seed, KvConfig { reap_after, ..KvConfig::default() }).await;
    cluster.set_props(&bucket(), siblings()).await;
    // One key on successive vnodes, and one whose list passes a vnode over.
    let ids = [false, true].map(|passes| {
        let passes_over = |id: &ObjectId| {
            let list = cluster.kv(0).preference(id).unwrap().primaries;
            (list[2].vnode.0 + 64 - list[0].vnode.0) % 64 > 2
        };
        (0..10_000).map(|n| key(format!("key-{n}"))).find(|id| passes_over(id) == passes).unwrap()
    });
    let mut history = History::default();
    let mut running = [true; 3];
    // A coordinator that dies under a write leaves nobody who knows which replicas missed it.
    let mut killed = false;
    for &step in steps {
        match step {
            Step::Read { at, key, strong } if running[at] => {
                let timeout = Some(Duration::from_secs(10));
                let pr = if strong { Quorum::Majority } else { Quorum::Default };
                let options = GetOptions { pr, timeout, ..GetOptions::default() };
                if let Ok(object) = cluster.kv(at).get(&ids[key], &options).await {
                    if strong {
                        history.check_strong(key, object.as_ref(), reap)?;
                    }
                    history.known.remove(&key);
                    object.into_iter().for_each(|object| history.learn(key, object));
                }
            }
            Step::Write { at, key, .. } if running[at] => {
                history.write(&cluster, step, &ids[key]).await;
            }
            Step::Cut(at) => cluster.partition(&[at], &[(at + 1) % 3, (at + 2) % 3]),
            Step::Pause(at) => cluster.pause(at),
            Step::Heal => cluster.heal(),
            Step::Kill(at) if running[at] => {
                cluster.kill(at);
                (running[at], killed) = (false, true);
            }
            Step::Stop(at) if running[at] => {
                cluster.stop(at).await;
                running[at] = false;
            }
            Step::Restart(at) if !running[at] => {
                cluster.restart(at).await;
                running[at] = true;
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
    }
    for (at, running) in running.into_iter().enumerate() {
        if !running {
            cluster.restart(at).await;
        }
    }
    cluster.heal();
    let listed = list_when_complete(&cluster).await?;
    // Longer than every patience, tick and reap, so that what is to come has come.
    tokio::time::sleep(Duration::from_secs(120)).await;
    for (key, id) in ids.iter().enumerate() {
        let all = cluster.kv(0).get(id, &r(Quorum::All)).await.map_err(|e| e.to_string())?;
        let last = all.as_ref();
        let differ = |held: &Option<Object>| held.as_ref() != last;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let stored = cluster.stored(id);
        if !(reap && last.is_none_or(Object::is_tombstone)) && stored.iter().any(differ) {
            return Err(format!("key {key}: replicas differ: {last:?} {stored:?}"));
        }
        history.check(key, last, reap)?;
        let live = last.is_some_and(|object| !object.is_tombstone());
        let name = String::from_utf8_lossy(&id.key).into_owned();
        if !killed && listed.contains(&name) != live {
            return Err(format!("key {key} is live: {live}, but {listed:?} was listed"));
        }
    }
    Ok(())
}

/// A listing may fail while complete replicas cannot be reached, but not for long when all is
/// mended; and when it succeeds it must be right.
async fn list_when_complete(cluster: &TestCluster) -> Result<Vec<String>, String> {
    let mut last = String::new();
    for _ in 0..5 {
        match cluster.list_keys(0, &bucket()).await {
            Ok(keys) => return Ok(keys),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn run(steps: &[Step], seed: u64, reap: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(play(steps, seed, reap)).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn no_write_is_lost_and_none_comes_back(steps in steps(), seed in any::<u32>()) {
        run(&steps, u64::from(seed), false)?;
    }

    #[test]
    fn nor_with_reaping(steps in steps(), seed in any::<u32>()) {
        run(&steps, u64::from(seed), true)?;
    }
}
