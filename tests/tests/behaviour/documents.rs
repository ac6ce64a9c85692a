//! What the documents tell to type, works: every `sh` block that calls curl is run, and must print
//! exactly the `output` block that follows it, where there is one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tokio::process::Command;

use mapring_tests::harness::{Cluster, program, root};

/// The documents that show how to use mapring, and the least number of blocks that are run of each,
/// so that none can go or lose its mark unnoticed.
const AT_LEAST: &[(&str, usize)] =
    &[("README.md", 4), ("docs/http.md", 9), ("docs/jobs.md", 11), ("docs/mapreduce.md", 7)];

/// A block of commands with its place, and what it prints if the document says so.
struct Block {
    place: String,
    commands: String,
    output: Option<String>,
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
    let mut blocks: Vec<Block> = Vec::new();
    // Whether only empty lines are between the last block of commands and here.
    let mut just_run = false;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let place = format!("{name}:{}", number + 1);
        let Some(language) = line.trim().strip_prefix("```") else {
            just_run &= line.trim().is_empty();
            continue;
        };
        let inside = lines.by_ref().map(|(_, line)| line);
        let inside: Vec<&str> = inside.take_while(|line| line.trim() != "```").collect();
        let inside = inside.join("\n");
        match language {
            "output" => {
                assert!(just_run, "{place}: output of no block that is run");
                blocks.last_mut().unwrap().output = Some(inside);
                just_run = false;
            }
            "sh" if inside.contains("curl ") => {
                blocks.push(Block { place, commands: inside, output: None });
                just_run = true;
            }
            _ => just_run = false,
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

/// Runs a block against `cluster`; tells what is wrong with it.
async fn run(block: &Block, cluster: &Cluster) -> Result<(), String> {
    let mut commands = block.commands.clone();
    for (printed, node) in ["8098", "8108", "8118"].iter().zip(&cluster.nodes) {
        let port = node.settings.http.rsplit(':').next().unwrap();
        commands = commands.replace(&format!(":{printed}"), &format!(":{port}"));
    }
    let output = Command::new("bash")
        .args(["-c", &format!("{PRELUDE}{commands}")])
        .env("PROGRAM", program())
        .env("MAPRING_URL", cluster.nodes[0].url())
        .current_dir(root())
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}\n{printed}\n{complaint}", block.place, output.status));
    }
    match &block.output {
        // The prelude ends each answer's line, the document its last one.
        Some(expected) if printed.trim_end_matches('\n') != expected => {
            Err(format!("{}: printed\n{printed}instead of\n{expected}", block.place))
        }
        _ => Ok(()),
    }
}

#[tokio::test]
async fn curl_lines_work_in_order() {
    let cluster = Cluster::start(3).await;
    cluster.wait_formats().await;
    let (mut counts, mut failures) = (BTreeMap::new(), Vec::new());
    let mut compared = 0;
    for path in documents() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        for block in blocks(&text, &name) {
            failures.extend(run(&block, &cluster).await.err());
            *counts.entry(name.clone()).or_insert(0) += 1;
            compared += usize::from(block.output.is_some());
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    for (name, least) in AT_LEAST {
        let count = counts.get(*name).copied().unwrap_or(0);
        assert!(count >= *least, "of {name} only {count} blocks were run, not {least}");
    }
    assert!(compared > 0, "no document says what its commands print");
}
