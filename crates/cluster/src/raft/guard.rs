//! Stands between raft and the network: what each message tells of who has come how far goes into
//! the [`Memory`], and what a node must not do that has forgotten something is not done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapring_types::{Error, NodeId, Result};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::files::{self, Mark};
use super::log::{LogStore, to_json};
use super::machine::Machine;
use super::memory::{Floor, Letter, Memory, Position, Refusal, Report, Told};
use super::network::Directory;
use super::{LogId, TypeConfig, Vote, blocking};
use crate::limits;

const MEMORY_MARK: Mark = *b"mrmm";

/// One node's guard.
pub(crate) struct Guard {
    me: u64,
    life: u64,
    log: LogStore,
    machine: Machine,
    directory: Arc<dyn Directory>,
    path: PathBuf,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    memory: Memory,
    /// Whether the memory is not yet in the file.
    unsaved: bool,
    reports: BTreeMap<u64, Report>,
    group: Group,
    /// Whether the others have been asked how far this node once was.
    settled: bool,
    leads: bool,
    /// Whether it has been elected, whoever has answered since.
    is_elected: bool,
    led_by: Option<(u64, Instant)>,
    /// Nodes that have applied something else, and at which entry that was seen.
    differs: BTreeMap<u64, u64>,
}

/// The nodes of the metadata group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) nodes: BTreeSet<u64>,
    pub(crate) voters: BTreeSet<u64>,
}

/// What the guard knows, for humans.
#[derive(Debug, Clone, Default)]
pub(crate) struct GuardStatus {
    /// By node, this one among them.
    pub(crate) reports: BTreeMap<u64, Report>,
    /// What is remembered of others.
    pub(crate) remembered: BTreeMap<u64, Position>,
    pub(crate) differs: BTreeMap<u64, u64>,
    pub(crate) has_leader: bool,
}

/// Something to be logged, when no lock is held.
enum News {
    Behind(Floor, Position),
    CaughtUp(Floor),
    Differs(u64, u64),
    Agrees(u64),
}

impl Guard {
    /// Opens the memory in `directory`, which must exist.
    ///
    /// # Errors
    /// `Corrupt` or `Storage`, naming the file.
    pub(crate) fn open(
        directory: &Path,
        (me, life): (u64, u64),
        (log, machine): (LogStore, Machine),
        names: Arc<dyn Directory>,
    ) -> Result<Self> {
        let path = directory.join("memory");
        let memory = match files::read(&path, MEMORY_MARK)? {
            None => Memory::default(),
            Some(content) => serde_json::from_slice(&content).map_err(|error| {
                Error::corrupt(format!("the file {} is damaged", path.display())).with_source(error)
            })?,
        };
        let inner = Mutex::new(Inner { memory, ..Inner::default() });
        let changes = watch::Sender::new(0);
        Ok(Self { me, life, log, machine, directory: names, path, inner, changes })
    }

    /// Tells whenever something has changed that matters to elections or is to be saved.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes who is in the group.
    pub(crate) fn set_group(&self, group: Group) {
        let mut inner = self.inner.lock();
        if inner.group == group || group.nodes.is_empty() {
            return;
        }
        let Inner { memory, reports, differs, .. } = &mut *inner;
        let forgotten = memory.keep(&group.nodes);
        reports.retain(|node, _| group.nodes.contains(node));
        differs.retain(|node, _| group.nodes.contains(node));
        set_gauge(differs);
        inner.unsaved |= forgotten;
        inner.group = group;
    }

    /// Whom to ask how far this node once was: other nodes of the group, voters first.
    pub(crate) fn consulted(&self) -> Vec<NodeId> {
        let inner = self.inner.lock();
        let Group { nodes, voters } = &inner.group;
        let all = voters.iter().chain(nodes.difference(voters));
        all.filter(|node| **node != self.me)
            .take(limits::TOLD_NODES)
            .map(|id| NodeId(*id))
            .collect()
    }

    /// Takes that the others have been asked.
    pub(crate) fn settle(&self) {
        self.inner.lock().settled = true;
        self.changed();
    }

    /// Takes whether this node is elected, and whether a majority has answered it lately.
    pub(crate) fn set_leads(&self, is_elected: bool, leads: bool) {
        let mut inner = self.inner.lock();
        (inner.is_elected, inner.leads) = (is_elected, leads);
    }

    /// Whether there seems to be a leader that works.
    pub(crate) fn has_leader(&self) -> bool {
        self.inner.lock().has_leader()
    }

    /// Whether this node may stand for election.
    pub(crate) fn may_stand(&self) -> bool {
        let inner = self.inner.lock();
        inner.settled && inner.memory.floor().is_none()
    }

    /// The vote that this node has given and forgotten, if it must be given again.
    pub(crate) fn forgotten_vote(&self) -> Option<VoteRequest<u64>> {
        let floor = self.inner.lock().memory.floor()?.position;
        let (given, own) = (floor.vote?, self.log.position());
        let vote = Vote::new(given.term, given.node_id);
        (Some(given) > own.vote).then(|| VoteRequest::new(vote, floor.log.max(own.log)))
    }

    pub(crate) fn status(&self) -> GuardStatus {
        let mine = self.report(&self.inner.lock());
        let inner = self.inner.lock();
        let mut reports = inner.reports.clone();
        reports.insert(self.me, mine);
        GuardStatus {
            remembered: inner.memory.part(inner.group.nodes.iter().copied()),
            differs: inner.differs.clone(),
            has_leader: inner.has_leader(),
            reports,
        }
    }

    /// What this node says of itself.
    pub(crate) fn mine(&self) -> Report {
        self.report(&self.inner.lock())
    }

    fn report(&self, inner: &Inner) -> Report {
        let applied = self.machine.applied();
        Report {
            life: self.life,
            position: self.log.position(),
            floor: inner.memory.floor().cloned(),
            leads: inner.leads,
            led: inner.is_elected || inner.has_leader(),
            applied: applied.id.map_or(0, |id| id.index),
            hash: applied.hash,
        }
    }

    /// What goes with a message to a node. What the voters have said goes along if it is to be
    /// `full`, and always from a leader.
    pub(crate) fn letter(&self, to: u64, full: bool) -> Letter {
        let inner = self.inner.lock();
        let voters = &inner.group.voters;
        let told = voters.iter().copied().take(limits::TOLD_NODES - 1);
        let reports =
            inner.reports.iter().filter(|(node, _)| voters.contains(node) && **node != to);
        let reports =
            reports.take(limits::TOLD_NODES).map(|(node, report)| (*node, report.clone()));
        Letter {
            mine: self.report(&inner),
            remembered: inner.memory.part(told.chain([to])),
            reports: if full || inner.leads { reports.collect() } else { BTreeMap::new() },
        }
    }

    /// Takes what came with a message from a node.
    pub(crate) fn take(&self, from: u64, letter: Letter) {
        let (own, applied) = (self.log.position(), self.machine.applied());
        let mut news = Vec::new();
        let mut is_changed = false;
        let mut inner = self.inner.lock();
        let told = letter.reports.into_iter().filter(|(node, _)| *node != from);
        for (node, report) in told.take(limits::TOLD_NODES).chain([(from, letter.mine)]) {
            if node != self.me {
                is_changed |= self.hear(&mut inner, node, report, applied.id, &mut news);
            }
        }
        for (node, past) in letter.remembered.into_iter().take(limits::TOLD_NODES) {
            if node != self.me {
                is_changed |= inner.memory.learn(node, past);
            } else if inner.memory.told(from, past, own) == Told::Floor {
                let floor = inner.memory.floor().cloned().unwrap_or_default();
                news.push(News::Behind(floor, own));
            }
        }
        news.extend(inner.memory.reached(own).map(News::CaughtUp));
        let is_floor = |item: &News| matches!(item, News::Behind(..) | News::CaughtUp(_));
        is_changed |= news.iter().any(is_floor);
        inner.unsaved |= is_changed;
        drop(inner);
        self.tell(news, is_changed);
    }

    /// Takes what a node says of itself. Returns whether there is something new to remember.
    fn hear(
        &self,
        inner: &mut Inner,
        node: u64,
        report: Report,
        decided: Option<LogId>,
        news: &mut Vec<News>,
    ) -> bool {
        // Whose log ends at or after an entry that is decided has it: so what is remembered is had
        // by a majority, and no node waits for entries that were never decided.
        let log = report.position.log.min(decided);
        let position = Position { vote: report.position.vote, log };
        let is_new = inner.memory.learn(node, position);
        if let Some(hash) = &report.hash {
            match self.machine.agrees(report.applied, hash) {
                Some(false) if !inner.differs.contains_key(&node) => {
                    inner.differs.insert(node, report.applied);
                    news.push(News::Differs(node, report.applied));
                }
                Some(true) if inner.differs.remove(&node).is_some() => {
                    news.push(News::Agrees(node));
                }
                _ => {}
            }
            set_gauge(&inner.differs);
        }
        if inner.reports.len() < limits::MEMBERS || inner.reports.contains_key(&node) {
            inner.reports.insert(node, report);
        }
        is_new
    }

    /// Looks whether the own floor is reached.
    pub(crate) fn review(&self) {
        let own = self.log.position();
        let mut inner = self.inner.lock();
        let Some(floor) = inner.memory.reached(own) else { return };
        inner.unsaved = true;
        drop(inner);
        self.tell(vec![News::CaughtUp(floor)], true);
    }

    /// Why a candidate must not have this node's vote: it has forgotten something. To be asked
    /// before [`Guard::take`] of the letter that came with the request; `life` is the one in it.
    pub(crate) fn distrust(
        &self,
        from: u64,
        life: u64,
        request: &VoteRequest<u64>,
    ) -> Option<Refusal> {
        let inner = self.inner.lock();
        let heard = inner.reports.get(&from).filter(|report| report.life == life);
        let same_life = heard.map(|report| report.position).unwrap_or_default();
        inner.memory.distrust(from, request, same_life)
    }

    /// Why this node does not vote for a candidate: it has forgotten something itself. To be asked
    /// after [`Guard::take`]: what it is told of its past comes with the request.
    pub(crate) fn abstention(&self, request: &VoteRequest<u64>) -> Option<Refusal> {
        self.inner.lock().memory.abstention(request)
    }

    /// The answer to a candidate that does not get this node's vote, whatever raft would say.
    pub(crate) fn refusal(&self, from: u64, refusal: Refusal, vote: Vote) -> VoteResponse<u64> {
        let floor = self.inner.lock().memory.floor().and_then(|floor| floor.position.log);
        tracing::info!(candidate = %self.name(from), ?refusal, "a candidate does not get the vote");
        VoteResponse::new(vote, self.log.position().log.max(floor), false)
    }

    /// The answer to a leader that must not be followed: this node has voted for a later one.
    pub(crate) fn refuse_leader(&self, vote: &Vote) -> Option<AppendEntriesResponse<u64>> {
        let given = self.inner.lock().memory.forbids(vote)?;
        Some(AppendEntriesResponse::HigherVote(Vote::new(given.term, given.node_id)))
    }

    /// Whether messages of raft can be answered at all, and those of this leader.
    ///
    /// # Errors
    /// `Unavailable` before the others have been asked how far this node once was, and when the
    /// leader's history is another one than this node has applied: raft would take them for one.
    pub(crate) fn admit(
        &self,
        from: u64,
        request: Option<&AppendEntriesRequest<TypeConfig>>,
    ) -> Result<()> {
        if !self.inner.lock().settled {
            return Err(Error::unavailable("this node has just started"));
        }
        let Some(prev) = request.and_then(|request| request.prev_log_id) else { return Ok(()) };
        let is_applied = self.machine.applied().id.is_some_and(|id| prev.index <= id.index);
        let differs = is_applied && self.log.id_at(prev.index).is_some_and(|id| id != prev);
        if !differs {
            return Ok(());
        }
        let mut inner = self.inner.lock();
        let is_new = inner.differs.insert(from, prev.index).is_none();
        set_gauge(&inner.differs);
        drop(inner);
        if is_new {
            self.tell(vec![News::Differs(from, prev.index)], false);
        }
        let index = prev.index;
        Err(Error::unavailable(format!("entry {index} of the metadata log is another one here")))
    }

    /// Takes that a leader has been heard.
    pub(crate) fn led_by(&self, leader: u64) {
        self.inner.lock().led_by = Some((leader, Instant::now()));
    }

    /// Writes what is remembered to the file, if it has changed.
    pub(crate) async fn save(&self) -> Result<()> {
        let memory = {
            let mut inner = self.inner.lock();
            if !std::mem::take(&mut inner.unsaved) {
                return Ok(());
            }
            inner.memory.clone()
        };
        let path = self.path.clone();
        let saved = blocking(move || files::replace(&path, MEMORY_MARK, &to_json(&memory)?)).await;
        if saved.is_err() {
            self.inner.lock().unsaved = true;
        }
        saved
    }

    /// The name of a node, for logs.
    pub(crate) fn name(&self, node: u64) -> String {
        let node = NodeId(node);
        self.directory.name(node).unwrap_or_else(|| node.to_string())
    }

    fn changed(&self) {
        self.changes.send_modify(|revision| *revision = revision.wrapping_add(1));
    }

    fn tell(&self, news: Vec<News>, is_changed: bool) {
        if is_changed {
            self.changed();
        }
        let me = self.name(self.me);
        for item in news {
            match item {
                News::Behind(floor, own) => {
                    let by: Vec<String> = floor.by.iter().map(|node| self.name(*node)).collect();
                    let (is, was) = (own.log, floor.position.log);
                    tracing::warn!(
                        node = %me, remembered_by = %by.join(", "),
                        log_ends_at = is.map_or(0, |id| id.index),
                        it_once_ended_at = was.map_or(0, |id| id.index),
                        voted_in_term = floor.position.vote.map_or(0, |vote| vote.term),
                        "this node is behind its own past: its data directory is of an earlier time; \
                         it does not lead until it has been filled again"
                    );
                }
                News::CaughtUp(floor) => tracing::info!(
                    node = %me, index = floor.position.log.map_or(0, |id| id.index),
                    "this node has what it once had of the metadata again"
                ),
                News::Differs(node, index) => tracing::error!(
                    node = %me, other = %self.name(node), index,
                    "THE METADATA DIFFERS: these two nodes have applied different decisions up to \
                     this entry; see \"When the metadata differs\" in the operations manual"
                ),
                News::Agrees(node) => tracing::info!(
                    node = %me, other = %self.name(node), "the metadata of these nodes agrees again"
                ),
            }
        }
    }
}

impl Inner {
    fn has_leader(&self) -> bool {
        let heard = self.led_by.is_some_and(|(_, at)| at.elapsed() < limits::LEADER_SILENT);
        self.leads || heard
    }
}

fn set_gauge(differs: &BTreeMap<u64, u64>) {
    metrics::gauge!("mapring_cluster_diverged_nodes").set(differs.len() as f64);
}

#[cfg(test)]
mod tests {
    use mapring_ring::RingSize;
    use openraft::CommittedLeaderId;

    use super::*;
    use crate::ClusterState;
    use crate::raft::machine::Observer;

    struct Nobody;

    impl Observer for Nobody {
        fn applied(&self, _state: &Arc<ClusterState>, _index: u64) {}
    }

    impl Directory for Nobody {
        fn address(&self, _node: NodeId) -> Option<String> {
            None
        }

        fn name(&self, _node: NodeId) -> Option<String> {
            None
        }

        fn answered(&self, _node: NodeId) {}
    }

    /// The guard of node 1, in a group with 2 and 3.
    fn guard(directory: &Path) -> Guard {
        let state = ClusterState::new("c", RingSize::new(8).unwrap());
        let machine = Machine::open(directory, state, Arc::new(Nobody)).unwrap();
        let log = LogStore::open(directory).unwrap();
        let guard = Guard::open(directory, (1, 7), (log, machine), Arc::new(Nobody)).unwrap();
        let nodes: BTreeSet<u64> = [1, 2, 3].into();
        guard.set_group(Group { voters: nodes.clone(), nodes });
        guard
    }

    fn position(term: u64, index: u64) -> Position {
        let ballot = CommittedLeaderId::new(term, 2);
        Position { vote: Some(ballot), log: Some(LogId::new(ballot, index)) }
    }

    fn letter(of_one: Option<Position>) -> Letter {
        let mine = Report { life: 1, position: position(4, 50), ..Report::default() };
        let remembered = of_one.into_iter().map(|position| (1, position)).collect();
        Letter { mine, remembered, reports: BTreeMap::new() }
    }

    #[tokio::test]
    async fn what_a_node_is_told_of_its_past_survives_its_restart() {
        let directory = tempfile::tempdir().unwrap();
        let first = guard(directory.path());
        assert!(!first.may_stand(), "it has not asked yet");
        first.settle();
        assert!(first.may_stand());
        first.take(2, letter(None));
        assert!(first.may_stand());
        first.take(2, letter(Some(position(4, 60))));
        assert!(!first.may_stand());
        let request = first.forgotten_vote().unwrap();
        assert_eq!(request.vote, Vote::new(4, 2));
        first.save().await.unwrap();
        // Heartbeats without news write nothing.
        first.take(2, letter(Some(position(4, 60))));
        assert!(!first.inner.lock().unsaved);

        let again = guard(directory.path());
        again.settle();
        assert!(!again.may_stand());
        let short = VoteRequest::new(Vote::new(9, 3), position(4, 59).log);
        assert_eq!(again.abstention(&short), Some(Refusal::BelowFloor));
        // The vote of the other was kept as well; of its log nothing, since nothing is decided here.
        let old = VoteRequest::new(Vote::new(4, 2), position(4, 70).log);
        assert_eq!(again.distrust(2, 99, &old), Some(Refusal::OldTerm));
        assert_eq!(again.letter(2, false).remembered[&2].log, None);
    }

    #[test]
    fn raft_is_not_heard_before_the_others_are_asked() {
        let directory = tempfile::tempdir().unwrap();
        let guard = guard(directory.path());
        assert!(guard.admit(2, None).is_err());
        guard.settle();
        guard.admit(2, None).unwrap();
    }
}
