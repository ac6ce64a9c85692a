//! What a node stores is for its own user only.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mapring_tests::harness::{Cluster, Exchange};
use serde_json::json;

/// Everything below a directory and itself, with its mode.
fn modes(path: &Path) -> Vec<(PathBuf, bool, u32)> {
    // What is removed meanwhile is of no interest.
    let Ok(found) = fs::symlink_metadata(path) else { return Vec::new() };
    let mode = found.permissions().mode() & 0o7777;
    let mut all = vec![(path.to_path_buf(), found.is_dir(), mode)];
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            all.extend(modes(&entry.path()));
        }
    }
    all
}

#[tokio::test]
async fn files_are_for_the_user_of_the_node_only() {
    let mut cluster = Cluster::empty(&[("MAPRING__OBJECTS__WHOLE_BODY_SIZE", "2 MB")]);
    // As a directory is that somebody made for it.
    let data = cluster.directory().join("n1");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    cluster.add();
    cluster.wait_shared().await;
    let node = &cluster.nodes[0];
    // An object in the tree, one with a file of its own, and one in blocks.
    for (key, bytes) in [("small", 10), ("large", 3 << 19), ("blocks", 5 << 20)] {
        let path = format!("/buckets/modes/keys/{key}");
        let headers = ["Content-Type: text/plain"];
        let body = "x".repeat(bytes);
        let stored = Exchange::with_headers(node, "PUT", &path, &headers, &body).await;
        let answer = stored.answer().await;
        assert_eq!(answer.0, 204, "{key}: {answer:?}");
    }
    let query = json!({
        "inputs": [["modes", "small"]],
        "query": [{ "map": { "language": "javascript", "source": "function () { return [1]; }" } }],
    });
    assert_eq!(Exchange::query(node, false, &query.to_string()).await.answer().await.0, 200);
    let found = modes(&node.data_dir());
    assert!(found.len() > 5, "{found:?}");
    for (path, is_directory, mode) in found {
        let private = if is_directory { 0o700 } else { 0o600 };
        assert_eq!(mode, private, "{}: {mode:o}", path.display());
    }
}
