//! Bits of the log are flipped, at random places.

use super::*;

fn flip(store: &Path) {
    let mut random = random();
    change(&log(store), |bytes| {
        for _ in 0..5 {
            let at = place(bytes, &mut random);
            bytes[at] ^= 1 << random.random_range(0..8);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_after_a_kill_are_noticed_and_filled() {
    let aside = [("MAPRING__STORAGE__SET_ASIDE", "true")];
    survives(&aside, false, flip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_after_a_stop_are_noticed_and_filled() {
    let aside = [("MAPRING__STORAGE__SET_ASIDE", "true")];
    survives(&aside, true, flip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_begun_anew_when_others_have_all_of_it() {
    // In the midst of an object. Whether the store then still opens depends on where the log has it:
    // it is set aside at once, or once the node is filled.
    let flip = |store: &Path| {
        change(&log(store), |bytes| {
            let object = "650:1:".as_bytes();
            let at = bytes.windows(object.len()).position(|window| window == object).unwrap();
            bytes[at + 200] ^= 1;
        });
    };
    let aside = [("MAPRING__STORAGE__SET_ASIDE", "true")];
    let cluster = survives(&aside, false, flip).await;
    let aside = cluster.nodes[1].data_dir().join("store/damaged-1");
    assert!(aside.join("db").exists(), "{}", cluster.nodes[1].log());
}
