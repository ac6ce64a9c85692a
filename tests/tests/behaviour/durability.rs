//! What an acknowledgement means (invariant I2).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use mapring_client::{NewObject, Place};
use tokio::process::Command;

use mapring_tests::harness::{Cluster, eventually, holds, skip};

fn value(text: String) -> NewObject {
    NewObject { body: text.into(), content_type: "text/plain".into(), ..NewObject::default() }
}

/// Acknowledgements before the crash.
const ACKNOWLEDGED: usize = 500;

/// Writers at once.
const WRITERS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn process_killing_all_nodes_under_load_loses_no_acknowledged_write() {
    let mut cluster = Cluster::start(3).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let client = cluster.client(writer % 3).clone();
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for number in 0.. {
                    let place = Place::new("load", format!("{writer}-{number}"));
                    // Some are large enough to be stored in chunks.
                    let size = if number % 7 == 0 { 40_000 } else { 100 };
                    let body = format!("{writer} {number} {}", "x".repeat(size));
                    if client.put(&place, value(body.clone())).await.is_err() {
                        break;
                    }
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    mine.push((place, body));
                }
                mine
            })
        })
        .collect();
    eventually("writes under load", || async {
        holds(acknowledged.load(Ordering::Relaxed) >= ACKNOWLEDGED)
    })
    .await;
    for node in &mut cluster.nodes {
        node.kill().await;
    }
    let written: Vec<_> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    assert!(written.len() >= ACKNOWLEDGED);

    for node in &mut cluster.nodes {
        node.spawn();
    }
    cluster.wait_shared().await;
    let clients = cluster.clients();
    for (number, (place, body)) in written.iter().enumerate() {
        let found = clients[number % 3].get(place).await;
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", place.key));
        assert!(found.body == *body, "{} has another value", place.key);
    }
}

/// The system calls that change files, and those that can carry an answer.
const TRACED: &str = "trace=openat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,\
                      fsync,fdatasync,sync_file_range,sendto,sendmsg,rename,renameat,renameat2";

/// Writes whose acknowledgements are traced.
const ANSWERS: usize = 6;

#[tokio::test]
async fn disk_syncs_every_written_file_before_the_acknowledgement() {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed, so system calls cannot be traced");
    }
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let wrapper = ["strace", "-f", "-yy", "-s", "24", "-e", TRACED, "-o", trace.to_str().unwrap()];
    let mut cluster = Cluster::empty(&[("MAPRING__STORAGE__DURABILITY", "disk")]);
    let node = cluster.add_with(|node| node.wrapper = wrapper.map(String::from).to_vec());
    node.wait_ready().await;
    // By all replicas, or the last one's writes may be under way when the others' are acknowledged.
    for number in 0..ANSWERS {
        let body = directory.path().join("body");
        fs::write(&body, "x".repeat(if number == 4 { 100_000 } else { 10 })).unwrap();
        let url = format!("{}/buckets/disk/keys/{number}?w=all&dw=all", node.url());
        let status = Command::new("curl")
            .args(["-fsS", "-XPUT", &url, "-H", "Content-Type: text/plain", "--data-binary"])
            .arg(format!("@{}", body.display()))
            .status()
            .await
            .unwrap();
        assert!(status.success(), "{status}");
    }
    let data = node.data_dir();
    // To the node, not to strace, which would leave it.
    drop(cluster);
    let what = "the trace of all acknowledgements";
    let trace = eventually(what, || async {
        let text = String::from_utf8_lossy(&fs::read(&trace).ok()?).into_owned();
        (text.matches("HTTP/1.1 204").count() == ANSWERS).then_some(text)
    })
    .await;
    let report = follow(&trace, &data.join("store"));
    assert_eq!(report.acknowledgements.len(), ANSWERS);
    assert!(report.writes > 0, "no write to the store was traced");
    for (number, unsynced) in report.acknowledgements.iter().enumerate() {
        assert!(unsynced.is_empty(), "acknowledged {number} before the fsync of {unsynced:?}");
    }
}

#[derive(Default)]
struct Report {
    writes: usize,
    /// For each acknowledgement, the files that had been written but not fsynced.
    acknowledgements: Vec<Vec<String>>,
}

/// Follows a trace of `strace -f -yy`: lines `PID call(FD<path>, …) = result`, or in two halves,
/// `… <unfinished ...>` and `<... call resumed>…`.
fn follow(trace: &str, directory: &Path) -> Report {
    let directory = directory.to_str().unwrap();
    let mut report = Report::default();
    // The line of each file's last write, and, by thread, the fsync under way with its line.
    let mut dirty: BTreeMap<String, usize> = BTreeMap::new();
    let mut syncing: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, call)) = text.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.starts_with("<... fsync resumed") || call.starts_with("<... fdatasync resumed") {
            if let Some((path, began)) = syncing.remove(thread) {
                dirty.retain(|name, written| *name != path || *written > began);
            }
            continue;
        }
        if call.contains("\"HTTP/1.1 204") {
            report.acknowledgements.push(dirty.keys().cloned().collect());
            continue;
        }
        let Some(path) = call.split_once('<').and_then(|(_, rest)| rest.split_once('>')) else {
            continue;
        };
        let path = path.0.to_owned();
        if !path.starts_with(directory) {
            continue;
        }
        let name = call.split('(').next().unwrap_or_default();
        match name {
            "fsync" | "fdatasync" if call.contains("<unfinished") => {
                syncing.insert(thread, (path, line));
            }
            "fsync" | "fdatasync" => {
                dirty.remove(&path);
            }
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "ftruncate"
            | "fallocate" => {
                report.writes += 1;
                dirty.insert(path, line);
            }
            _ => {}
        }
    }
    report
}
