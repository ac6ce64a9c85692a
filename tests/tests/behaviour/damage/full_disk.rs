//! A disk that is full.

use std::process::Command;

use super::*;

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
        eprintln!("SKIPPED: a file system cannot be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
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
    cluster.nodes[0].kill().await;
    let what = "an answer without the first node";
    eventually(what, || async { keys(cluster.client(1)).await.ok() }).await;
    for node in &cluster.nodes[1..] {
        check(node, &model, Errors::Forbidden).await;
    }
    drop(disk);
}
