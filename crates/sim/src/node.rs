//! One node: what outlives it, and its lives.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use mapring_cluster::Cluster;
use mapring_cluster::fixed::FixedCluster;
use mapring_jobs::callback::Allowed;
use mapring_kv::{Executor, Kv, KvConfig, KvParts};
use mapring_mapred::{MapReduce, MapredConfig, Parts};
use mapring_net::simulated::Network;
use mapring_net::task::Gate;
use mapring_net::{Services, Transport};
use mapring_runner::{CallbackConfig, Courier, Jobs, RunnerConfig, Witness};
use mapring_script::ScriptLimits;
use mapring_types::{Clock, Entropy, Error, NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::gossip::Eyes;
use crate::inline::InlineWorkers;
use crate::ledger::Ledger;
use crate::limits;
use crate::pair_files::PairFiles;
use crate::random::Random;
use crate::receiver::Receiver;
use crate::shape::Shape;
use crate::storage::{Disk, SlowDisk};
use crate::workers::SlowWorkers;

/// The seat of a node: its own number, or that of the node whose place it has taken. Faults concern
/// seats.
pub(crate) fn seat(node: NodeId) -> NodeId {
    NodeId(node.0 % limits::SEATS)
}

/// What becomes of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its node is to take the place of another.
    Waits,
    /// Its node is a member.
    Serves,
    /// Its node is gone for good, with its disk.
    Gone,
}

/// A machine on which a node runs, or has run.
pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) cluster: Arc<FixedCluster>,
    pub(crate) disk: Arc<Disk>,
    network: Arc<Network>,
    random: Random,
    shape: Shape,
    jobs: Option<HostJobs>,
    clock: Arc<WrongClock>,
    life: Mutex<Option<Arc<Life>>>,
    role: Mutex<Role>,
}

/// What a machine has where there are jobs.
pub(crate) struct HostJobs {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) random: Random,
    pub(crate) pairs: PairFiles,
    /// Who hears of their ends.
    pub(crate) receiver: Arc<Receiver>,
}

/// A node that runs, or stands still.
pub(crate) struct Life {
    pub(crate) node: NodeId,
    pub(crate) kv: Kv,
    pub(crate) mapred: MapReduce,
    /// Where there are jobs, all of them.
    pub(crate) jobs: Option<Jobs>,
    pub(crate) eyes: Arc<Eyes>,
    gate: Arc<Gate>,
    /// How often the node has begun or ended to stand still.
    pauses: AtomicU64,
    over: Flag,
}

/// Something that happens once. Those who wait for it are woken in the order in which they came.
#[derive(Default)]
struct Flag {
    raised: AtomicBool,
    changed: Notify,
}

impl Flag {
    fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    async fn raised(&self) {
        let mut changed = pin!(self.changed.notified());
        changed.as_mut().enable();
        if !self.raised.load(Ordering::Relaxed) {
            changed.await;
        }
    }
}

/// Simulated time, more or less wrong.
struct WrongClock {
    epoch: Instant,
    /// What it was then, but for what it is wrong.
    start: u64,
    ahead_micros: AtomicI64,
}

impl Clock for WrongClock {
    fn now_micros(&self) -> u64 {
        let since = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        let ahead = self.ahead_micros.load(Ordering::Relaxed);
        self.start.saturating_add(since).saturating_add_signed(ahead)
    }
}

/// What all clocks are about when everything begins, in microseconds since 1970.
pub(crate) fn start_micros(shape: &Shape) -> u64 {
    const START: u64 = 1_700_000_000_000_000;
    let minute = limits::MINUTE_MS * 1_000;
    shape.jobs.map_or(START, |jobs| START.next_multiple_of(minute) + jobs.past_minute)
}

impl Host {
    pub(crate) fn new(
        cluster: Arc<FixedCluster>,
        network: Arc<Network>,
        (random, jobs): (Random, Option<HostJobs>),
        epoch: Instant,
        shape: Shape,
        role: Role,
    ) -> Self {
        let (id, disk, life) = (cluster.view().me, Disk::new(), Mutex::new(None));
        let (start, ahead_micros) = (start_micros(&shape), AtomicI64::new(0));
        let clock = Arc::new(WrongClock { epoch, start, ahead_micros });
        let role = Mutex::new(role);
        Self { id, cluster, disk, network, random, shape, jobs, clock, life, role }
    }

    /// The node's name.
    pub(crate) fn name(&self) -> String {
        format!("n{}", self.id.0)
    }

    /// The node, when it runs or stands still.
    pub(crate) fn life(&self) -> Option<Arc<Life>> {
        self.life.lock().clone()
    }

    /// What becomes of the machine now.
    pub(crate) fn role(&self) -> Role {
        *self.role.lock()
    }

    pub(crate) fn set_role(&self, role: Role) {
        *self.role.lock() = role;
    }

    /// Starts the node on what its disk holds; one that is gone for good stays so.
    pub(crate) async fn start(&self) -> Result<()> {
        if self.role() == Role::Gone {
            return Ok(());
        }
        let gate = Gate::new();
        let life = gate.run(self.assemble(gate.clone())).await?;
        let services = [
            (mapring_kv::SERVICE, life.kv.service()),
            (mapring_mapred::SERVICE, life.mapred.service()),
        ];
        let jobs = life.jobs.as_ref().map(|jobs| (mapring_runner::SERVICE, jobs.service()));
        let services = Services::new(services.into_iter().chain(jobs));
        self.network.connect_through(self.id, services, gate);
        *self.life.lock() = Some(Arc::new(life));
        Ok(())
    }

    async fn assemble(&self, gate: Arc<Gate>) -> Result<Life> {
        let ledger = self.jobs.as_ref().map(|jobs| jobs.ledger.clone());
        let eyes = Eyes::open(self.cluster.clone(), ledger);
        let transport = self.network.transport(self.id);
        let executor: Arc<dyn Executor> =
            Arc::new(SlowDisk::new(self.random.fork(), self.shape.slow_disks));
        let most = i64::try_from(self.shape.skew_micros()).unwrap_or(0);
        let ahead = i64::try_from(self.random.below(2 * most.unsigned_abs() + 1)).unwrap_or(0);
        self.clock.ahead_micros.store(ahead - most, Ordering::Relaxed);
        let clock: Arc<dyn Clock> = self.clock.clone();
        let entropy: Arc<dyn Entropy> = Arc::new(self.random.fork());
        let background = mapring_background::Workers::default();
        let kv = Kv::open(KvParts {
            workers: background.clone(),
            cluster: eyes.clone(),
            engine: self.disk.open(),
            transport: transport.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            executor: executor.clone(),
            config: KvConfig::default(),
        })
        .await?;
        let workers = SlowWorkers {
            workers: InlineWorkers::new(executor.clone(), ScriptLimits::default()),
            random: self.random.fork(),
            slowest_ms: self.shape.slowest_ms,
        };
        let pairs = self.jobs.as_ref().map(|jobs| jobs.pairs.open()).transpose()?;
        if let (Some(jobs), Some((_, found))) = (&self.jobs, &pairs) {
            jobs.ledger.found_pairs(self.id, *found);
        }
        let mapred = MapReduce::new(Parts {
            kv: kv.clone(),
            transport: transport.clone(),
            workers: Arc::new(workers),
            executor,
            clock: clock.clone(),
            entropy,
            config: MapredConfig {
                page_inputs: self.shape.page_inputs,
                units_at_once: self.shape.units_at_once,
                concurrent_queries: self.shape.concurrent_queries,
                pairs_dir: pairs.map(|(path, _)| path),
                ..MapredConfig::default()
            },
        });
        let jobs = self.jobs((&kv, &mapred), transport, clock)?;
        if let Some(jobs) = &jobs {
            jobs.run(&background);
        }
        Ok(Life {
            node: self.id,
            kv,
            mapred,
            jobs,
            eyes,
            gate,
            pauses: AtomicU64::new(0),
            over: Flag::default(),
        })
    }

    /// The node's part of the jobs, where there are any.
    fn jobs(
        &self,
        (kv, mapred): (&Kv, &MapReduce),
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Jobs>> {
        let (Some(jobs), Some(shape)) = (&self.jobs, self.shape.jobs) else { return Ok(None) };
        let (ledger, me) = (jobs.ledger.clone(), self.id);
        let witness: Witness = Arc::new(move |id, epoch| ledger.acts(me, id, epoch));
        let allowed = Allowed::parse(&["127.0.0.1"]);
        let allowed = allowed.map_err(|error| Error::internal("no receiver").with_source(error))?;
        let courier: Arc<dyn Courier> = jobs.receiver.clone();
        let callbacks =
            CallbackConfig { allowed, courier: Some(courier), ..CallbackConfig::default() };
        Ok(Some(Jobs::new(mapring_runner::Parts {
            kv: kv.clone(),
            mapred: mapred.clone(),
            transport,
            clock,
            entropy: Arc::new(jobs.random.fork()),
            callbacks,
            file: None,
            config: RunnerConfig { concurrent: shape.concurrent },
            witness: Some(witness),
        })))
    }

    /// Ends the node as `kill -9` does. Returns how many unsynced writes are lost; `None` when it
    /// did not run.
    pub(crate) fn crash(&self) -> Result<Option<usize>> {
        let Some(life) = self.life.lock().take() else { return Ok(None) };
        self.network.crash(self.id);
        life.eyes.close();
        // What it had under way is never gone on with.
        life.gate.close();
        life.over.raise();
        if let Some(HostJobs { pairs, random, .. }) = &self.jobs {
            pairs.crash(random)?;
        }
        self.disk.crash(&self.random).map(Some)
    }

    /// Makes a copy of all that lies on the node's disk, in place of an earlier one.
    pub(crate) fn make_copy(&self) -> Result<()> {
        if let Some(jobs) = &self.jobs {
            jobs.pairs.make_copy()?;
        }
        self.disk.make_copy()
    }

    /// Puts the copy in place of what lies there, once the node has crashed. Returns whether there was one.
    pub(crate) fn put_back(&self) -> bool {
        let is_there = self.disk.put_back();
        if let Some(jobs) = self.jobs.as_ref().filter(|_| is_there) {
            jobs.pairs.put_back();
        }
        is_there
    }

    /// Sets the node's clock: adds so many microseconds.
    pub(crate) fn set_clock(&self, by: i64) {
        self.clock.ahead_micros.fetch_add(by, Ordering::Relaxed);
    }
}

impl Life {
    /// Does `work` as a client of this node: it fails when the node crashes, and waits while the
    /// node stands still.
    pub(crate) async fn serve<T, E: From<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            () = self.over.raised() => Err(Error::unavailable("the node has crashed").into()),
            done = self.gate.run(work) => done,
        }
    }

    /// The node's name.
    pub(crate) fn name(&self) -> String {
        format!("n{}", self.node.0)
    }

    /// Has the node stand still.
    pub(crate) fn pause(&self) {
        self.pauses.fetch_add(1, Ordering::Relaxed);
        self.gate.close();
    }

    /// How often the node has begun or ended to stand still.
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Relaxed)
    }

    /// Has the node go on.
    pub(crate) fn resume(&self) {
        self.pauses.fetch_add(1, Ordering::Relaxed);
        self.gate.open();
    }

    /// Whether the node stands still.
    pub(crate) fn is_paused(&self) -> bool {
        self.gate.is_closed()
    }
}
