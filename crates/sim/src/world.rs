//! The whole: nodes, network, clients and faults of one seed, from beginning to end.

use std::sync::Arc;

use mapring_cluster::fixed::FixedGroup;
use mapring_cluster::{Change, Cluster};
use mapring_net::simulated::Network;
use mapring_ring::RingSize;
use mapring_types::{Error, NodeId, Result};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::clients::{self, Question, Writer};
use crate::faults::{self, Event};
use crate::gossip::Gossip;
use crate::history::{History, Moment, Span};
use crate::node::{Host, Life};
use crate::quiet::Quiet;
use crate::random::Random;
use crate::trace::{Outcome, Trace};
use crate::weather::Sky;
use crate::{Figures, Options, Report, limits, plans};

/// What all parts of a simulation share.
pub(crate) struct World {
    hosts: Vec<Host>,
    sky: Arc<Sky>,
    pub(crate) trace: Arc<Trace>,
    history: Mutex<History>,
    figures: Mutex<Figures>,
    gossip: Mutex<Gossip>,
    values: Mutex<u64>,
    quiet: Mutex<Quiet>,
    /// Whether clients delete.
    pub(crate) deletes: bool,
    strict: bool,
}

impl World {
    fn new(random: &Random, options: Options) -> Result<Arc<Self>> {
        let network = Network::new();
        let (trace, sky) =
            (Arc::new(Trace::new(options.verbose)), Sky::new(random.fork(), options.harsh));
        network.set_weather(sky.weather());
        let observer = trace.clone();
        network.set_observer(Box::new(move |message| observer.message(message)));
        let partitions = random.choose(&[8, 16, 32, 64]).copied().unwrap_or(8);
        let ring = RingSize::new(partitions).ok_or_else(|| Error::internal("no ring size"))?;
        let slowest_ms = random.choose(&[0, 4, 50]).copied().unwrap_or(0);
        let settling = match options.harsh {
            true => limits::HARSH_SETTLING_MICROS,
            false => limits::SETTLING_MICROS,
        };
        let epoch = Instant::now();
        let host = |cluster| Host::new(cluster, network.clone(), random.fork(), epoch, slowest_ms);
        let hosts = FixedGroup::start(limits::NODES, ring).into_iter().map(host).collect();
        trace.note(format!("{partitions} partitions, up to {slowest_ms} ms an input"));
        Ok(Arc::new(Self {
            hosts,
            sky,
            trace,
            history: Mutex::default(),
            figures: Mutex::default(),
            gossip: Mutex::new(Gossip::new(random.fork())),
            values: Mutex::new(1_000),
            quiet: Mutex::new(Quiet::new(settling)),
            deletes: random.per_mille(500),
            strict: options.strict,
        }))
    }

    fn host(&self, id: NodeId) -> Result<&Host> {
        let host = self.hosts.iter().find(|host| host.id == id);
        host.ok_or_else(|| Error::internal(format!("there is no node {id}")))
    }

    /// A node that runs, with its name.
    pub(crate) fn somebody(&self, random: &Random) -> Option<(String, Arc<Life>)> {
        let host = random.choose(&self.hosts)?;
        Some((format!("n{}", host.id.0), host.life()?))
    }

    /// A value that was never written.
    pub(crate) fn next_value(&self, random: &Random) -> u64 {
        let mut values = self.values.lock();
        *values += random.within(1..1_000);
        *values
    }

    /// A write begins.
    pub(crate) fn begin(&self, key: &str, value: Option<u64>, node: &str) {
        self.trace.note(format!("write {key} = {value:?} at {node}"));
        self.history.lock().begin(key, value, self.trace.now());
    }

    /// The last write of a key has ended.
    pub(crate) fn ended(&self, key: &str, done: Result<()>) {
        match done {
            Ok(()) => {
                self.trace.note(format!("written {key}"));
                self.history.lock().acknowledge(key, self.trace.now());
                self.count(|figures| figures.writes += 1);
            }
            Err(error) => {
                self.trace.note(format!("unknown {key}: {error}"));
                self.count(|figures| figures.failed_writes += 1);
            }
        }
    }

    pub(crate) fn count(&self, how: impl FnOnce(&mut Figures)) {
        how(&mut self.figures.lock());
    }

    pub(crate) fn judge(&self, how: impl FnOnce(&History) -> Vec<String>) {
        let faults = how(&self.history.lock());
        for fault in faults {
            self.trace.violation(fault);
        }
    }

    /// The span in which a query that has just ended must have seen what it saw.
    pub(crate) fn span_since(&self, from: Moment) -> Span {
        let settled = if self.strict { from } else { self.quiet.lock().settled(from) };
        Span { from: settled, to: self.trace.now() }
    }

    /// Whether there was any trouble since then.
    pub(crate) fn trouble_since(&self, from: Moment) -> bool {
        self.quiet.lock().disturbed_since(from)
    }

    /// Whether a node is down or a link is cut.
    fn in_trouble(&self) -> bool {
        !self.sky.is_clear() || self.hosts.iter().any(|host| host.life().is_none())
    }

    /// Lets a fault happen, or end.
    pub(crate) async fn suffer(&self, event: Event) -> Result<()> {
        match event {
            Event::Crash(id) => {
                let lost = self.host(id)?.crash()?;
                self.trace.note(format!("FAULT n{} crashes, {lost} unsynced writes lost", id.0));
                self.count(|figures| figures.crashes += 1);
            }
            Event::Restart(id) => {
                if self.host(id)?.life().is_none() {
                    self.gossip.lock().forget(id);
                    self.host(id)?.start().await?;
                    self.trace.note(format!("FAULT n{} is back", id.0));
                }
            }
            Event::Cut(cuts) => {
                self.trace.note(format!("FAULT cut {cuts:?}"));
                self.count(|figures| figures.partitions += 1);
                cuts.into_iter().for_each(|cut| self.sky.cut(cut));
            }
            Event::Mend(cuts) => {
                self.trace.note(format!("FAULT mended {cuts:?}"));
                cuts.into_iter().for_each(|cut| self.sky.mend(cut));
            }
        }
        self.quiet.lock().note(self.in_trouble(), self.trace.now());
        Ok(())
    }

    /// Tells every node whom gossip takes for alive, again and again.
    async fn gossip(&self) {
        loop {
            let running: Vec<(NodeId, Arc<Life>)> =
                self.hosts.iter().filter_map(|host| Some((host.id, host.life()?))).collect();
            for (me, life) in &running {
                let others = self.hosts.iter().map(|host| host.id).filter(|other| other != me);
                let heard = others.map(|other| {
                    let runs = running.iter().any(|(id, _)| *id == other);
                    (other, runs && !self.sky.is_cut(*me, other))
                });
                let alive = self.gossip.lock().round(*me, heard);
                life.eyes.see(alive);
            }
            sleep(limits::GOSSIP_TICK).await;
        }
    }

    /// Looks at coverage plans, made by the nodes and for random sets of nodes.
    async fn look_at_plans(&self, random: Random, end: Instant) {
        while Instant::now() < end {
            sleep(limits::PLAN_TICK).await;
            let Some((node, life)) = self.somebody(&random) else { continue };
            let made = life.serve(life.kv.coverage(limits::N_VAL)).await;
            let view = life.kv.cluster().view();
            let tried =
                (0..limits::PLANS_AT_ONCE).flat_map(|_| plans::try_one(view.plan(), &random));
            let mut faults: Vec<String> = tried.collect();
            match made {
                Ok(coverage) => {
                    self.count(|figures| figures.plans += 1);
                    faults.extend(plans::judge(view.plan(), limits::N_VAL, &coverage));
                }
                Err(error) => self.trace.note(format!("no plan at {node}: {error}")),
            }
            faults.into_iter().for_each(|fault| self.trace.violation(fault));
        }
    }

    /// All is well again: every question must be answered, and right.
    async fn last_questions(&self) {
        for host in &self.hosts {
            let Some(life) = host.life() else { continue };
            let node = format!("n{}", host.id.0);
            for &question in Question::all(self) {
                if let Err(error) = clients::ask(self, &node, &life, question).await {
                    self.trace.violation(format!("{question:?} fails at {node} in peace: {error}"));
                }
            }
        }
        let keys: Vec<String> = self.history.lock().keys().cloned().collect();
        let Some(life) = self.hosts.first().and_then(Host::life) else { return };
        for key in keys {
            clients::read_all(self, &life, &key).await;
        }
    }
}

/// Runs one seed from beginning to end.
pub(crate) async fn simulate(seed: u64, options: Options) -> Result<Report> {
    let random = Random::new(seed);
    let world = World::new(&random, options)?;
    for host in &world.hosts {
        host.start().await?;
    }
    let watcher = world.clone();
    let gossip = tokio::spawn(async move { watcher.gossip().await });
    sleep(std::time::Duration::from_millis(2 * limits::TRUST_MS.end)).await;
    if let Some(host) = world.hosts.first() {
        host.cluster.propose(Change::Seal).await?;
    }
    let mut writers = Vec::new();
    for number in 1..=limits::WRITERS {
        let mut writer = Writer::new(number, random.fork());
        writer.load(&world).await;
        writers.push(writer);
    }
    work(&world, &random, writers, options.harsh).await?;
    world.trace.note("peace");
    world.sky.calm();
    sleep(limits::PEACE).await;
    world.last_questions().await;
    gossip.abort();
    let Outcome { hash, events, history, violations } = world.trace.outcome();
    let figures = *world.figures.lock();
    Ok(Report { seed, hash, events, figures, violations, history })
}

/// Clients work while things break.
async fn work(
    world: &Arc<World>,
    random: &Random,
    writers: Vec<Writer>,
    harsh: bool,
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
    for _ in 0..limits::QUERIERS {
        let (world, random) = (world.clone(), random.fork());
        tasks.spawn(async move {
            clients::query(&world, random, end).await;
            Ok(())
        });
    }
    let (planner, planning) = (world.clone(), random.fork());
    tasks.spawn(async move {
        planner.look_at_plans(planning, end).await;
        Ok(())
    });
    let nodes: Vec<NodeId> = world.hosts.iter().map(|host| host.id).collect();
    let (sufferer, schedule) = (world.clone(), faults::schedule(&random.fork(), &nodes, harsh));
    tasks.spawn(async move { faults::run(&sufferer, schedule).await });
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| {
            Error::internal("a part of the simulation panicked").with_source(error)
        })??;
    }
    Ok(())
}
