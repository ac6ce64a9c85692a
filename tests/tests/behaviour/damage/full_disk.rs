//! A disk that is full.

use std::process::Command;

use super::*;
use mapring_tests::harness::skip;

/// A small file system on a node's data directory, as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=80m", "tmpfs"])
            .arg(path)
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(path.to_owned()));
        }
        skip("a file system cannot be mounted");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn large(number: usize) -> NewObject {
    let body = format!("{number}:{}", "y".repeat(20_000));
    NewObject { body: body.into(), content_type: "text/plain".into(), ..NewObject::default() }
}

fn large_place(number: usize) -> Place {
    Place::new("large", format!("{number}"))
}

/// Writes until it fails; gives the error and how many were acknowledged.
async fn fill(node: &Node, from: usize) -> (usize, mapring_client::Error) {
    let mut number = from;
    loop {
        match node.client.put(&large_place(number), large(number)).await {
            Ok(()) => number += 1,
            Err(error) => return (number, error),
        }
    }
}

async fn check_large(node: &Node, upto: usize) {
    for number in 0..upto {
        let found = node.client.get(&large_place(number)).await;
        let found = found.unwrap_or_else(|error| panic!("{number}: {error}"));
        assert!(found.body == large(number).body, "{number}");
    }
}

#[track_caller]
fn refused(error: &mapring_client::Error) {
    let mapring_client::Error::Status { status: 500..=599, .. } = error else {
        panic!("not a refusal: {error}")
    };
    // A write that meets the bound between its replicas is refused by its quorum.
    let text = error.to_string();
    assert!(text.contains("nearly full") || text.contains("value unsatisfied"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_while_reads_go_on_and_taken_again_without_a_restart() {
    let mut cluster = Cluster::empty(&[]);
    let disk = SmallDisk::mount(&cluster.directory().join("n1"));
    let Some(disk) = disk else { return };
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 20 << 20]).unwrap();
    cluster.add();
    cluster.wait_shared().await;
    let node = &cluster.nodes[0];
    let (written, error) = fill(node, 0).await;
    refused(&error);
    assert!(written > 100, "{written}");
    check_large(node, written).await;
    fs::remove_file(&ballast).unwrap();
    let what = "writes to be taken again";
    eventually(what, || async {
        let last = large_place(written);
        holds(node.client.put(&last, large(written)).await.is_ok())
    })
    .await;
    let (more, error) = fill(node, written + 1).await;
    refused(&error);
    // Somebody else takes the rest: the store is opened again, for which reads wait.
    assert!(fs::write(&ballast, vec![1; 80 << 20]).is_err());
    for number in 0..more {
        let place = large_place(number);
        let what = format!("{number} on a disk without a free byte");
        let found = eventually(&what, || async { node.client.get(&place).await.ok() }).await;
        assert!(found.body == large(number).body, "{number}");
    }
    fs::remove_file(&ballast).unwrap();
    cluster.nodes[0].kill().await;
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready().await;
    check_large(&cluster.nodes[0], more).await;
    assert!(!cluster.nodes[0].log().contains("lost something"));
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_nodes_one_may_be_full() {
    let mut cluster = Cluster::empty(&[]);
    let disk = SmallDisk::mount(&cluster.directory().join("n2"));
    let Some(disk) = disk else { return };
    for _ in 0..3 {
        cluster.add();
    }
    cluster.wait_shared().await;
    let mut model = Model::new();
    store(&cluster, 0..300, 1, &mut model).await;
    let ballast = disk.0.join("ballast");
    assert!(fs::write(&ballast, vec![1; 80 << 20]).is_err());
    store(&cluster, 200..600, 2, &mut model).await;
    for node in &cluster.nodes {
        let source = format!("{} has all values", node.settings.name);
        eventually(&source, || async {
            let found = keys(&node.client).await.ok()?;
            holds(found.iter().eq(model.keys()))
        })
        .await;
    }
    fs::remove_file(&ballast).unwrap();
    wait_complete(&cluster, 1).await;
    // Hints come home; then the node that was full stands in for another.
    wait_handed_over(&cluster).await;
    check_without_first(&mut cluster, &model).await;
    drop(disk);
}
