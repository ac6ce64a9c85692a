//! Bounds stand in the `limits` module of their crate, each with its reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mapring_tests::harness::root;

/// Constants of these types are bounds as a rule.
const TYPES: [&str; 4] = ["Duration", "usize", "u64", "u32"];

/// Crates beside the program: their constants say what is measured, and what is much.
const MEASURES: [&str; 2] = ["bench", "structure"];

/// Modules that only tests are built with, below `crates`.
const FOR_TESTS: [&str; 4] = [
    "engine/src/sled/damage.rs",
    "engine/src/sled/filed.rs",
    "runner/src/testing/sweep.rs",
    "shuffle/src/store/saving_tests.rs",
];

/// What is of such a type and no bound, below `crates`.
const NO_BOUNDS: &[(&str, &[&str], &str)] = &[
    ("cluster/src/liveness/detector.rs", &["FIRST_BEAT"], ARITHMETIC),
    ("cluster/src/liveness/seal.rs", &["HEAD_BYTES", "TAG_BYTES", "OVERHEAD"], FORMAT),
    ("cluster/src/raft/chain.rs", &["HASH_BYTES"], FORMAT),
    ("cluster/src/raft/files.rs", &["HEADER"], FORMAT),
    ("cluster/src/raft/log.rs", &["FILE_HEADER", "RECORD_HEADER"], FORMAT),
    ("cluster/src/raft/mod.rs", &["NOBODY"], IDENTITY),
    ("engine/src/sled/log.rs", &["SEGMENT", "HEADER_BYTES", "RECORD_HEADER_BYTES"], FORMAT),
    ("engine/src/record_files/mod.rs", &["FRAME"], FORMAT),
    ("engine/src/sled/mark.rs", &["SLOT_BYTES", "USED_BYTES"], FORMAT),
    ("engine/src/value.rs", &["CHUNK_FRAME", "CHUNK_DATA", "FRAME"], FORMAT),
    ("http/src/mapred.rs", &["PART_HEAD_BYTES"], ROOM),
    ("http/src/openapi/mapred.rs", &["SKIPPED"], TOLD),
    ("http/src/reply.rs", &["USUAL_HEADERS"], ROOM),
    ("jobs/src/document/mod.rs", &["MB"], UNITS),
    ("jobs/src/schedule/mod.rs", &["MINUTE_MS"], UNITS),
    ("kv/src/peer/wire.rs", &["USUAL_BYTES"], ROOM),
    ("filters/src/property/constant.rs", &["SMALL"], ARITHMETIC),
    ("mapred/src/coordinator/gather.rs", &["LOCAL_UNIT"], FORMAT),
    ("mapred/src/grammar/phase.rs", &["DEFAULT_BATCH"], RIAK),
    ("mapred/src/outputs/record.rs", &["SHARD_BYTES"], FORMAT),
    ("mapred/src/spool/runs.rs", &["HEAD_BYTES"], FORMAT),
    ("mapred/src/unit.rs", &["LENGTH_BYTES"], FORMAT),
    ("mapred/src/unit.rs", &["PAGE_HEAD_BYTES"], ROOM),
    ("net/src/tcp/handshake.rs", &["HEAD_BYTES"], FORMAT),
    ("net/src/tcp/http2.rs", &["HEAD_BYTES"], FORMAT),
    ("net/src/tcp/wire.rs", &["LENGTH_BYTES"], FORMAT),
    ("node/src/data_dir.rs", &["PRIVATE", "OTHERS"], SYSTEM),
    ("node/src/config/keys.rs", &["KB", "MB", "HOUR"], UNITS),
    ("readers/src/blocks.rs", &["BLOCK", "HEADER", "START"], FORMAT),
    ("readers/src/cursor.rs", &["OVER"], FORMAT),
    ("readers/src/generate.rs", &["GAMMA"], ARITHMETIC),
    (
        "readers/src/zip/directory.rs",
        &["END_BYTES", "LARGE_LOCATOR_BYTES", "LARGE_END_BYTES", "ENTRY_BYTES"],
        FORMAT,
    ),
    ("readers/src/zip/layer.rs", &["HEADER_BYTES"], FORMAT),
    ("runner/src/sweep.rs", &["NO_EPOCH"], IDENTITY),
    ("script/src/groups.rs", &["BATCH"], FORMAT),
    ("script/src/js/errors.rs", &["LINES_BEFORE"], FORMAT),
    ("script/src/object.rs", &["LATEST"], ARITHMETIC),
    ("script/src/sandbox/calls.rs", &["NO_CLONE3", "FORBIDDEN"], SYSTEM),
    ("script/src/protocol.rs", &["HEADER_BYTES"], FORMAT),
    ("shuffle/src/groups.rs", &["GROUP_BYTES"], FORMAT),
    ("shuffle/src/key/mod.rs", &["ODD"], ARITHMETIC),
    ("shuffle/src/packed.rs", &["HEAD_BYTES"], FORMAT),
    (
        "shuffle/src/segment/format.rs",
        &["HEAD_BYTES", "SUM_BYTES", "BLOCK_HEAD_BYTES", "TAIL_BYTES", "LARGEST_BLOCK"],
        FORMAT,
    ),
    ("shuffle/src/store/index.rs", &["SUM_BYTES"], FORMAT),
    ("sim/src/main.rs", &["TOLD"], PRINTED),
    ("sim/src/node.rs", &["START"], ARITHMETIC),
    ("sim/src/random.rs", &["STEP"], ARITHMETIC),
    ("sim/src/selections.rs", &["PAIRS", "APART"], ARITHMETIC),
    ("sim/src/trace.rs", &["BASIS"], ARITHMETIC),
    ("types/src/object.rs", &["FIVE"], ARITHMETIC),
    ("types/src/record.rs", &["USUAL_HEAD"], ROOM),
];

/// Why not.
const FORMAT: &str = "part of what is stored or sent";
const IDENTITY: &str = "a name";
const SYSTEM: &str = "what the operating system calls something";
const TOLD: &str = "a bound of another crate, which clients are told";
const RIAK: &str = "what Riak does when a query does not say";
const PRINTED: &str = "of the program around the simulation, which has no such module";
const ROOM: &str = "room that is taken at first; more is taken when needed";
const UNITS: &str = "a unit";
const ARITHMETIC: &str = "a number of a formula";

/// The sources of the crates that are built into the program, without their tests.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "tests" {
                collect(&path, into);
            } else if path.extension().is_some_and(|end| end == "rs") {
                into.push(path);
            }
        }
    }
    let crates = root().join("crates");
    let mut files = Vec::new();
    for entry in fs::read_dir(&crates).unwrap().flatten() {
        if !MEASURES.iter().any(|name| entry.file_name() == *name) {
            collect(&entry.path().join("src"), &mut files);
        }
    }
    let left_out = |path: &PathBuf| {
        let name = path.file_name().unwrap();
        name == "tests.rs" || name == "limits.rs" || FOR_TESTS.iter().any(|end| path.ends_with(end))
    };
    files.retain(|path| !left_out(path));
    files.sort();
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&crates).unwrap().to_path_buf(), text)
    };
    files.into_iter().map(text).collect()
}

/// The name of the constant that a line begins, if it is of one of [`TYPES`].
fn bound(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("const ")?;
    // Nothing but a visibility: else it is a comment, or a parameter.
    let alone = matches!(before.trim(), "" | "pub" | "pub(crate)" | "pub(super)");
    if !alone && !before.trim().starts_with("pub(in ") {
        return None;
    }
    let (name, kind) = after.split_once(": ")?;
    let kind = kind.split([' ', '=', ';']).next()?;
    (TYPES.contains(&kind) && name != "_").then_some(name)
}

/// Those of a file, but for its tests.
fn bounds(text: &str) -> BTreeSet<&str> {
    let tests = |line: &&str| !line.trim_start().starts_with("mod tests {");
    text.lines().take_while(tests).filter_map(bound).collect()
}

#[test]
fn bounds_are_found() {
    let check = |line: &str, expect: Option<&str>| assert_eq!(bound(line), expect, "{line}");
    check("const A: usize = 1;", Some("A"));
    check("    pub(crate) const B_2: Duration = X;", Some("B_2"));
    check("pub const C: u32 =", Some("C"));
    check("const D: &str = \"\";", None);
    check("const E: [u64; 2] = [1, 2];", None);
    check("const _: usize = 1;", None);
    check("// const F: u64 = 1;", None);
    check("const fn g(n: usize) -> usize {", None);
}

#[test]
fn bounds_stand_in_the_limits_of_their_crate() {
    let sources = sources();
    let allowed = |path: &Path| {
        let rows = NO_BOUNDS.iter().filter(move |(known, ..)| path == Path::new(known));
        rows.flat_map(|(_, names, _)| names.iter().copied()).collect::<BTreeSet<_>>()
    };
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        let (found, allowed) = (bounds(text), allowed(path));
        let moved = found.difference(&allowed).map(|name| format!("{}: {name}", path.display()));
        wrong.extend(moved);
        // An exception of what is gone would hide the next of that name.
        let gone = allowed.difference(&found).map(|name| format!("{}: no {name}", path.display()));
        wrong.extend(gone);
    }
    for (path, ..) in NO_BOUNDS {
        assert!(sources.iter().any(|(known, _)| known == Path::new(path)), "no file {path}");
    }
    assert!(wrong.is_empty(), "in `limits`, or among the exceptions:\n{}", wrong.join("\n"));
}
