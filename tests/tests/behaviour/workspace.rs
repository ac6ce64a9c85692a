//! The crates use each other as the architecture says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::harness::root;

/// Each crate, and the crates that it may use; it may also use all that those may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("ring", &["types"]),
    ("engine", &["types"]),
    ("script", &["types"]),
    ("net", &["types"]),
    ("cluster", &["ring", "net"]),
    ("kv", &["cluster", "engine"]),
    ("mapred", &["kv", "script"]),
    ("http", &["mapred"]),
    ("node", &["http"]),
    ("client", &["types"]),
    ("cli", &["node", "client"]),
    ("sim", &["node"]),
    ("tests", &["cli", "sim"]),
];

/// Libraries that only some crates may know, so that they can be exchanged.
const ONLY: &[(&str, &[&str])] = &[
    ("boa_engine", &["script"]),
    ("boa_gc", &["script"]),
    ("sled", &["engine"]),
    ("axum", &["http"]),
    ("openraft", &["cluster"]),
    ("chitchat", &["cluster"]),
    ("clap", &["cli", "sim"]),
    ("toml", &["node"]),
];

/// The packages of the workspace with the packages that they use outside of tests.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let used = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        dependencies.iter().filter(|used| used["kind"].is_null()).map(name).collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (name(package), used(package))).collect()
}

fn short(package: &str) -> &str {
    package.strip_prefix("mapring-").unwrap_or(package)
}

fn allowed(krate: &str) -> BTreeSet<&'static str> {
    let row = MAY_USE.iter().find(|(name, _)| *name == krate);
    let (_, direct) = row.unwrap_or_else(|| panic!("{krate} is not in the table"));
    direct.iter().flat_map(|used| allowed(used).into_iter().chain([*used])).collect()
}

#[test]
fn crates_use_only_what_they_may() {
    let packages = packages();
    let found: BTreeSet<&str> = packages.keys().map(|name| short(name)).collect();
    assert_eq!(found, MAY_USE.iter().map(|(name, _)| *name).collect());
    for (package, used) in &packages {
        let allowed = allowed(short(package));
        let inside = used.iter().filter(|used| packages.contains_key(*used));
        for used in inside.map(|used| short(used)) {
            assert!(allowed.contains(used), "{} must not use {used}", short(package));
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for (package, used) in packages() {
        for (library, owners) in ONLY {
            let allowed = owners.contains(&short(&package));
            assert!(allowed || !used.contains(*library), "{package} must not use {library}");
        }
    }
}
