//! Whether jobs may store, and what becomes of those that could not.

use std::sync::Arc;

use bytes::Bytes;
use mapring_cluster::{Cluster as _, JobKind, JobRecord, JobResult, JobState};
use mapring_mapred::{Control as _, Failure, FailureKind};
use mapring_types::ErrorKind;
use tokio::time::{Instant, advance};

use super::world::World;
use crate::limits;
use crate::live::{Live, Stop};
use crate::store::{Entry, Shelf, Store as _};
use crate::work::{Permit, failed};

/// A job of the first node, which does not run.
fn job(world: &World, epoch: u64) -> Arc<Live> {
    let record = JobRecord {
        kind: JobKind::Job,
        owner: world.nodes[0].cluster.view().me,
        epoch,
        digest: 1,
        since_ms: 1,
        state: JobState::Active,
    };
    Live::new("j", record)
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_lapsed_for_a_moment_fails_no_job() {
    let world = World::start(1).await;
    let runner = world.jobs(0).runner();
    let job = job(&world, 1);
    let permit = Permit::new(runner.clone(), job.clone());
    runner.lease.renew(Instant::now());
    let refused = ErrorKind::Forbidden;
    let failure = Failure::from(mapring_types::Error::new(refused, "it may no longer store"));
    assert_eq!(failure.kind, FailureKind::Node(refused));
    assert!(permit.may_store());
    let ended = failed(runner, &job, &failure, &permit).unwrap();
    assert_eq!(ended.result, JobResult::Failed, "nothing was refused here");
    advance(limits::LEASE).await;
    assert!(!permit.may_store());
    runner.lease.renew(Instant::now());
    assert!(permit.may_store());
    let again = failed(runner, &job, &failure, &permit).map(|ended| ended.result).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Unavailable);
    // The next run of it begins anew.
    let permit = Permit::new(runner.clone(), job.clone());
    assert!(failed(runner, &job, &failure, &permit).is_ok());
    for kind in [ErrorKind::OtherCoordinator, ErrorKind::Cancelled, ErrorKind::Unavailable] {
        let passing = Failure::from(mapring_types::Error::new(kind, "later"));
        assert!(failed(runner, &job, &passing, &permit).is_err(), "{kind:?}");
    }
    job.stop(Stop::Fenced);
    assert!(!permit.may_store());
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_outputs_are_written_is_not_ended() {
    let world = World::start(1).await;
    let runner = world.jobs(0).runner();
    runner.lease.renew(Instant::now());
    let abort = || Stop::Abort("enough".into());
    let early = job(&world, 1);
    early.stop(abort());
    assert!(!Permit::new(runner.clone(), early).may_write_outputs());
    let job = job(&world, 1);
    let permit = Permit::new(runner.clone(), job.clone());
    assert!(permit.may_write_outputs());
    job.stop(abort());
    assert!(permit.may_store() && job.stopping().is_none());
    // It is told again as long as the metadata say so.
    job.give_up_outputs();
    job.stop(abort());
    assert_eq!(job.stopping(), Some(abort()));
    assert!(!permit.may_write_outputs());
    job.stop(Stop::Fenced);
    assert_eq!(job.stopping(), Some(Stop::Fenced));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_have_seen_the_same_one_writes() {
    let world = World::start(3).await;
    let (one, other) = (world.store(0), world.store(1));
    let (shelf, entry) = (Shelf::Records, Entry::default);
    let anything = |_: Option<&Bytes>| -> mapring_types::Result<()> { Ok(()) };
    // The nodes have to know each other to tell that there is nothing yet.
    while one.replace(shelf, "j", "0".into(), entry(), &anything).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..3 {
        let may = |stored: Option<&Bytes>| -> mapring_types::Result<()> {
            assert!(stored.is_some());
            Ok(())
        };
        let (first, second) = tokio::join!(
            one.replace(shelf, "j", "1".into(), entry(), &may),
            other.replace(shelf, "j", "2".into(), entry(), &may),
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let written = if first.is_ok() { "1" } else { "2" };
        assert_eq!(other.get(shelf, "j").await.unwrap().unwrap(), written);
    }
    // What is not there any more is in nobody's way.
    assert!(one.remove(shelf, "j").await.unwrap());
    let absent = |stored: Option<&Bytes>| -> mapring_types::Result<()> {
        assert!(stored.is_none());
        Ok(())
    };
    other.replace(shelf, "j", "3".into(), entry(), &absent).await.unwrap();
    let refuses = |_: Option<&Bytes>| Err(mapring_types::Error::unavailable("no"));
    assert!(one.replace(shelf, "j", "4".into(), entry(), &refuses).await.is_err());
    assert_eq!(one.get(shelf, "j").await.unwrap().unwrap(), "3");
}
