//! The files of a crate use each other in one direction, as crates do.

use std::collections::BTreeMap;

use mapring_structure::Structure;
use mapring_tests::harness::root;

/// The most files that may be in one circle. Two that are halves of one thing may know each other.
const LARGEST_CIRCLE: usize = 2;

/// The parts of `kv`, from the bottom up.
const KV: [&str; 22] = [
    "limits",
    "window",
    "by_kind",
    "executor",
    "stats",
    "sizes",
    "blocks",
    "reserved",
    "body",
    "parts",
    "resolution",
    "write",
    "view",
    "storage",
    "peer",
    "staleness",
    "request",
    "scan",
    "repair",
    "service",
    "kv",
    "lib",
];

fn structures() -> BTreeMap<String, Structure> {
    let crates = std::fs::read_dir(root().join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap());
    let name = |entry: &std::fs::DirEntry| entry.file_name().to_str().unwrap().to_owned();
    crates.map(|entry| (name(&entry), Structure::read(&entry.path()))).collect()
}

#[test]
fn files_do_not_go_round_in_circles() {
    for (krate, structure) in structures() {
        let largest = structure.circles().first().map_or(1, |circle| circle.len());
        let circle = structure.circles().into_iter().next();
        assert!(largest <= LARGEST_CIRCLE, "{krate}: {circle:?} all reach each other");
    }
}

#[test]
fn no_part_of_the_store_uses_one_above_it() {
    let structure = Structure::read(&root().join("crates/kv"));
    assert_eq!(structure.arrows_up(&KV), Vec::<String>::new());
}
