//! A store that cannot be opened.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_node_names_the_file_and_is_filled_when_the_store_may_be_set_aside() {
    let (mut cluster, model) = cluster(&[]).await;
    assert!(cluster.nodes[1].stop().await.success());
    let store = cluster.nodes[1].data_dir().join("store");
    change(&store.join("sled/conf"), |bytes| bytes[0] ^= 1);
    cluster.nodes[1].spawn();
    assert!(!cluster.nodes[1].wait_end().await.success());
    let log = cluster.nodes[1].log();
    let says = ["cannot be opened", "store/sled", "storage.set_aside"];
    assert!(says.iter().all(|words| log.contains(words)), "{log}");
    for node in [&cluster.nodes[0], &cluster.nodes[2]] {
        check(node, &model, Errors::Forbidden).await;
    }
    let setting = ("MAPRING__STORAGE__SET_ASIDE".to_owned(), "true".to_owned());
    cluster.nodes[1].settings.environment.push(setting);
    cluster.nodes[1].spawn();
    wait_complete(&cluster, 1).await;
    assert!(store.join("damaged-1/conf").exists());
    cluster.nodes[0].kill().await;
    let what = "an answer without the first node";
    eventually(what, || async { keys(cluster.client(1)).await.ok() }).await;
    for node in &cluster.nodes[1..] {
        check(node, &model, Errors::Forbidden).await;
    }
}
