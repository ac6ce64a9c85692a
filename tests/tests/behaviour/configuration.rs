//! Mistakes in settings are told all at once, before anything is started.

use std::fs;

use tokio::process::Command;

use mapring_tests::harness::{Cluster, program, root};

async fn check(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(program())
        .args(["server", "--check-config"])
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn every_mistake_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.toml");
    fs::write(&file, "[storage]\ndurabilty = 'disk'\ncache = 'much'\n\n[nodes]\nname = 'x'\n")
        .unwrap();
    let (status, error) = check(
        &["--config", file.to_str().unwrap(), "--http", "nowhere"],
        &[("MAPRING__CLUSTER__RING_SIZE", "7")],
    )
    .await;
    assert_eq!(status, Some(2), "{error}");
    for place in [
        "bad.toml:2: ",
        "bad.toml:3: ",
        "bad.toml:5: ",
        "MAPRING__CLUSTER__RING_SIZE: ",
        "--http: ",
    ] {
        assert!(error.contains(place), "{place} is not in {error}");
    }
    assert!(error.contains("5 mistakes"), "{error}");
}

#[tokio::test]
async fn the_reference_is_a_good_configuration() {
    let file = root().join("config/mapring.toml");
    let (status, error) = check(&["--config", file.to_str().unwrap()], &[]).await;
    assert_eq!((status, error.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn only_with_a_secret_a_node_listens_where_others_are() {
    let cluster = ["--cluster", "0.0.0.0:8099", "--advertise", "n1.example.net:8099"];
    let (status, error) = check(&cluster, &[]).await;
    assert_eq!(status, Some(2), "{error}");
    let words = "cluster.secret: must be set (or cluster.secret_file), because cluster.listen is \
                 0.0.0.0:8099: without a secret whoever reaches that address could take part";
    assert!(error.contains(words), "{error}");
    let (status, error) = check(&cluster, &[("MAPRING__CLUSTER__SECRET", "s")]).await;
    assert_eq!((status, error.as_str()), (Some(0), ""));
    for (variable, value, words) in [
        ("MAPRING__CLUSTER__SECRET_FILE", "secret", "cluster.secret_file: must not be set with"),
        ("MAPRING__CLUSTER__SECRET_ALSO", "a,b,c,d,e", "5 secrets are more than 4"),
    ] {
        let settings = [("MAPRING__CLUSTER__SECRET", "s"), (variable, value)];
        let (status, error) = check(&cluster, &settings).await;
        assert_eq!(status, Some(2), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn files_that_are_not_there_are_told() {
    let (status, error) = check(&["--config", "/nowhere/mapring.toml"], &[]).await;
    assert_eq!(status, Some(2));
    assert!(error.contains("/nowhere/mapring.toml"), "{error}");
}

#[tokio::test]
async fn a_node_has_the_allocator_give_memory_back_soon() {
    let cluster = Cluster::start(1).await;
    let process = cluster.nodes[0].pid();
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap();
    let set = environment.split(|byte| *byte == 0).find(|set| set.starts_with(b"MIMALLOC_"));
    assert_eq!(set.map(String::from_utf8_lossy).as_deref(), Some("MIMALLOC_PURGE_DELAY=20"));
    let runs = fs::read_link(format!("/proc/{process}/exe")).unwrap();
    assert_eq!(runs, fs::canonicalize(program()).unwrap());
}
