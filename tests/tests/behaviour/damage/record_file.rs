//! A file of a large record is damaged or gone: whoever reads it hears of it, and has it from elsewhere.

use super::*;

/// One of the files of large records.
fn record_file(store: &Path) -> PathBuf {
    let list = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let directories = list(&store.join("sled/records"));
    let mut files: Vec<PathBuf> = directories.iter().flat_map(|dir| list(dir)).collect();
    let mut random = random();
    files.sort();
    files.swap_remove(random.random_range(0..files.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_record_file_is_noticed_and_filled() {
    let flip = |store: &Path| {
        change(&record_file(store), |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    };
    let cluster = survives(&[], true, flip).await;
    let log = cluster.nodes[1].log();
    assert!(log.contains("has a damaged file") && log.contains("store/sled/records/"), "{log}");
    assert!(log.contains("filled again"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_record_file_is_noticed_at_the_start_and_filled() {
    let lose = |store: &Path| fs::remove_file(record_file(store)).unwrap();
    let cluster = survives(&[], false, lose).await;
    let log = cluster.nodes[1].log();
    assert!(log.contains("lacks its file") && log.contains("store/sled/records/"), "{log}");
    assert!(log.contains("filled again"), "{log}");
}
