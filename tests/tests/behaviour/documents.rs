//! What the documents tell to type, works: every `sh` block that calls curl is run.

use std::fs;
use std::path::PathBuf;

use tokio::process::Command;

use crate::harness::{Cluster, PROGRAM, root};

/// A block of commands with its place.
struct Block {
    place: String,
    commands: String,
}

fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = docs
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    files.sort();
    files.insert(0, root().join("README.md"));
    files
}

fn blocks(text: &str, name: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() != "```sh" {
            continue;
        }
        let commands: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        let commands = commands.join("\n");
        if commands.contains("curl ") {
            blocks.push(Block { place: format!("{name}:{}", number + 1), commands });
        }
    }
    blocks
}

/// Runs before each block: curl fails where a status tells of an error, and mapring is the program
/// under test.
const PRELUDE: &str = r#"
set -euo pipefail
curl() { command curl --fail-with-body --silent --show-error "$@"; echo; }
mapring() { "$PROGRAM" "$@"; }
"#;

#[tokio::test]
async fn curl_lines_work_in_order() {
    let cluster = Cluster::start(3).await;
    let ports: Vec<String> =
        cluster.nodes.iter().map(|node| node.settings.http.to_string()).collect();
    let (mut count, mut failures) = (0, Vec::new());
    for path in documents() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        for block in blocks(&text, &name) {
            let mut commands = block.commands.clone();
            for (printed, port) in ["8098", "8108", "8118"].iter().zip(&ports) {
                commands = commands.replace(&format!(":{printed}"), &format!(":{port}"));
            }
            let output = Command::new("bash")
                .args(["-c", &format!("{PRELUDE}{commands}")])
                .env("PROGRAM", PROGRAM)
                .env("MAPRING_URL", cluster.nodes[0].url())
                .current_dir(root())
                .output()
                .await
                .unwrap();
            if !output.status.success() {
                failures.push(format!(
                    "{}: {}\n{}\n{}",
                    block.place,
                    output.status,
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            count += 1;
        }
    }
    assert!(count > 0, "no document has a block with curl");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}
