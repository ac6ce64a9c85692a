//! The whole: nodes, network, what was done and seen, and what faults do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mapring_cluster::fixed::{FixedGroup, Spread};
use mapring_cluster::{Change, ClusterState};
use mapring_net::simulated::Network;
use mapring_ring::{Partition, PreferenceList, RingSize, hash};
use mapring_types::{Error, NodeId, ObjectId, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::copies::Copies;
use crate::datatype_history::DatatypeHistory;
use crate::fault_windows::FaultWindows;
use crate::faults::Event;
use crate::gossip::Gossip;
use crate::history::{History, Moment};
use crate::ledger::Ledger;
use crate::limits;
use crate::membership::{self, Learning, Replacement};
use crate::node::{Host, HostJobs, Life, Role, seat};
use crate::pair_files::PairFiles;
use crate::partitions::{Cut, NetworkPartitions};
use crate::random::Random;
use crate::receiver::Receiver;
use crate::report::{Figures, Options};
use crate::shape::{JobShape, Shape};
use crate::siblings::{Found, Shared};
use crate::trace::Trace;

/// What all parts of a simulation share.
pub(crate) struct World {
    /// All machines: those of members, of nodes that are gone for good, and of one that is yet to come.
    machines: Vec<Host>,
    replacement: Option<Replacement>,
    ring: RingSize,
    pub(crate) learning: Mutex<Learning>,
    pub(crate) shape: Shape,
    pub(crate) trace: Arc<Trace>,
    /// What is decided about jobs, where there are any.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Who hears of their ends.
    pub(crate) receiver: Option<Arc<Receiver>>,
    partitions: Arc<NetworkPartitions>,
    history: Mutex<History>,
    shared: Mutex<Shared>,
    datatypes: Mutex<DatatypeHistory>,
    figures: Mutex<Figures>,
    pub(crate) gossip: Mutex<Gossip>,
    fault_windows: Mutex<FaultWindows>,
    copies: Mutex<Copies>,
    /// Whether some of what was acknowledged may be lost.
    forgiven: AtomicBool,
    values: Mutex<u64>,
    /// Keys that objects point to, by the numbers of these.
    pointed: Mutex<BTreeMap<u64, String>>,
}

impl World {
    /// Makes a world of what `random` gives; `later` decides what the metadata go through, `jobs` and
    /// `datatypes` what there is of these.
    pub(crate) fn new(
        (random, later): (&Random, &Random),
        (jobs, datatypes): (&Random, &Random),
        options: Options,
    ) -> Result<Arc<Self>> {
        let of_jobs = JobShape::new(jobs, options.jobs);
        let by_seed = datatypes.per_mille(limits::WITH_DATATYPES);
        let datatypes = options.datatypes.unwrap_or(by_seed);
        let shape = Shape { jobs: of_jobs, datatypes, ..Shape::new(random) };
        let network = Network::new();
        let (trace, partitions) = (
            Arc::new(Trace::new(options.verbose)),
            NetworkPartitions::new(random.fork(), shape.delay_ms),
        );
        network.set_weather(partitions.weather());
        let observer = trace.clone();
        network.set_observer(Box::new(move |message| observer.message(message)));
        let ring =
            RingSize::new(shape.partitions).ok_or_else(|| Error::internal("no ring size"))?;
        let epoch = Instant::now();
        let ledger = of_jobs
            .map(|of_jobs| Arc::new(Ledger::new(trace.clone(), jobs.fork(), of_jobs.lost_answers)));
        let receiver = ledger
            .clone()
            .map(|ledger| Arc::new(Receiver::new(trace.clone(), ledger, jobs.fork())));
        let host = |cluster, random, role| {
            let fsyncs = of_jobs.is_some_and(|of_jobs| of_jobs.fsyncs);
            let both = ledger.clone().zip(receiver.clone());
            let jobs = both.map(|(ledger, receiver)| {
                let pairs = PairFiles::new(fsyncs);
                HostJobs { ledger, random: jobs.fork(), pairs, receiver }
            });
            Host::new(cluster, network.clone(), (random, jobs), epoch, shape, role)
        };
        let this = Arc::new(OnceLock::new());
        let spread = match options.plans_at_once {
            true => Spread::AtOnce,
            false => membership::spread(&this),
        };
        let clusters = FixedGroup::start_with(shape.nodes, ring, spread);
        let first = clusters.first().cloned();
        let serves = |cluster| host(cluster, random.fork(), Role::Serves);
        let mut machines: Vec<Host> = clusters.into_iter().map(serves).collect();
        let replacement = Replacement::plan(later, &shape);
        if let (Some(first), Some(Replacement { new, .. })) = (first, replacement) {
            machines.push(host(first.newcomer(new), later.fork(), Role::Waits));
        }
        trace.note(shape.to_string());
        let world = Arc::new(Self {
            machines,
            replacement,
            ring,
            learning: Mutex::new(Learning::new(later.fork())),
            shape,
            trace,
            ledger,
            receiver,
            partitions,
            history: Mutex::default(),
            shared: Mutex::default(),
            datatypes: Mutex::default(),
            figures: Mutex::default(),
            gossip: Mutex::new(Gossip::new(random.fork())),
            fault_windows: Mutex::default(),
            copies: Mutex::default(),
            forgiven: AtomicBool::new(false),
            values: Mutex::new(1_000),
            pointed: Mutex::default(),
        });
        let _ = this.set(Arc::downgrade(&world));
        Ok(world)
    }

    /// All machines: also of nodes that are gone for good, and of one that is yet to come.
    pub(crate) fn machines(&self) -> &[Host] {
        &self.machines
    }

    /// The node that goes for good, and the one that comes in its stead.
    pub(crate) fn replacement(&self) -> Option<Replacement> {
        self.replacement
    }

    /// What happened so far, counted.
    pub(crate) fn figures(&self) -> Figures {
        *self.figures.lock()
    }

    /// Whether messages do not get from one node to another.
    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.partitions.is_cut(from, to)
    }

    /// The machines of members.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.machines.iter().filter(|host| host.role() == Role::Serves)
    }

    /// How many partitions the ring has.
    pub(crate) fn ring_size(&self) -> RingSize {
        self.ring
    }

    /// The metadata as they are decided, whoever knows it.
    pub(crate) fn decided(&self) -> Result<Arc<ClusterState>> {
        Ok(self.host(NodeId(1))?.cluster.decided())
    }

    pub(crate) fn host(&self, id: NodeId) -> Result<&Host> {
        let host = self.machines.iter().find(|host| host.id == id);
        host.ok_or_else(|| Error::internal(format!("there is no node {id}")))
    }

    /// The machine of the node that has a seat, or had it last.
    fn seated(&self, id: NodeId) -> Result<&Host> {
        self.hosts().find(|host| seat(host.id) == id).map_or_else(|| self.host(id), Ok)
    }

    /// A node that has not crashed.
    pub(crate) fn somebody(&self, random: &Random) -> Option<Arc<Life>> {
        random.choose(&self.hosts().collect::<Vec<_>>())?.life()
    }

    /// A node that has not crashed and owns a replica of an object.
    pub(crate) fn primary(&self, random: &Random, id: &ObjectId, n_val: u32) -> Option<Arc<Life>> {
        let lives: Vec<Arc<Life>> = self
            .primaries(id, n_val)
            .into_iter()
            .filter_map(|(_, node)| self.host(node).ok()?.life())
            .collect();
        random.choose(&lives).cloned()
    }

    /// The vnodes that hold an object, with their owners.
    pub(crate) fn primaries(&self, id: &ObjectId, n_val: u32) -> Vec<(Partition, NodeId)> {
        let Ok(state) = self.decided() else { return Vec::new() };
        let home = hash::home(state.plan.ring_size(), &id.bucket, &id.key);
        let list = PreferenceList::new(&state.plan, home, n_val, |_| true);
        list.primaries.into_iter().map(|entry| (entry.vnode, entry.node)).collect()
    }

    /// A value that was never written.
    pub(crate) fn next_value(&self, random: &Random) -> u64 {
        let mut values = self.values.lock();
        *values += random.within(1..1_000);
        *values
    }

    /// A write begins.
    pub(crate) fn begin(&self, key: &str, value: Option<u64>, life: &Life) {
        self.trace.note(format!("write {key} = {value:?} at {}", life.name()));
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

    /// A write or delete of a shared key begins, by somebody who has seen some values of it.
    pub(crate) fn begin_shared(
        &self,
        key: &str,
        value: u64,
        deletes: bool,
        seen: &Found,
        life: &Life,
    ) {
        let (seen, values) = (seen.clone(), seen.iter().map(|(value, _)| *value));
        let values: BTreeSet<u64> = values.collect();
        let (verb, node) = (if deletes { "delete" } else { "write" }, life.name());
        self.trace.note(format!("{verb} {key} = {value} at {node} in place of {values:?}"));
        self.shared.lock().begin(key, value, deletes, seen, self.trace.now());
    }

    /// It has ended.
    pub(crate) fn ended_shared(&self, key: &str, value: u64, acknowledged: bool) {
        let end = if acknowledged { "written" } else { "unknown" };
        self.trace.note(format!("{end} {key} = {value}"));
        if acknowledged {
            self.shared.lock().acknowledge(key, value, self.trace.now());
        }
        self.count(|figures| match acknowledged {
            true => figures.writes += 1,
            false => figures.failed_writes += 1,
        });
    }

    pub(crate) fn count(&self, how: impl FnOnce(&mut Figures)) {
        how(&mut self.figures.lock());
    }

    /// Looks at what was written to keys with one writer.
    pub(crate) fn look_back<T>(&self, how: impl FnOnce(&History) -> T) -> T {
        how(&self.history.lock())
    }

    /// Looks at what was written to shared keys.
    pub(crate) fn with_shared<T>(&self, how: impl FnOnce(&mut Shared) -> T) -> T {
        how(&mut self.shared.lock())
    }

    pub(crate) fn check(&self, how: impl FnOnce(&History) -> Vec<String>) {
        self.look_back(how).into_iter().for_each(|fault| self.trace.violation(fault));
    }

    pub(crate) fn check_shared(&self, how: impl FnOnce(&mut Shared) -> Vec<String>) {
        self.with_shared(how).into_iter().for_each(|fault| self.trace.violation(fault));
    }

    /// Looks at what was done to data types.
    pub(crate) fn with_datatypes<T>(&self, how: impl FnOnce(&mut DatatypeHistory) -> T) -> T {
        how(&mut self.datatypes.lock())
    }

    pub(crate) fn check_datatypes(&self, how: impl FnOnce(&mut DatatypeHistory) -> Vec<String>) {
        self.with_datatypes(how).into_iter().for_each(|fault| self.trace.violation(fault));
    }

    /// The object with a number points to a key.
    pub(crate) fn points_to(&self, number: u64, key: String) {
        self.pointed.lock().insert(number, key);
    }

    /// The keys that objects with some numbers point to.
    pub(crate) fn pointed(&self, wanted: impl Fn(u64) -> bool) -> BTreeSet<String> {
        let pointed = self.pointed.lock();
        pointed.iter().filter(|(number, _)| wanted(**number)).map(|(_, key)| key.clone()).collect()
    }

    /// More than any value that was written so far.
    pub(crate) fn values_so_far(&self) -> u64 {
        *self.values.lock() + 1
    }

    /// Some keys with one writer, a few more than once, and one that does not exist.
    pub(crate) fn some_keys(&self, random: &Random) -> BTreeMap<String, usize> {
        let all: Vec<String> = self.look_back(|history| history.keys().cloned().collect());
        let chosen = (0..random.within(1..limits::LISTED)).filter_map(|_| random.choose(&all));
        let mut times = BTreeMap::from([("nobody's".to_owned(), 1)]);
        for key in chosen {
            *times.entry(key.clone()).or_default() += 1;
        }
        times
    }

    /// Whether there was any fault since then.
    pub(crate) fn any_fault_since(&self, from: Moment) -> bool {
        self.fault_windows.lock().any_since(from)
    }

    /// See [`FaultWindows::others_alone`].
    pub(crate) fn others_alone(&self, asked: NodeId, from: Moment) -> bool {
        let slow = self.copies.lock().any_since(from.saturating_sub(limits::AFTERMATH_MICROS));
        !slow && self.fault_windows.lock().others_alone(seat(asked), from)
    }

    /// Whether messages go both ways between two nodes, and both run.
    pub(crate) fn hear_each_other(&self, one: NodeId, other: NodeId) -> bool {
        let runs = |id| self.host(id).ok().and_then(Host::life).is_some_and(|l| !l.is_paused());
        let cut = self.partitions.is_cut(one, other) || self.partitions.is_cut(other, one);
        runs(one) && runs(other) && !cut
    }

    /// Whether messages are lost and late.
    pub(crate) fn is_stormy(&self) -> bool {
        self.partitions.is_stormy()
    }

    /// Lets a fault happen, or end.
    pub(crate) async fn suffer(&self, event: Event) -> Result<()> {
        if !matches!(event, Event::CrashWriting(_)) {
            self.trace.note(format!("FAULT {event:?}"));
        }
        let now = self.trace.now();
        let one = |id: NodeId| BTreeSet::from([id]);
        if event.is_a_fault() {
            self.reconsider()?;
        }
        match event {
            Event::Crash(id) => self.crash(id)?,
            Event::CrashWriting(id) => {
                let host = self.seated(id)?;
                if host.life().is_some() {
                    host.disk.fail_at_next_write();
                    let _ = timeout(Duration::from_secs(1), host.disk.failed.notified()).await;
                }
                self.trace.note(format!("FAULT n{} crashes writing", id.0));
                self.crash(id)?;
            }
            Event::Restart(id) => {
                if self.seated(id)?.life().is_none() {
                    self.gossip.lock().forget(self.seated(id)?.id);
                    self.seated(id)?.start().await?;
                }
                self.fault_windows.lock().end(&one(id), now);
            }
            Event::Pause(id) => {
                self.fault_windows.lock().begin(one(id));
                self.count(|figures| figures.pauses += 1);
                self.seated(id)?.life().inspect(|life| life.pause());
            }
            Event::Resume(id) => {
                self.fault_windows.lock().end(&one(id), now);
                self.seated(id)?.life().inspect(|life| life.resume());
            }
            Event::Cut(cuts) => {
                self.fault_windows.lock().begin(self.concerned(&cuts));
                self.count(|figures| figures.partitions += 1);
                cuts.into_iter().for_each(|cut| self.partitions.cut(cut));
            }
            Event::Mend(cuts) => {
                self.fault_windows.lock().end(&self.concerned(&cuts), now);
                cuts.into_iter().for_each(|cut| self.partitions.mend(cut));
            }
            Event::StormBegins(storm) => {
                self.fault_windows.lock().begin(self.everybody());
                self.count(|figures| figures.storms += 1);
                self.partitions.begin_storm(storm);
            }
            Event::StormEnds(storm) => {
                self.fault_windows.lock().end(&self.everybody(), now);
                self.partitions.end_storm(storm);
            }
            Event::Copy(id) => {
                self.seated(id)?.make_copy()?;
                self.copies.lock().make(self.seated(id)?.id, now);
            }
            Event::PutBack(id) => {
                self.crash(id)?;
                self.put_back(id)?;
            }
            Event::Refuse(id) => {
                self.fault_windows.lock().begin(one(id));
                self.count(|figures| figures.refusals += 1);
                self.seated(id)?.disk.refuse();
            }
            Event::Read(id) => {
                self.fault_windows.lock().end(&one(id), now);
                self.seated(id)?.disk.heal();
            }
            Event::Repair(nodes) => {
                self.fault_windows.lock().begin(nodes.iter().copied().collect());
                self.count(|figures| figures.refusals += 1);
                for id in nodes {
                    let id = self.seated(id)?.id;
                    self.decide(Change::Lost { id }).await?;
                }
            }
            Event::Repaired(nodes) => {
                self.fault_windows.lock().end(&nodes.into_iter().collect(), now);
            }
            Event::Clock(id, by) => self.seated(id)?.set_clock(by),
        }
        Ok(())
    }

    fn crash(&self, id: NodeId) -> Result<()> {
        self.fault_windows.lock().begin(BTreeSet::from([id]));
        if let Some(lost) = self.seated(id)?.crash()? {
            self.trace.note(format!("n{} is down, {lost} unsynced writes lost", id.0));
            self.count(|figures| figures.crashes += 1);
        }
        Ok(())
    }

    /// Puts an older copy in place of what the disk of a crashed node holds: see [`Copies`].
    fn put_back(&self, id: NodeId) -> Result<()> {
        let host = self.seated(id)?;
        if !host.put_back() {
            return Ok(());
        }
        let (state, now) = (self.decided()?, self.trace.now());
        let since = self.copies.lock().put_back(host.id, &state, now);
        self.count(|figures| figures.copies += 1);
        self.trace.note(format!("n{} has what it had at {since}", host.id.0));
        if !self.is_alone(id) {
            self.forgive(since);
        }
        Ok(())
    }

    /// Whether nobody else was at fault lately, so that others have all that a node has lost.
    fn is_alone(&self, id: NodeId) -> bool {
        self.fault_windows.lock().alone(id, self.trace.now()) && self.shape.n_val > 1
    }

    /// A node is gone for good, with all that it had; another is to take its place.
    pub(crate) fn lose_for_good(&self, old: NodeId, new: NodeId) -> Result<()> {
        self.reconsider()?;
        self.crash(old)?;
        self.host(old)?.set_role(Role::Gone);
        self.copies.lock().replace(new, self.trace.now());
        if !self.is_alone(old) {
            self.forgive(0);
        }
        Ok(())
    }

    /// The other one has taken its place.
    pub(crate) fn replaced(&self, old: NodeId) {
        self.fault_windows.lock().end(&BTreeSet::from([old]), self.trace.now());
        self.count(|figures| figures.replacements += 1);
    }

    /// Another fault begins: what a node that went back has not been given again may be nowhere now.
    fn reconsider(&self) -> Result<()> {
        let unfilled = self.copies.lock().unfilled(&*self.decided()?);
        if let Some(since) = unfilled {
            self.forgive(since);
        }
        Ok(())
    }

    /// Nobody is held to what was acknowledged since then, or shortly before: stand-ins may have taken it,
    /// and handed it over later to a node that went back since.
    fn forgive(&self, since: Moment) {
        let since = since.saturating_sub(limits::AFTERMATH_MICROS);
        self.trace.note(format!("what was written since {since} may be lost"));
        self.forgiven.store(true, Ordering::Relaxed);
        self.history.lock().forgive(since);
        self.shared.lock().forgive(since);
        self.datatypes.lock().forgive(since);
    }

    /// Whether some of what was acknowledged may be lost.
    pub(crate) fn is_forgiven(&self) -> bool {
        self.forgiven.load(Ordering::Relaxed)
    }

    /// The nodes that cuts concern: the one that is cut off from all others. Where some still hear it,
    /// or it hears them, they tell each other contradictory things.
    fn concerned(&self, cuts: &[Cut]) -> BTreeSet<NodeId> {
        if cuts.iter().any(|cut| cut.one_way) || (cuts.len() as u64) + 1 < self.shape.nodes {
            return self.everybody();
        }
        cuts.iter().map(|cut| cut.one).collect()
    }

    fn everybody(&self) -> BTreeSet<NodeId> {
        (1..=self.shape.nodes).map(NodeId).collect()
    }
}
