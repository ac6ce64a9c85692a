//! A copy of the data directory is put back.

use super::*;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_a_store_is_noticed_and_filled() {
    let (mut cluster, mut model) = cluster(&[]).await;
    let store_dir = cluster.nodes[1].data_dir().join("store");
    let older = cluster.nodes[1].data_dir().join("older");
    assert!(cluster.nodes[1].stop().await.success());
    copy(&store_dir, &older);
    cluster.restart(1).await;
    assert!(!cluster.nodes[1].log().contains("copy of an earlier time"));
    store(&cluster, 0..300, 4, &mut model).await;
    assert!(cluster.nodes[1].stop().await.success());
    fs::remove_dir_all(&store_dir).unwrap();
    fs::rename(&older, &store_dir).unwrap();
    cluster.nodes[1].spawn();
    cluster.nodes[1].wait_ready().await;
    for node in &cluster.nodes {
        check(node, &model, Errors::Allowed).await;
    }
    wait_complete(&cluster, 1).await;
    assert!(cluster.nodes[1].log().contains("copy of an earlier time"));
    cluster.nodes[2].kill().await;
    let what = "an answer without the third node";
    eventually(what, || async { keys(cluster.client(1)).await.ok() }).await;
    for node in &cluster.nodes[..2] {
        check(node, &model, Errors::Forbidden).await;
    }
}
