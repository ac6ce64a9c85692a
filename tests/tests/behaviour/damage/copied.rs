//! A copy of the data directory is put back.

use super::*;
use crate::copies::copy;
use mapring_tests::harness::Exchange;

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

/// How many keys all three replicas have, as a node reads them.
async fn whole_keys(node: &Node, model: &Model) -> usize {
    let mut whole = 0;
    for key in model.keys() {
        let path = format!("/buckets/{BUCKET}/keys/{key}?r=all&pr=all");
        whole += usize::from(Exchange::get(node, &path).await.answer().await.0 == 200);
    }
    whole
}

/// What an operator does who backs up node by node: each in turn is stopped, copied and started again,
/// and later all are put back.
async fn copies_of_different_times(written_before: bool) {
    let mut cluster = Cluster::start(3).await;
    let mut model = Model::new();
    if written_before {
        store(&cluster, 0..200, 1, &mut model).await;
    }
    for number in 0..3 {
        assert!(cluster.nodes[number].stop().await.success());
        let data = cluster.nodes[number].data_dir();
        copy(&data, &data.with_extension("copy"));
        cluster.restart(number).await;
        wait_handed_over(&cluster).await;
        let first = 200 * (number + 1);
        // What is written after the last copy is lost, and is not to be asked for.
        let mut lost = Model::new();
        let written = if number < 2 { &mut model } else { &mut lost };
        store(&cluster, first..first + 200, 1, written).await;
        let props = json!({"props": {"n_val": 3}}).to_string();
        cluster.client(0).create_bucket_type(&format!("type{number}"), props).await.unwrap();
    }
    for node in &mut cluster.nodes {
        node.kill().await;
        fs::remove_dir_all(node.data_dir()).unwrap();
        fs::rename(node.data_dir().with_extension("copy"), node.data_dir()).unwrap();
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    cluster.wait_shared().await;
    for number in 0..3 {
        wait_complete(&cluster, number).await;
    }
    wait_handed_over(&cluster).await;
    for node in &cluster.nodes {
        check(node, &model, Errors::Forbidden).await;
        assert_eq!(whole_keys(node, &model).await, model.len());
    }
    let old = cluster.nodes.iter().filter(|node| node.log().contains("copy of an earlier time"));
    assert!(old.count() >= 2, "the older two are known");
    for number in 0..3 {
        let name = cluster.nodes[number].settings.name.clone();
        cluster.client(0).start_repair(&name).await.unwrap();
        wait_complete(&cluster, number).await;
        assert_eq!(whole_keys(&cluster.nodes[0], &model).await, model.len());
    }
    for node in &cluster.nodes {
        check(node, &model, Errors::Forbidden).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_any_of_three_copies_has_is_lost() {
    copies_of_different_times(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_when_the_first_copy_was_made_before_the_first_write() {
    copies_of_different_times(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_swapped_in_and_started_at_once_is_known_by_the_others() {
    let (mut cluster, mut model) = cluster(&[]).await;
    let data = cluster.nodes[1].data_dir();
    // Made of what the node had in the middle of its run; then it goes on.
    assert!(cluster.nodes[1].stop().await.success());
    cluster.restart(1).await;
    cluster.nodes[1].signal(rustix::process::Signal::STOP);
    copy(&data, &data.with_extension("copy"));
    cluster.nodes[1].signal(rustix::process::Signal::CONT);
    store(&cluster, 1_300..1_700, 5, &mut model).await;
    delete(cluster.client(0), 700..720, &mut model).await;
    cluster.nodes[1].kill().await;
    fs::rename(&data, data.with_extension("later")).unwrap();
    fs::rename(data.with_extension("copy"), &data).unwrap();
    cluster.nodes[1].spawn();
    cluster.nodes[1].wait_ready().await;
    for node in &cluster.nodes {
        check(node, &model, Errors::Allowed).await;
    }
    let what = "the copy to be known";
    eventually(what, || async {
        holds(cluster.nodes[1].log().contains("copy of an earlier time"))
    })
    .await;
    wait_complete(&cluster, 1).await;
    for node in &cluster.nodes {
        check(node, &model, Errors::Forbidden).await;
    }
}
