//! One node: what outlives it, and its lives.

use std::future::Future;
use std::sync::Arc;

use mapring_cluster::Cluster;
use mapring_cluster::fixed::FixedCluster;
use mapring_kv::executor::Inline;
use mapring_kv::{Executor, Kv, KvConfig, KvParts};
use mapring_mapred::workers::inline::InlineWorkers;
use mapring_mapred::{MapReduce, MapredConfig, Parts};
use mapring_net::simulated::Network;
use mapring_net::{ServiceId, Services};
use mapring_script::ScriptLimits;
use mapring_types::{Clock, Entropy, Error, NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::gossip::Eyes;
use crate::limits;
use crate::random::Random;
use crate::storage::Disk;
use crate::workers::SlowWorkers;

/// A machine on which a node runs, or has run.
pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) cluster: Arc<FixedCluster>,
    network: Arc<Network>,
    disk: Arc<Disk>,
    random: Random,
    epoch: Instant,
    slowest_ms: u64,
    life: Mutex<Option<Arc<Life>>>,
}

/// A running node.
pub(crate) struct Life {
    pub(crate) kv: Kv,
    pub(crate) mapred: MapReduce,
    pub(crate) eyes: Arc<Eyes>,
    over: watch::Sender<bool>,
}

/// Simulated time, a little wrong.
struct SkewedClock {
    epoch: Instant,
    ahead_micros: u64,
}

impl Clock for SkewedClock {
    fn now_micros(&self) -> u64 {
        const START: u64 = 1_700_000_000_000_000;
        let since = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        START.saturating_add(since).saturating_add(self.ahead_micros)
    }
}

impl Host {
    pub(crate) fn new(
        cluster: Arc<FixedCluster>,
        network: Arc<Network>,
        random: Random,
        epoch: Instant,
        slowest_ms: u64,
    ) -> Self {
        let (id, disk, life) = (cluster.view().me, Disk::new(), Mutex::new(None));
        Self { id, cluster, network, disk, random, epoch, slowest_ms, life }
    }

    /// The node, when it runs.
    pub(crate) fn life(&self) -> Option<Arc<Life>> {
        self.life.lock().clone()
    }

    /// Starts the node on what its disk holds.
    pub(crate) async fn start(&self) -> Result<()> {
        let eyes = Eyes::open(self.cluster.clone());
        let transport = self.network.transport(self.id);
        let executor: Arc<dyn Executor> = Arc::new(Inline);
        let clock: Arc<dyn Clock> = Arc::new(SkewedClock {
            epoch: self.epoch,
            ahead_micros: self.random.within(0..2 * limits::SKEW_MICROS + 1),
        });
        let entropy: Arc<dyn Entropy> = Arc::new(self.random.fork());
        let kv = Kv::open(KvParts {
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
            slowest_ms: self.slowest_ms,
        };
        let mapred = MapReduce::new(Parts {
            kv: kv.clone(),
            transport,
            workers: Arc::new(workers),
            executor,
            clock,
            entropy,
            config: MapredConfig::default(),
        });
        self.network.connect(
            self.id,
            Services::new([
                (ServiceId::Kv, kv.service()),
                (ServiceId::MapReduce, mapred.service()),
            ]),
        );
        let over = watch::Sender::new(false);
        *self.life.lock() = Some(Arc::new(Life { kv, mapred, eyes, over }));
        Ok(())
    }

    /// Ends the node as `kill -9` does. Returns how many unsynced writes are lost.
    pub(crate) fn crash(&self) -> Result<usize> {
        let Some(life) = self.life.lock().take() else { return Ok(0) };
        self.network.crash(self.id);
        life.eyes.close();
        life.over.send_replace(true);
        self.disk.crash(&self.random)
    }
}

impl Life {
    /// Does `work` as a client of this node: it fails when the node crashes.
    pub(crate) async fn serve<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut over = self.over.subscribe();
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => Err(Error::unavailable("the node has crashed")),
            done = work => done,
        }
    }
}
