//! A node that is killed leaves no worker behind, whatever that does.

use std::fs;

use super::rig::{BUCKET, Rig, WORKERS};
use mapring_tests::harness::{Cluster, Exchange, eventually, holds};

/// Makes the node the first of a session, in which its workers can be found when it is gone.
const SESSION: &str = "setsid";

/// Processes of a session that live.
fn session(of: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let belongs = |process: &i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name: state, parent, group, session.
        let mut fields = stat.rsplit_once(") ").unwrap_or_default().1.split(' ');
        let lives = fields.next().is_some_and(|state| !["Z", "X"].contains(&state));
        lives && fields.nth(2).and_then(|session| session.parse().ok()) == Some(of)
    };
    processes.filter(belongs).collect()
}

async fn wait_gone(of: i32) {
    eventually("the workers of a killed node to be gone", || async move {
        holds(session(of).is_empty())
    })
    .await;
}

#[tokio::test]
async fn no_worker_outlives_its_node() {
    let mut rig = Rig::start_wrapped(300, &[], &[SESSION]).await;
    let count: usize = WORKERS.parse().unwrap();
    for source in [
        "function() { for (;;) {} }",
        "function() { return [/^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')] }",
        "function() { for (;;) ejsLog('file', 'words') }",
        "function() { return ['x'.repeat(1e7)] }",
    ] {
        let pid = rig.node().pid();
        eventually(
            "the node and its workers",
            || async move { holds(session(pid).len() == count + 1) },
        )
        .await;
        let phase = serde_json::json!({"map": {"language": "javascript", "source": source}});
        let query = serde_json::json!({"inputs": BUCKET, "query": [phase], "timeout": 300_000});
        let _under_way = Exchange::query(rig.node(), true, &query.to_string()).await;
        if source.contains("for (;;)") || source.contains("test(") {
            rig.node().wait_busy().await;
        }
        rig.node_mut().kill().await;
        wait_gone(pid).await;
        rig.restart().await;
    }
}

/// Also when its workers are only being started.
#[tokio::test]
async fn no_worker_outlives_a_node_that_has_just_begun() {
    let mut cluster = Cluster::empty(&[("MAPRING__SCRIPT__WORKERS", "8")]);
    cluster.add_with(|settings| settings.wrapper = vec![SESSION.to_owned()]);
    for workers in 0..8 {
        let node = &mut cluster.nodes[0];
        let pid = node.pid();
        eventually("workers to be started", || async move { holds(session(pid).len() > workers) })
            .await;
        node.kill().await;
        wait_gone(pid).await;
        node.spawn();
    }
}
