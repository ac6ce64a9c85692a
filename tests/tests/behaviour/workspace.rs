//! The crates use each other as the architecture says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use mapring_tests::harness::root;

/// Crates beside those of the code map, which is of the program: these test it.
const BESIDE_THE_MAP: &[(&str, &[&str])] =
    &[("fuzz", &[]), ("structure", &[]), ("tests", &["cli", "sim"])];

/// What the code map must say, so that neither it nor this can change alone.
const MAY_USE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("readers", &[]),
    ("ring", &["types"]),
    ("engine", &["types"]),
    ("datatypes", &["types"]),
    ("shuffle", &["types"]),
    ("script", &["shuffle"]),
    ("net", &["types"]),
    ("background", &["net"]),
    ("cluster", &["ring", "net"]),
    ("kv", &["background", "cluster", "datatypes", "engine", "filters"]),
    ("workers", &["script"]),
    ("filters", &["types"]),
    ("mapred", &["kv", "workers", "filters", "readers"]),
    ("jobs", &["mapred"]),
    ("runner", &["jobs"]),
    ("api", &["runner"]),
    ("http", &["api"]),
    ("node", &["http"]),
    ("client", &["types"]),
    ("cli", &["node", "client"]),
    ("sim", &["node"]),
    ("bench", &["client", "engine", "script"]),
];

/// Libraries that only some crates may know, so that they can be exchanged.
const ONLY: &[(&str, &[&str])] = &[
    ("boa_engine", &["script"]),
    ("boa_gc", &["script"]),
    ("fancy-regex", &["filters"]),
    ("sled", &["engine"]),
    ("axum", &["http", "bench"]),
    ("tower", &["http"]),
    ("utoipa", &["http"]),
    ("openraft", &["cluster"]),
    ("chitchat", &["cluster"]),
    ("clap", &["cli", "sim", "bench"]),
    ("toml", &["jobs", "node"]),
    ("saphyr-parser", &["jobs"]),
    ("jiff", &["cli", "jobs"]),
    ("landlock", &["script"]),
    ("nix", &["script"]),
    ("seccompiler", &["script"]),
];

/// Crates without input, output and waiting, and what brings those.
const NO_RUNTIME: (&[&str], &str) =
    (&["types", "ring", "datatypes", "shuffle", "script", "filters"], "tokio");

/// Each crate with the crates that it may use; it may also use all that those may use.
type Map = BTreeMap<String, BTreeSet<String>>;

/// The packages of the workspace with the packages that they use outside of tests.
fn packages() -> Map {
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

fn owned(rows: &[(&str, &[&str])]) -> Map {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    rows.iter().map(|(name, used)| ((*name).to_owned(), names(used))).collect()
}

/// The table under "Code map" in the architecture: crate, what it is, what it may use.
fn code_map() -> Map {
    let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("\n## Code map\n").expect("there is a code map");
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let mut rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let cells = line.trim().trim_start_matches('|').trim_end_matches('|').split('|');
        cells.map(str::trim).collect::<Vec<_>>()
    });
    assert_eq!(rows.next().unwrap(), ["crate", "what it is", "may use"]);
    assert_eq!(rows.next().unwrap(), ["---"; 3]);
    let mut map = Map::new();
    for row in rows {
        let [krate, _, used] = row[..] else { panic!("{row:?} has not three columns") };
        let krate = krate.trim_matches('`').to_owned();
        let used = used.split(',').map(|name| name.trim().trim_matches('`').to_owned());
        let used = used.filter(|name| !name.is_empty()).collect();
        assert_eq!(map.insert(krate, used), None, "a crate is there twice: {row:?}");
    }
    map
}

/// What `krate` may use by `map`, through others too. Ends only if no arrow turns back.
fn allowed(map: &Map, krate: &str, above: &[&str]) -> BTreeSet<String> {
    assert!(!above.contains(&krate), "{krate} may use itself through {above:?}");
    let above = [above, &[krate]].concat();
    let direct = map.get(krate).unwrap_or_else(|| panic!("{krate} is not in the code map"));
    let through = direct.iter().flat_map(|used| allowed(map, used, &above));
    direct.iter().cloned().chain(through).collect()
}

/// All that `package` is built from, tests aside, in whatever way.
fn built_from(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--package", package])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_code_map_says_what_is_meant() {
    assert_eq!(code_map(), owned(MAY_USE));
}

#[test]
fn crates_use_only_what_they_may() {
    let packages = packages();
    let mut map = code_map();
    map.extend(owned(BESIDE_THE_MAP));
    let found: BTreeSet<&str> = packages.keys().map(|name| short(name)).collect();
    assert_eq!(found, map.keys().map(String::as_str).collect());
    for (package, used) in &packages {
        let allowed = allowed(&map, short(package), &[]);
        let inside = used.iter().filter(|used| packages.contains_key(*used));
        for used in inside.map(|used| short(used)) {
            assert!(allowed.contains(used), "{} must not use {used}", short(package));
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    let packages = packages();
    for (library, owners) in ONLY {
        for (package, used) in &packages {
            let allowed = owners.contains(&short(package));
            assert!(allowed || !used.contains(*library), "{package} must not use {library}");
        }
        for owner in *owners {
            // Else a library that is no longer there would guard nothing.
            let used = packages[&format!("mapring-{owner}")].contains(*library);
            assert!(used, "{owner} does not use {library}: the table is out of date");
        }
    }
}

#[test]
fn pure_crates_have_no_runtime() {
    let (crates, runtime) = NO_RUNTIME;
    for krate in crates {
        let parts = built_from(&format!("mapring-{krate}"));
        assert!(parts.contains("serde"), "{krate} is built from {parts:?}");
        assert!(!parts.contains(runtime), "{krate} must not depend on {runtime}");
    }
}
