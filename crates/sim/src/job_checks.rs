//! What is left of jobs in the end: all that they were to leave, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use mapring_cluster::JobResult;
use mapring_engine::{Engine, ScanDepth, ScanRange};
use mapring_kv::ReservedObjects;
use mapring_runner::store::Shelf;
use mapring_types::{BucketId, Result};
use serde_json::Value;
use tokio::time::timeout;

use crate::job_book::{Book, Entry};
use crate::job_clients::{JobClient, JobClients};
use crate::ledger::{Known, Ledger};
use crate::limits;
use crate::orders::{COPIES, OUT};
use crate::random::Random;
use crate::world::World;

/// The buckets of jobs.
pub(crate) fn buckets(world: &World) -> Vec<BucketId> {
    if world.shape.jobs.is_none() {
        return Vec::new();
    }
    let own = [crate::orders::FLOCK, COPIES, OUT].map(|name| BucketId::untyped(name.to_owned()));
    let shelves = Shelf::ALL.map(|shelf| ReservedObjects::bucket(shelf.name()));
    own.into_iter().chain(shelves).collect()
}

/// Checks all jobs when everything has come to rest.
pub(crate) async fn check(world: &Arc<World>, clients: &JobClients, random: &Random) -> Result<()> {
    let Some(ledger) = &world.ledger else { return Ok(()) };
    count(world, ledger);
    let client = JobClient::new(world.clone(), clients.book.clone(), random.fork());
    for (id, entry) in clients.book.all() {
        let known = ledger.known(&id);
        if known.starts > 1 && !entry.removed && !entry.order.is_brief {
            client.faults(&id, [format!("it was started {} times", known.starts)]);
        }
        if entry.removed || entry.order.is_brief || known.is_active {
            continue;
        }
        ask_once_more(&client, &id, &entry).await;
        // Who asks for an end that is decided has the telling given up.
        if let Some(receiver) =
            world.receiver.as_ref().filter(|_| entry.order.is_told && !entry.aborted)
        {
            client.faults(&id, receiver.check(&id, true));
        }
    }
    for (id, fault) in left_over(world, &clients.book, ledger)? {
        client.faults(&id, [fault]);
    }
    Ok(())
}

/// Has all of them removed, in peace.
pub(crate) async fn remove_all(world: &Arc<World>, random: &Random) {
    let Some(ledger) = &world.ledger else { return };
    let client = JobClient::new(world.clone(), Arc::default(), random.fork());
    for id in ledger.all().keys() {
        if timeout(limits::CLIENT_PATIENCE, client.remove(id)).await.is_err() {
            client.faults(id, ["it cannot be removed in peace".to_owned()]);
        }
    }
}

/// Checks that nothing is left of them then.
pub(crate) fn check_removed(world: &World, clients: &JobClients) -> Result<()> {
    let entries = clients.book.all();
    let shelves =
        [Shelf::Records, Shelf::Results, Shelf::Errors, Shelf::Checkpoints, Shelf::Pipelines];
    for shelf in shelves {
        for key in living(world, &ReservedObjects::bucket(shelf.name()))?.keys() {
            let entry = entries.get(key.split('/').next().unwrap_or_default());
            // What was removed while something was wrong may have come to light since.
            let is_late = entry.is_some_and(|entry| entry.removed || entry.order.is_brief);
            if !is_late && !world.is_forgiven() {
                let what = format!("in {} {key} is left of a job that was removed", shelf.name());
                world.trace.violation(what);
            }
        }
    }
    Ok(())
}

fn count(world: &World, ledger: &Ledger) {
    let all = ledger.all();
    let sum = |of: fn(&Known) -> u64| all.values().map(of).sum::<u64>();
    world.count(|figures| {
        figures.jobs = sum(|known| known.starts);
        figures.takes = sum(Known::takes);
        figures.pairs = ledger.pairs_found();
    });
}

/// What was told of a job still is so.
async fn ask_once_more(client: &JobClient, id: &str, entry: &Entry) {
    let owned = id.to_owned();
    match client.ask(|jobs| async move { jobs.show(&owned).await }).await {
        Ok(detail) => client.faults(id, entry.check_end(&detail)),
        Err(error) => client.faults(id, [format!("it is not shown in peace: {error}")]),
    }
    if entry.status.as_deref() != Some("success") {
        return;
    }
    match client.rows(id).await {
        Ok(rows) => client.faults(id, entry.check_rows(id, rows)),
        Err(error) => client.faults(id, [format!("its results are not given in peace: {error}")]),
    }
}

/// What is wrong with what lies on the disks, by job.
fn left_over(world: &World, book: &Book, ledger: &Ledger) -> Result<Vec<(String, String)>> {
    let shelf = |shelf: Shelf| living(world, &ReservedObjects::bucket(shelf.name()));
    let records = shelf(Shelf::Records)?;
    let mut faults = Vec::new();
    let mut fault = |id: &str, what: String| faults.push((id.to_owned(), what));
    let (known, entries) = (ledger.all(), book.all());
    for id in shelf(Shelf::Checkpoints)?.keys() {
        if !ledger.known(id).is_active {
            fault(id, "its checkpoint is left".to_owned());
        }
    }
    for key in shelf(Shelf::Documents)?.keys() {
        let id = key.split('/').next().unwrap_or_default();
        // Of several attempts at a start one may leave its own.
        if entries.get(id).is_some_and(|entry| entry.attempts == 1) && !ledger.known(id).is_active {
            fault(id, "its document is left".to_owned());
        }
    }
    let mut pieces: BTreeSet<String> = shelf(Shelf::Results)?.into_keys().collect();
    for (id, record) in &records {
        let entry = entries.get(id);
        if entry.is_some_and(|entry| entry.removed) {
            fault(id, "its record is left though it was removed".to_owned());
        }
        // Its record is the last of a job that goes.
        let goes = entry.is_some_and(|entry| entry.order.is_brief);
        for piece in named(id, record) {
            if !pieces.remove(&piece) && !goes {
                fault(id, format!("{piece} is not there"));
            }
        }
    }
    for piece in pieces {
        let id = piece.split('/').next().unwrap_or_default();
        // What could be written in part only may come to light at any time; it counts for nothing, and goes
        // with the job.
        if entries.get(id).is_some_and(|entry| !entry.disturbed) {
            fault(id, format!("{piece} is left, which belongs to no results"));
        }
    }
    for (id, entry) in &entries {
        if !entry.removed && !entry.order.is_brief && !records.contains_key(id) {
            fault(id, "its record is gone".to_owned());
        }
    }
    let (copies, outputs) = (living(world, &bucket(COPIES))?, living(world, &bucket(OUT))?);
    for (id, known) in &known {
        if let Some(entry) = entries.get(id) {
            for what in effects(id, entry, known.result, &copies, &outputs) {
                fault(id, what);
            }
        }
    }
    for key in copies.keys().chain(outputs.keys()) {
        let id = key.split('/').next().unwrap_or_default();
        if !known.contains_key(id) {
            fault(id, format!("{key} is there without a job"));
        }
    }
    Ok(faults)
}

/// What is wrong with what a job has written.
fn effects(
    id: &str,
    entry: &Entry,
    result: Option<JobResult>,
    copies: &BTreeMap<String, Bytes>,
    outputs: &BTreeMap<String, Bytes>,
) -> Vec<String> {
    let expected = entry.order.expected(id);
    let mut faults = Vec::new();
    let prefix = format!("{id}/");
    let of_job = copies.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    for (key, body) in of_job {
        if expected.copies.get(key).is_none_or(|text| text.as_bytes() != &body[..]) {
            faults.push(format!("{key} was not to be put"));
        }
    }
    let succeeded = result == Some(JobResult::Success);
    if succeeded {
        let missing = expected.copies.keys().filter(|key| !copies.contains_key(*key));
        faults.extend(missing.map(|key| format!("{key} was not put")));
    }
    let found = outputs.get(id).map(|body| {
        let text = String::from_utf8_lossy(body).into_owned();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    match (found, expected.output) {
        (None, Some(_)) if succeeded => faults.push("its output is not there".to_owned()),
        (None, _) => {}
        // Also of one that does not succeed it is whole, where it is there.
        (Some(found), Some(expected)) if found == expected => {}
        (Some(found), expected) => {
            let expected = expected.map(|lines| lines.len());
            let given = found.len();
            faults.push(format!("its output has {given} lines, which are not its {expected:?}"));
        }
    }
    faults
}

pub(crate) fn bucket(name: &str) -> BucketId {
    BucketId::untyped(name.to_owned())
}

/// The pieces of results that a record names.
fn named(id: &str, record: &Bytes) -> Vec<String> {
    // Behind the version of its format.
    let record: Value =
        serde_json::from_slice(record.get(1..).unwrap_or_default()).unwrap_or_default();
    let runs = record["pieces"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |run: &Value, name: &str| run[name].as_u64().unwrap_or(0);
    let of = |run: &Value| {
        let (epoch, from) = (number(run, "epoch"), number(run, "from"));
        let numbers = from..from + number(run, "count");
        numbers.map(move |at| format!("{id}/{epoch:08x}/{at:08x}")).collect::<Vec<_>>()
    };
    runs.iter().flat_map(of).collect()
}

/// The objects of a bucket that any of their replicas has, with their values.
pub(crate) fn living(world: &World, bucket: &BucketId) -> Result<BTreeMap<String, Bytes>> {
    let state = world.decided()?;
    let mut found = BTreeMap::new();
    for home in world.ring_size().partitions() {
        for vnode in state.plan.replicas(home).first(limits::SHARED_N_VAL) {
            let Some(owner) = state.plan.owner(vnode) else { continue };
            let range = ScanRange { bucket: Some(bucket.clone()), ..ScanRange::home(home.0) };
            let mut all = Vec::new();
            let disk = world.host(owner)?.disk.look();
            disk.scan(vnode.0, &range, ScanDepth::Records, &mut |place, record| {
                all.push((place.id.key, record));
                ControlFlow::Continue(())
            })?;
            for (key, record) in all {
                let object = record.decode()?;
                if let Some(value) = object.newest().filter(|value| !value.deleted) {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    found.insert(key, value.body.clone());
                }
            }
        }
    }
    Ok(found)
}
