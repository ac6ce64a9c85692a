//! Nodes of two releases of the formats.

use mapring_types::{ErrorKind, Release, Releases};

use super::*;
use crate::wire::Verdict;
use crate::{JobKind, ScheduleRun};

/// What each of the nodes 1 to 3 is known to read, as `cluster` has it.
fn told(cluster: &Arc<LiveCluster>) -> Vec<Option<Releases>> {
    cluster.view().state.members.values().map(|member| member.releases).collect()
}

fn start_job() -> Change {
    let (kind, owner) = (JobKind::Job, NodeId(1));
    let run = Some(ScheduleRun { schedule: "s".to_owned(), planned_ms: 5 });
    let (id, after_epoch) = ("a".to_owned(), Some(0));
    Change::StartJob { id, kind, owner, digest: 1, now_ms: 1, run, after_epoch }
}

#[tokio::test]
async fn what_the_oldest_member_reads_is_written() {
    let mut world = World::new();
    for id in 1..=3 {
        world.set_releases(id, Releases::BEFORE);
    }
    let former = three(&mut world).await;
    former[0].propose(Change::Seal).await.unwrap();
    drop(former);
    let mut nodes = Vec::new();
    for id in 1..=3_u16 {
        world.kill(id.into()).await;
        world.set_releases(id.into(), Releases::own());
        let node = world.node(id.into(), &format!("n{id}"), id, &[1 + id % 3]).await;
        node.run().await.unwrap();
        nodes.push(node);
        if id == 3 {
            break;
        }
        // Nothing is told while a member would not understand it, whoever asks for it.
        until("a leader answers", || nodes[0].status().decides).await;
        for node in &nodes {
            let verdict = node.ask_around().await.unwrap();
            assert_eq!(verdict, Verdict::Accepted);
            assert_eq!(told(node), [None; 3]);
            assert_eq!(node.view().state.release(), Release::FIRST);
            let error = node.propose(start_job()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            let words = "jobs need every member to know release 4 of the formats; n1 (";
            assert!(error.message().starts_with(words), "{error}");
        }
    }
    for node in &nodes {
        until("all is told", || told(node) == [Some(Releases::own()); 3]).await;
        assert_eq!(node.view().state.release(), Release::current());
        assert!(node.guard.status().differs.is_empty());
        assert_eq!(node.propose(start_job()).await.unwrap(), Outcome::Applied);
        assert_eq!(node.view().state.jobs.len(), 1);
    }

    // Who does not read what is written by now is not let in, neither back nor anew.
    world.kill(3).await;
    world.set_releases(3, Releases::BEFORE);
    world.set_releases(4, Releases::BEFORE);
    let third = world.node(3, "n3", 3, &[1]).await;
    let fourth = world.node(4, "n4", 4, &[1]).await;
    for node in [&third, &fourth] {
        let error = node.join().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        let (known, written) = ("knows the releases 1 to 1 of the formats", Release::current());
        let words = format!("{known}, and the cluster writes {written} by now");
        assert!(error.message().contains(&words), "{error}");
    }
    assert_eq!(nodes[0].view().state.release(), Release::current());
    world.stop().await;
}
