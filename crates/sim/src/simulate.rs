//! A seed from beginning to end: what is founded, who works, what goes on meanwhile and is asked last.

use std::sync::Arc;
use std::time::Duration;

use mapring_cluster::Change;
use mapring_types::props::PropChanges;
use mapring_types::{BucketId, BucketProps, Error, NodeId, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::buckets::{DATATYPES, NUMBERS, SHARED};
use crate::contended_writers::ContendedWriter;
use crate::datatype_clients::DatatypeClient;
use crate::faults::{self, Schedule};
use crate::job_clients::{self, JobClients};
use crate::node::{Host, Life};
use crate::pipeline_clients::PipelineClients;
use crate::questions::Question;
use crate::random::Random;
use crate::report::{Options, Report};
use crate::schedule_clients::Schedules;
use crate::trace::Outcome;
use crate::world::World;
use crate::writers::{self, Writer};
use crate::{
    datatype_checks, job_checks, job_faults, limits, membership, plans, queries, replicas, sizes,
};

/// Runs one seed from beginning to end.
pub(crate) async fn simulate(seed: u64, options: Options) -> Result<Report> {
    let random = Random::new(seed);
    let jobs = Random::new(seed.rotate_left(32));
    // Of its own, so that the runs without data types stay what they were.
    let datatypes = Random::new(seed.rotate_left(16));
    let world = World::new((&random, &Random::new(!seed)), (&jobs, &datatypes), options)?;
    for host in world.hosts() {
        host.start().await?;
    }
    let watcher = world.clone();
    let gossip = tokio::spawn(async move { self::gossip(&watcher).await });
    sleep(Duration::from_millis(2 * limits::TRUST_MS.end)).await;
    found(&world).await?;
    let mut writers = Vec::new();
    for number in 1..=limits::WRITERS {
        let mut writer = Writer::new(number, random.fork());
        writer.load(&world).await;
        writers.push(writer);
    }
    let mut keys: Vec<String> = world.look_back(|history| history.keys().cloned().collect());
    keys.truncate(limits::POINTERS);
    writers::point_to(&world, &random, keys).await;
    let mut clients = JobClients::begin(&world, &jobs).await?;
    let mut pipelines = PipelineClients::begin(&world, &jobs);
    let mut schedules = Schedules::store(&world, &jobs).await?;
    work(&world, &random, (&jobs, &datatypes), writers).await?;
    world.trace.note("peace");
    clients.end(&world).await?;
    pipelines.end(&world).await?;
    if let Some(schedules) = &mut schedules {
        schedules.remove(&world).await;
    }
    job_clients::all_ended(&world).await;
    sizes::come_to_rest(&world).await;
    replicas::check(&world)?;
    datatype_checks::check(&world).await?;
    job_checks::check(&world, &clients, &jobs).await?;
    pipelines.check(&world).await?;
    if let Some(schedules) = &schedules {
        schedules.check(&world).await;
        pipelines.remove().await;
        job_checks::remove_all(&world, &jobs).await;
        sizes::come_to_rest(&world).await;
        job_checks::check_removed(&world, &clients)?;
    }
    last_questions(&world, &random).await;
    gossip.abort();
    let Outcome { hash, events, history, violations } = world.trace.outcome();
    let figures = world.figures();
    Ok(Report { seed, hash, events, figures, violations, history })
}

/// Decides what the cluster is to be before anything is stored.
async fn found(world: &World) -> Result<()> {
    let set = |bucket: &str, name: &str, value: serde_json::Value| {
        let bucket = BucketId::untyped(bucket.to_owned());
        let changes = PropChanges([(name.to_owned(), value)].into_iter().collect());
        Change::SetBucket { bucket, changes }
    };
    let changes = [
        Some(set(NUMBERS, "n_val", world.shape.n_val.into())),
        Some(set(SHARED, "allow_mult", true.into())),
        world.shape.datatypes.then(|| set(DATATYPES, "allow_mult", true.into())),
        Some(Change::Seal),
    ];
    for change in changes.into_iter().flatten() {
        if !world.decide(change).await? {
            return Err(Error::internal("nothing can be decided in the beginning"));
        }
    }
    world.all_know().await;
    debug_assert_eq!(limits::SHARED_N_VAL, BucketProps::default().n_val);
    Ok(())
}

/// Clients work while things break.
async fn work(
    world: &Arc<World>,
    random: &Random,
    (jobs, datatypes): (&Random, &Random),
    writers: Vec<Writer>,
) -> Result<()> {
    let end = Instant::now() + limits::WORK;
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for writer in writers {
        let world = world.clone();
        tasks.spawn(async move {
            writer.work(&world, end).await;
            Ok(())
        });
    }
    for _ in 0..limits::CONTENDED_WRITERS {
        let (world, client) = (world.clone(), ContendedWriter::new(random.fork()));
        tasks.spawn(async move {
            client.work(&world, end).await;
            Ok(())
        });
    }
    for _ in 0..if world.shape.datatypes { limits::DATATYPE_CLIENTS } else { 0 } {
        let (world, client) = (world.clone(), DatatypeClient::new(datatypes.fork()));
        tasks.spawn(async move {
            client.work(&world, end).await;
            Ok(())
        });
    }
    for _ in 0..limits::QUERIERS {
        let (world, random) = (world.clone(), random.fork());
        tasks.spawn(async move {
            queries::work(&world, random, end).await;
            Ok(())
        });
    }
    let (planner, planning) = (world.clone(), random.fork());
    tasks.spawn(async move {
        look_at_plans(&planner, planning, end).await;
        Ok(())
    });
    let measurer = world.clone();
    tasks.spawn(async move {
        sizes::look(&measurer, end).await;
        Ok(())
    });
    let (aimed, aiming) = (world.clone(), jobs.fork());
    tasks.spawn(async move { job_faults::suffer(&aimed, aiming, end).await });
    if let Some(replacement) = world.replacement() {
        let world = world.clone();
        tasks.spawn(async move { membership::replace(&world, replacement).await });
    }
    let nodes: Vec<NodeId> = (1..=world.shape.nodes).map(NodeId).collect();
    let schedule = faults::schedule(&random.fork(), &nodes, world.shape.bad_clocks);
    let sufferer = world.clone();
    tasks.spawn(async move { suffer(&sufferer, schedule).await });
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| {
            Error::internal("a part of the simulation panicked").with_source(error)
        })??;
    }
    Ok(())
}

/// Lets the schedule happen.
async fn suffer(world: &World, schedule: Schedule) -> Result<()> {
    let start = Instant::now();
    for (after, event) in schedule {
        sleep_until(start + after).await;
        world.suffer(event).await?;
    }
    Ok(())
}

/// Tells every node whom gossip takes for alive, again and again, and what is decided.
async fn gossip(world: &World) -> Result<()> {
    loop {
        let running: Vec<Arc<Life>> = world.machines().iter().filter_map(Host::life).collect();
        for life in running.iter().filter(|life| !life.is_paused()) {
            let me = life.node;
            let others = world.machines().iter().map(|host| host.id).filter(|other| *other != me);
            let heard = others.map(|other| {
                let speaks = running.iter().any(|life| life.node == other && !life.is_paused());
                (other, speaks && !world.is_cut(other, me))
            });
            let alive = world.gossip.lock().round(me, heard);
            life.eyes.see(alive);
            world.learn(life)?;
        }
        sleep(limits::GOSSIP_TICK).await;
    }
}

/// Looks at coverage plans, made by the nodes and for random sets of nodes.
async fn look_at_plans(world: &World, random: Random, end: Instant) {
    let n_val = world.shape.n_val;
    while Instant::now() < end {
        sleep(limits::PLAN_TICK).await;
        let Some(life) = world.somebody(&random) else { continue };
        let before = life.kv.cluster().view();
        let made = life.serve(life.kv.coverage(n_val)).await;
        let view = life.kv.cluster().view();
        let tried = (0..limits::PLANS_AT_ONCE).flat_map(|_| plans::try_one(view.plan(), &random));
        let mut faults: Vec<String> = tried.collect();
        match made {
            Ok(coverage) => {
                world.count(|figures| figures.plans += 1);
                // The node may have learned of another plan meanwhile.
                if !plans::check(before.plan(), n_val, &coverage).is_empty() {
                    faults.extend(plans::check(view.plan(), n_val, &coverage));
                }
            }
            Err(error) => world.trace.note(format!("no plan at {}: {error}", life.name())),
        }
        faults.into_iter().for_each(|fault| world.trace.violation(fault));
    }
}

/// All is well again: every question must be answered, and right. Each node is asked every
/// other one.
async fn last_questions(world: &World, random: &Random) {
    for (turn, life) in world.hosts().filter_map(Host::life).enumerate() {
        let questions = Question::all(world, random);
        for question in questions.iter().skip(turn % 2).step_by(2) {
            if let Err(error) = queries::ask(world, &life, question).await {
                let node = life.name();
                world.trace.violation(format!("{question:?} fails at {node} in peace: {error}"));
            }
        }
    }
}
