//! The end of the log is missing: writes that were acknowledged are gone.

use super::*;

/// Takes the last bytes that were written to the log, which may lie anywhere in its file: those of
/// the newest objects.
fn tear(store: &Path) {
    change(&log(store), |bytes| {
        let newest = "1499:1:".as_bytes();
        let at = bytes.windows(newest.len()).rposition(|window| window == newest).unwrap();
        bytes[at..].fill(0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_is_noticed_and_filled() {
    let cluster = survives(&[], false, tear).await;
    let log = cluster.nodes[1].log();
    assert!(log.contains("the store has lost something") && log.contains("store/sled/db"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_file_is_noticed_and_filled() {
    let aside = [("MAPRING__STORAGE__SET_ASIDE", "true")];
    let mut random = random();
    let cut = |store: &Path| change(&log(store), |bytes| bytes.truncate(place(bytes, &mut random)));
    let cluster = survives(&aside, true, cut).await;
    assert!(cluster.nodes[1].log().contains("filled again"));
}
