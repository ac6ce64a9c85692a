//! Whether this node still has what it once stored, and what it serves while it has not.
//!
//! Four things can tell that it has not: the engine (see [`mapring_engine::Engine::loss`]); the
//! cluster's metadata, which gives the data directory a new number at every start, so that a copy of
//! an earlier time is known by its number; the other members, which remember how far its data was
//! (see `extent`); and an operator. A node that lacks something declares it
//! in the metadata, fills itself from the others (`repair`) and declares that too. Until then it
//! neither answers for the slices that are not filled yet nor coordinates their writes; it takes
//! what others write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use futures::future::join_all;
use mapring_cluster::{Change, Member, Outcome};
use mapring_engine::{Engine, Loss};
use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::versioned::Nothing;
use mapring_types::{Entropy, Error, ErrorKind, Result, Versioned};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::peer::extent::{Extent, Extents};
use crate::repair::{self, Progress, Source};
use crate::storage::placement::Awaited;
use crate::{Shared, limits};

/// See the module.
pub(crate) struct Integrity {
    /// Whether anything is missing.
    incomplete: AtomicBool,
    /// Whether the metadata was asked what it knows of the data here.
    tried: AtomicBool,
    opened: Instant,
    state: Mutex<State>,
    /// What has moved here and may not have arrived yet.
    pub(crate) awaited: Awaited,
    /// Brings the next look forward.
    pub(crate) wake: Notify,
    /// The state has changed.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The numbers of the data directory, to be confirmed; `None` once they are.
    numbers: Option<Numbers>,
    /// The loss that was declared last.
    declared: Option<Loss>,
    /// The number of losses that the filling is for.
    losses: u64,
    /// The incarnation that was found to have begun with an older state.
    older: Option<u64>,
    /// Whether the actors were given up since the metadata said so of this incarnation.
    gave_up: bool,
    /// Slices (vnode, home) that lack nothing any more.
    filled: BTreeSet<(Partition, Partition)>,
    /// Slices that were brought together with some other replicas, where too few answer to say that
    /// they lack nothing: with which.
    partly: BTreeMap<(Partition, Partition), Vec<Source>>,
    progress: Progress,
}

/// The numbers that the data directory may have had last in the metadata, and its next.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    known: Vec<u64>,
    next: u64,
}

/// The name of the engine's meta value with the numbers.
const NAME: &str = "kv-start";
/// What lies there.
pub(crate) struct Stored(pub(crate) Vec<u64>);

impl Versioned for Stored {
    const WHAT: &'static str = "the number of the data directory";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        let (numbers, rest) = body.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Error::corrupt("the number of the data directory is damaged"));
        }
        Ok(Self(numbers.iter().map(|number| u64::from_be_bytes(*number)).collect()))
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl Stored {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let bytes = self.0.iter().flat_map(|number| number.to_be_bytes());
        [Self::VERSION].into_iter().chain(bytes).collect()
    }
}

impl Numbers {
    /// Reads the numbers and notes the next one. Blocks.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn take(engine: &dyn Engine, entropy: &dyn Entropy) -> Result<Self> {
        let stored = engine.meta(NAME).and_then(|value| match value {
            // 0 is a directory that never had one.
            None => Ok(vec![0]),
            Some(value) => Ok(Stored::decode(&value)?.0),
        });
        let mut known = match stored {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "the number of the data directory is not known");
                Vec::new()
            }
        };
        let next = entropy.next_u64().max(1);
        if known.len() >= limits::UNCONFIRMED_STARTS {
            known.remove(1);
        }
        let numbers = Self { known, next };
        engine.set_meta(NAME, &Stored([&numbers.known[..], &[next]].concat()).encode())?;
        Ok(numbers)
    }

    fn confirm(&self, engine: &dyn Engine) -> Result<()> {
        engine.set_meta(NAME, &Stored(vec![self.next]).encode())
    }
}

impl Integrity {
    /// `incomplete`: what is missing is known already.
    pub(crate) fn new(numbers: Numbers, incomplete: bool, awaited: Awaited) -> Self {
        let state = State { numbers: Some(numbers), ..State::default() };
        Self {
            incomplete: AtomicBool::new(incomplete),
            tried: AtomicBool::new(false),
            opened: Instant::now(),
            state: Mutex::new(state),
            awaited,
            wake: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// Whether anything is missing here.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Acquire)
    }

    /// Refuses to answer for a slice that may lack something.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) fn admit(&self, vnode: Partition, home: Partition) -> Result<()> {
        if !self.tried.load(Ordering::Acquire) {
            return Err(Error::unavailable("this node has just started"));
        }
        self.awaited.admit(vnode, home)?;
        if !self.is_incomplete() || self.is_filled(vnode, home) {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "vnode {vnode} has lost data and is not yet filled again for partition {home}"
        )))
    }

    /// Whether the metadata and the others were asked what they know of the data here.
    pub(crate) fn is_tried(&self) -> bool {
        self.tried.load(Ordering::Acquire)
    }

    /// Returns when the metadata was asked what it knows of the data here, or could not be.
    pub(crate) async fn tried(&self) {
        loop {
            let changed = self.changed.notified();
            if self.tried.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }

    fn set_tried(&self) {
        self.tried.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn set_incomplete(&self, incomplete: bool) {
        if self.incomplete.swap(incomplete, Ordering::AcqRel) != incomplete {
            self.empty();
            metrics::gauge!("mapring_kv_incomplete").set(if incomplete { 1.0 } else { 0.0 });
        }
    }

    /// Nothing counts as filled any more.
    pub(crate) fn empty(&self) {
        let mut state = self.state.lock();
        state.filled.clear();
        state.partly.clear();
    }

    /// What follows fills up what was missing after so many losses: of fewer nothing counts.
    pub(crate) fn begin(&self, losses: u64) {
        let mut state = self.state.lock();
        if state.losses != losses {
            state.losses = losses;
            state.filled.clear();
            state.partly.clear();
            state.progress = Progress { lost: state.progress.lost.take(), ..Progress::default() };
        }
    }

    /// Notes that a slice lacks nothing any more.
    pub(crate) fn fill(&self, vnode: Partition, home: Partition) {
        self.state.lock().filled.insert((vnode, home));
    }

    /// Notes with which replicas a slice was brought together that may still lack something.
    pub(crate) fn fill_partly(&self, vnode: Partition, home: Partition, with: Vec<Source>) {
        self.state.lock().partly.insert((vnode, home), with);
    }

    /// Whether a slice was brought together with these replicas.
    pub(crate) fn is_partly_filled(
        &self,
        vnode: Partition,
        home: Partition,
        with: &[Source],
    ) -> bool {
        self.state.lock().partly.get(&(vnode, home)).is_some_and(|known| known == with)
    }

    /// Whether a slice lacks nothing any more.
    pub(crate) fn is_filled(&self, vnode: Partition, home: Partition) -> bool {
        self.state.lock().filled.contains(&(vnode, home))
    }

    /// Changes what is told of the filling.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.state.lock().progress);
    }

    /// What is told of the filling.
    pub(crate) fn progress(&self) -> Progress {
        self.state.lock().progress.clone()
    }
}

/// The background task.
pub(crate) async fn run(shared: Weak<Shared>) {
    let Some(mut changes) = shared.upgrade().map(|shared| shared.parts.cluster.changes()) else {
        return;
    };
    let mut told = String::new();
    loop {
        let failed;
        {
            let Some(shared) = shared.upgrade() else { return };
            if shared.stopping() {
                return;
            }
            changes.borrow_and_update();
            let engine = shared.parts.engine.clone();
            match shared.vnodes.run(move |_| engine.reopen()).await {
                Err(error) if error.kind() == ErrorKind::Storage => {
                    tracing::warn!(%error, "the storage still fails");
                }
                _ => {}
            }
            if let Err(error) = shared.vnodes.raise_release().await {
                tracing::warn!(%error, "the release of the formats is raised later");
            }
            let integrity = &shared.integrity;
            let done = round(&shared).await;
            failed = done.is_err();
            if !failed {
                told.clear();
            }
            if let Err(error) = done {
                let why = error.to_string();
                if why != told {
                    tracing::info!(%error, "the data of this node is not confirmed or filled yet");
                    told = why;
                }
                integrity.report(|progress| progress.waits_for = Some(error.to_string()));
                // Without the metadata it serves what it has, with new actors.
                if integrity.opened.elapsed() >= limits::CONFIRM_PATIENCE {
                    integrity.set_tried();
                }
            }
        }
        let Some(integrity) = shared.upgrade().map(|shared| shared.integrity.clone()) else {
            return;
        };
        let tried = integrity.tried.load(Ordering::Acquire);
        if failed || !tried {
            // Not sooner when the view changes: what it proposes, and who is asked and refuses, are
            // changes of the view.
            sleep(limits::CONFIRM_TICK).await;
        }
        if !tried {
            continue;
        }
        let changed = async {
            if changes.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            () = integrity.wake.notified() => {}
            () = changed => {}
            () = sleep(limits::INTEGRITY_TICK) => {}
        }
    }
}

fn own(shared: &Shared) -> Option<Member> {
    shared.parts.cluster.view().state.members.get(&shared.me).cloned()
}

/// One look at what is missing; fills it.
///
/// # Errors
/// What keeps it from being declared or filled.
pub(crate) async fn round(shared: &Arc<Shared>) -> Result<()> {
    let integrity = &shared.integrity;
    if own(shared).is_none() {
        return Ok(());
    }
    confirm(shared).await?;
    accuse(shared).await?;
    let loss = shared.parts.engine.loss();
    let declared = integrity.state.lock().declared.clone();
    if let Some(loss) = loss.as_ref().filter(|loss| declared.as_ref() != Some(loss)) {
        integrity.set_incomplete(true);
        integrity.empty();
        integrity.report(|progress| progress.lost = Some(loss.what.clone()));
        declare(shared).await?;
        integrity.state.lock().declared = Some(loss.clone());
    }
    let Some(member) = own(shared) else { return Ok(()) };
    if !member.incomplete {
        // Before there is data nothing is lost.
        return settle(shared, loss).await;
    }
    integrity.set_incomplete(true);
    let went_back = shared.parts.cluster.view().state.went_back.get(&shared.me).copied();
    if went_back == Some(shared.vnodes.in_flight().incarnation()) && !integrity.state.lock().gave_up
    {
        // Another member may have found it.
        give_actors_up(shared).await?;
        integrity.state.lock().gave_up = true;
    }
    integrity.begin(member.losses);
    integrity.set_tried();
    repair::fill(shared, member.losses).await?;
    propose(shared, Change::Filled { id: shared.me, losses: member.losses }).await?;
    tracing::info!("everything that was missing here has been filled again");
    shared.vnodes.run(|core| Extents::prove(&*core.engine)).await?;
    settle(shared, loss).await
}

/// Nothing is missing any more, unless something else has been lost meanwhile.
async fn settle(shared: &Arc<Shared>, filled: Option<Loss>) -> Result<()> {
    let integrity = &shared.integrity;
    let whole = match shared.parts.engine.loss() {
        None => true,
        Some(now) if Some(&now) == filled.as_ref() => {
            let engine = shared.parts.engine.clone();
            shared.vnodes.run(move |_| engine.clear_loss(&now)).await?
        }
        Some(_) => false,
    };
    let said = shared.parts.cluster.view().state.went_back.get(&shared.me).copied();
    let undeclared = integrity
        .state
        .lock()
        .older
        .is_some_and(|incarnation| said.is_none_or(|s| s < incarnation));
    if whole && !undeclared && own(shared).is_some_and(|member| !member.incomplete) {
        integrity.set_incomplete(false);
        integrity.report(|progress| (progress.lost, progress.waits_for) = (None, None));
    } else {
        integrity.wake.notify_one();
    }
    integrity.set_tried();
    Ok(())
}

/// Has the metadata and the other members confirm that the data directory is the one of the last
/// start, with all that it had.
async fn confirm(shared: &Arc<Shared>) -> Result<()> {
    let Some(numbers) = shared.integrity.state.lock().numbers.clone() else { return Ok(()) };
    let Numbers { known, next } = numbers.clone();
    let change = Change::Start { id: shared.me, known, next };
    let refused = match shared.parts.cluster.propose(change).await? {
        Outcome::Applied => None,
        Outcome::Refused(why) => Some(why),
    };
    let past = match &refused {
        Some(why) => Past::Older(why.clone()),
        None => remembered(shared).await?,
    };
    match past {
        Past::Same { all_say_so } => {
            let confirmed = numbers.clone();
            shared
                .vnodes
                .run(move |core| {
                    confirmed.confirm(&*core.engine)?;
                    // Who does not answer may remember more: then no dot of before is gone on from.
                    if all_say_so {
                        core.actors.confirm();
                        Extents::prove(&*core.engine)?;
                    }
                    Ok(())
                })
                .await?;
        }
        Past::Older(why) => {
            go_back(shared, &why).await?;
            if refused.is_some() {
                // Declared, it is used on as it is.
                let start = own(shared).map_or(0, |member| member.start);
                let change = Change::Start { id: shared.me, known: vec![start], next };
                propose(shared, change).await?;
            }
            let confirmed = numbers.clone();
            shared.vnodes.run(move |core| confirmed.confirm(&*core.engine)).await?;
        }
    }
    shared.integrity.state.lock().numbers = None;
    Ok(())
}

/// What the other members remember of the data here.
enum Past {
    /// No more than it is; whether all of them say so.
    Same { all_say_so: bool },
    /// More, for this reason.
    Older(String),
}

/// Asks the other members how far they remember the data here to have been.
///
/// # Errors
/// `Unavailable` when one did not answer, for a while after the start: it may just be starting too.
async fn remembered(shared: &Arc<Shared>) -> Result<Past> {
    // Whether they are up is not known yet.
    let members = shared.parts.cluster.view().state.members.clone();
    let others = members.into_keys().filter(|node| *node != shared.me);
    let asked = others.map(|node| async move {
        let report = shared.staleness_of(node, Class::Foreground, limits::PROBE_PATIENCE).await;
        (node, report)
    });
    let (mut older, mut silent) = (None, None);
    for (node, report) in join_all(asked).await {
        match report {
            Ok(report) => {
                if let Some(why) = report.yours.and_then(|yours| shared.is_less_than(&yours)) {
                    older = Some(format!("{} remembers that {why}", shared.name(node)));
                }
            }
            Err(error) => silent = Some(error.context(shared.name(node))),
        }
    }
    match (older, silent) {
        (Some(why), _) => Ok(Past::Older(why)),
        (None, Some(error)) if shared.integrity.opened.elapsed() < limits::RECALL_PATIENCE => {
            Err(error)
        }
        (None, silent) => Ok(Past::Same { all_say_so: silent.is_none() }),
    }
}

impl Shared {
    /// Why this node began with less than another member remembers of it.
    pub(crate) fn is_less_than(&self, remembered: &Extent) -> Option<String> {
        let in_flight = self.vnodes.in_flight();
        let opened = Extent { incarnation: in_flight.incarnation(), ..self.extents.opened() };
        let why = remembered.beyond(&opened)?;
        if remembered.incarnation > opened.incarnation {
            in_flight.raise_incarnation(remembered.incarnation);
        }
        Some(why)
    }
}

/// Declares that this incarnation has begun with an older state of the data. Nothing is served any
/// more that is not filled again.
pub(crate) async fn go_back(shared: &Shared, why: &str) -> Result<()> {
    tracing::error!(why, "the data directory is a copy of an earlier time");
    let incarnation = shared.vnodes.in_flight().incarnation();
    shared.integrity.state.lock().older = Some(incarnation);
    shared.integrity.set_incomplete(true);
    give_actors_up(shared).await?;
    let lost = format!("the data directory is a copy of an earlier time: {why}");
    shared.integrity.report(|progress| progress.lost = Some(lost));
    seal(shared).await?;
    propose(shared, Change::WentBack { id: shared.me, run: incarnation }).await
}

/// What the actors of this node stamped last may not lie here any more.
async fn give_actors_up(shared: &Shared) -> Result<()> {
    let ring_size = shared.parts.cluster.view().plan().ring_size();
    shared.vnodes.run(move |core| core.actors.retire_all(ring_size)).await
}

/// Declares of others what was found of them: they may not have been told.
async fn accuse(shared: &Shared) -> Result<()> {
    let view = shared.parts.cluster.view();
    let said = |node| view.state.went_back.get(&node).copied().unwrap_or_default();
    for (id, incarnation) in shared.extents.went_back(said) {
        if view.state.members.contains_key(&id) {
            propose(shared, Change::WentBack { id, run: incarnation }).await?;
        }
    }
    Ok(())
}

async fn declare(shared: &Shared) -> Result<()> {
    seal(shared).await?;
    propose(shared, Change::Lost { id: shared.me }).await
}

/// Where there is data the metadata has to know so, also when it is itself of an earlier time: else
/// nothing would count as lost.
pub(crate) async fn seal(shared: &Shared) -> Result<()> {
    if shared.parts.cluster.view().state.sealed {
        return Ok(());
    }
    let engine = shared.parts.engine.clone();
    let has_data =
        |engine: &dyn Engine| engine.vnodes().into_iter().any(crate::storage::apart::is_vnode);
    if shared.vnodes.run(move |_| Ok(has_data(&*engine))).await? {
        propose(shared, Change::Seal).await?;
    }
    Ok(())
}

/// Has a change decided.
///
/// # Errors
/// As [`mapring_cluster::Cluster::propose`]; `Invalid` when it is refused.
pub(crate) async fn propose(shared: &Shared, change: Change) -> Result<()> {
    match shared.parts.cluster.propose(change).await? {
        Outcome::Applied => Ok(()),
        Outcome::Refused(why) => Err(Error::invalid(why)),
    }
}
