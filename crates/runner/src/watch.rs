//! What a node does about the jobs of its cluster: it works on its own while it may, and takes those over
//! whose owners are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use mapring_cluster::{Change, JobKind, JobRecord, View};
use mapring_types::{Error, NodeId};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::configs::Configs;
use crate::lease::{Here, SilenceOf, majority};
use crate::live::{Live, Stop};
use crate::runner::Runner;
use crate::{life, limits, pipelines, rendezvous, start};

/// See the module: ends when the node stops.
pub(crate) async fn watch(runner: Arc<Runner>, configs: Configs) {
    let mut changes = runner.peers.cluster.changes();
    let mut stop = runner.stop.subscribe();
    let mut ticks = interval(limits::WATCH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch {
        runner: runner.clone(),
        configs,
        renewed: None,
        renewing: None,
        seen: BTreeMap::new(),
    };
    loop {
        let goes_on = tokio::select! {
            biased;
            () = stopped(&mut stop) => false,
            () = runner.wake.notified() => true,
            changed = changes.changed() => changed.is_ok(),
            _ = ticks.tick() => true,
        };
        let view = changes.borrow_and_update().clone();
        if !goes_on {
            return watch.leave_all();
        }
        watch.step(&view);
    }
}

async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // Without its sender the node is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

struct Watch {
    runner: Arc<Runner>,
    configs: Configs,
    /// When this node last began to tell the others that it is there.
    renewed: Option<Instant>,
    renewing: Option<JoinHandle<()>>,
    /// Since when this node knows that another has a job, and whether it is asking about it.
    seen: BTreeMap<(String, u64), Seen>,
}

struct Seen {
    since: Instant,
    taking: Option<JoinHandle<()>>,
}

impl Watch {
    fn step(&mut self, view: &Arc<View>) {
        let runner = self.runner.clone();
        runner.heard.keep(|node| view.state.members.contains_key(&node));
        let jobs = view.state.jobs.iter();
        let (own, others): (Vec<_>, Vec<_>) = jobs.partition(|(_, job)| job.owner == view.me);
        self.renew(view, !own.is_empty());
        let held = runner.lease.is_held();
        let mut live = runner.live.lock();
        for (id, job) in live.iter() {
            let present = view.state.jobs.get(id).filter(|present| is_same(present, &job.record));
            match present {
                Some(present) if held => {
                    if let Some(message) = start::is_aborting(present) {
                        job.stop(Stop::Abort(message.to_owned()));
                    }
                }
                // Those that are forgotten end by themselves.
                None if !view.state.jobs.contains_key(id) && held => {}
                _ => job.stop(Stop::Fenced),
            }
        }
        if held {
            for (id, job) in own {
                if !live.contains_key(id) {
                    let job = Live::new(id, job.clone());
                    live.insert(id.clone(), job.clone());
                    mapring_net::task::spawn(lived(runner.clone(), self.configs.clone(), job));
                }
            }
        }
        let running = u32::try_from(live.len()).unwrap_or(u32::MAX);
        drop(live);
        metrics::gauge!("mapring_jobs_owned").set(running);
        let waiting = u32::try_from(runner.slots.waiting()).unwrap_or(u32::MAX);
        metrics::gauge!("mapring_jobs_waiting").set(waiting);
        self.look_after(view, &others);
    }

    /// Tells the others that this node is there, while it has jobs.
    fn renew(&mut self, view: &Arc<View>, owns: bool) {
        let due = self.renewed.is_none_or(|renewed| renewed.elapsed() >= limits::RENEW);
        let under_way = self.renewing.as_ref().is_some_and(|renewing| !renewing.is_finished());
        // What is under way for longer than the next is due waits for nodes that are gone: what the
        // others said has counted already.
        if !owns || !(due || (!self.runner.lease.is_held() && !under_way)) {
            return;
        }
        self.renewed = Some(Instant::now());
        let (runner, view) = (self.runner.clone(), view.clone());
        self.renewing = Some(mapring_net::task::spawn(async move { renew(&runner, &view).await }));
    }

    /// Looks after jobs of others.
    fn look_after(&mut self, view: &Arc<View>, others: &[(&String, &JobRecord)]) {
        let mut before = std::mem::take(&mut self.seen);
        for (id, job) in others {
            let key = ((*id).clone(), job.epoch);
            let new = || Seen { since: Instant::now(), taking: None };
            let mut seen = before.remove(&key).unwrap_or_else(new);
            let up = view.up.iter().copied().filter(|node| *node != job.owner).collect();
            let rank = rendezvous::rank(id, &up, view.me);
            let patience = limits::SILENCE + limits::RANK_WAIT * rank.min(limits::MOST_RANKS);
            let silence = self.runner.heard.silence(job.owner).min(seen.since.elapsed());
            let under_way = seen.taking.as_ref().is_some_and(|taking| !taking.is_finished());
            let awaited = mapring_types::failpoint!(OwnerAwaited);
            if silence >= patience && !under_way && !awaited {
                let (runner, view) = (self.runner.clone(), view.clone());
                let (id, job) = ((*id).clone(), (*job).clone());
                let taking = async move { take_over(&runner, &view, &id, &job).await };
                seen.taking = Some(mapring_net::task::spawn(taking));
            }
            self.seen.insert(key, seen);
        }
    }

    /// Gives up all work: others take it over.
    fn leave_all(&self) {
        for job in self.runner.live.lock().values() {
            job.stop(Stop::Fenced);
        }
    }
}

fn is_same(present: &JobRecord, known: &JobRecord) -> bool {
    (present.owner, present.epoch) == (known.owner, known.epoch)
}

/// Works on a job until it has ended or is another's.
async fn lived(runner: Arc<Runner>, configs: Configs, job: Arc<Live>) {
    match job.record.kind {
        JobKind::Job => life::live(runner.clone(), job.clone()).await,
        JobKind::Pipeline => pipelines::live(runner.clone(), configs, job.clone()).await,
    }
    let mut live = runner.live.lock();
    if live.get(&job.id).is_some_and(|known| Arc::ptr_eq(known, &job)) {
        live.remove(&job.id);
    }
    drop(live);
    // Who follows it asks what has become of it.
    job.events.close();
    runner.left.notify_waiters();
}

/// Tells all members that this node is there. When a majority has noted it, it may go on with its jobs. Who
/// is no member any more may not.
async fn renew(runner: &Arc<Runner>, view: &View) {
    if !view.state.members.contains_key(&view.me) {
        return;
    }
    let (said, here) = (Instant::now(), Here(view.state.job_takes));
    let members = view.state.members.len();
    let others = view.state.members.keys().copied().filter(|node| *node != view.me);
    // It has noted it itself.
    let mut noted = 1;
    let mut asked: futures::stream::FuturesUnordered<_> =
        others.map(|node| runner.peers.ask(node, &here, limits::LEASE)).collect();
    loop {
        if noted >= majority(members) {
            if !runner.lease.is_held() {
                runner.wake.notify_one();
            }
            runner.lease.renew(said);
            // The rest is told as well, which is what they go by when this node is gone.
        }
        match futures::StreamExt::next(&mut asked).await {
            Some(Ok(())) => noted += 1,
            Some(Err(error)) => tracing::debug!(%error, "a member has not noted this node"),
            None => return,
        }
    }
}

/// Takes a job over if a majority of the members has heard nothing of its owner for long enough.
async fn take_over(runner: &Arc<Runner>, view: &View, id: &str, job: &JobRecord) {
    let members: Vec<NodeId> = view.state.members.keys().copied().collect();
    let asked = members.iter().copied().filter(|node| *node != view.me && *node != job.owner);
    let asked = asked.map(|node| async move {
        runner.peers.ask(node, &SilenceOf(job.owner), limits::SHOW_PATIENCE).await.unwrap_or(false)
    });
    let told = join_all(asked).await.into_iter().filter(|silent| *silent).count();
    let silent = told + usize::from(runner.heard.give_up(job.owner));
    if silent < majority(members.len()) {
        tracing::debug!(job = id, owner = %job.owner, silent, "a job's owner is not gone for all");
        return;
    }
    // As it was before they were asked: what they promised holds until one of them has it decided otherwise.
    let trusts = Some(view.state.job_trusts);
    let change = Change::TakeJob { id: id.to_owned(), epoch: job.epoch, owner: view.me, trusts };
    let decided = timeout(limits::SHOW_PATIENCE, runner.decide(change)).await;
    match decided.unwrap_or_else(|_| Err(Error::timeout("nothing was decided in time"))) {
        Ok(()) => {
            metrics::counter!("mapring_jobs_taken_total").increment(1);
            let from = runner.peers.name(job.owner);
            tracing::info!(job = id, from, epoch = job.epoch + 1, "a job is taken over");
        }
        Err(error) => tracing::debug!(%error, job = id, "a job is not taken over"),
    }
}
