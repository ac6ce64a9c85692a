//! Files or all of the store are gone.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_store_is_filled() {
    let empty = |store: &Path| fs::remove_dir_all(store).unwrap();
    let cluster = survives(&[], true, empty).await;
    assert!(cluster.nodes[1].log().contains("filled again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_data_directory_is_filled() {
    // With a new identity, in the place of the old one.
    let empty = |store: &Path| fs::remove_dir_all(store.parent().unwrap()).unwrap();
    let cluster = survives(&[], false, empty).await;
    assert!(cluster.nodes[1].log().contains("filled again"));
    assert_eq!(cluster.nodes[2].status().await.members.len(), 3);
}
