//! mapring against Riak's interface: a table of requests and what must come back.
//!
//! Every row names the fact of `docs/compatibility.md` that it follows. What is expected comes from
//! there, or from exchanges of a real Riak, never from mapring.
//!
//! The table runs against one node, and against each of three. With `MAPRING_CONFORMANCE_URL=http://host:8098` it runs against any server: rows of mapring's own are
//! left out then (`MAPRING_CONFORMANCE_OWN=1` keeps them), and rows that need what the server lacks
//! are skipped and counted. `MAPRING_CONFORMANCE_ONLY=WORDS` chooses rows by their title. The counts
//! are shown with `cargo test -p mapring-tests --test conformance -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "rows are read, not run a million times")]

mod callbacks;
mod case;
mod cases;
mod check;
mod files;
mod fixtures;
mod job_files;
mod phases;
mod runner;
mod wire;

use mapring_tests::harness::Cluster;

use job_files::JobFile;
use runner::Servers;

/// Tombstones stay for as long as the table runs.
const SETTINGS: [(&str, &str); 1] = [("MAPRING__STORAGE__REAP_AFTER", "1h")];

async fn check_nodes(nodes: usize) {
    let file = JobFile::good();
    let path = file.path();
    let mut settings = SETTINGS.to_vec();
    settings.extend([
        ("MAPRING__JOBS__FILE", path.as_str()),
        ("MAPRING__JOBS__CALLBACK_ALLOW", "127.0.0.1"),
        ("MAPRING__JOBS__CALLBACK_SECRET", callbacks::SECRET),
    ]);
    let cluster = Cluster::start_with(nodes, &settings).await;
    let authorities = cluster.nodes.iter().map(|node| node.settings.http.clone()).collect();
    let what = format!("mapring, nodes: {nodes}");
    let mut servers = Servers { what, authorities, own: true, lacks: [].into() };
    fixtures::load(&mut servers).await;
    runner::run(&servers, &cases::all()).await;
    // What needs more than requests.
    callbacks::check(&servers.authorities).await;
    file.check(&servers.authorities).await;
}

#[tokio::test]
async fn one_node() {
    check_nodes(1).await;
}

#[tokio::test]
async fn three_nodes() {
    check_nodes(3).await;
}

/// Does nothing unless a server is named.
#[tokio::test]
async fn server_by_url() {
    let Ok(url) = std::env::var("MAPRING_CONFORMANCE_URL") else { return };
    let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let own = std::env::var_os("MAPRING_CONFORMANCE_OWN").is_some();
    let mut servers = Servers { what: url, authorities: vec![authority], own, lacks: [].into() };
    fixtures::load(&mut servers).await;
    runner::run(&servers, &cases::all()).await;
}

/// Names are unique, so that a failure can be found.
#[test]
fn the_table_is_large_and_every_row_has_its_own_name() {
    let cases = cases::all();
    let mut names = std::collections::BTreeSet::new();
    for case in &cases {
        assert!(
            names.insert((case.topic, &case.name)),
            "{}: {} comes twice",
            case.topic,
            case.name
        );
    }
    let everyone = cases.iter().filter(|case| case.whose == case::Whose::Everyone).count();
    assert!(everyone >= 250, "{everyone}");
    // Objects, buckets, indexes, walks, data types: what is no query.
    let plain =
        |fact: u32| matches!(fact, 1..=36 | 200..=214 | 265..=278 | 300..=316 | 342 | 343 | 360);
    let others = cases.iter().filter(|case| case.fact.is_some_and(plain)).count();
    assert!(others >= 400, "{others}");
    for case in &cases {
        let checked = case.all_steps().all(|(_, checks)| !checks.is_empty());
        assert!(checked, "{}: {} has a step that is not checked", case.topic, case.name);
    }
    // What follows no fact is nothing that Riak has.
    let free = cases.iter().filter(|case| case.fact.is_none());
    let unowned: Vec<_> = free.filter(|case| case.whose != case::Whose::Mapring).collect();
    assert!(unowned.is_empty(), "{unowned:?}");
}
