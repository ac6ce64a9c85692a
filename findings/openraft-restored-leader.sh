#!/usr/bin/env bash
# openraft: a leader whose storage was put back to an earlier state leads on in the same term, and
# gives log ids that it has already given to other entries. A follower that has those does not
# notice.
#
# A small program of one raft node and one follower, with their storage in memory, shows it. Needs
# cargo (1.85 or later) and access to the crates. Takes a minute or more, nearly all of it for the
# build.
#
# Ends with 0 while openraft behaves so, and with another status when that changes.
set -euo pipefail

OPENRAFT=0.9.25
TOKIO=1.54.1

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<END
[package]
name = "restored-leader"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
openraft = { version = "=$OPENRAFT", features = ["storage-v2"] }
tokio = { version = "=$TOKIO", features = ["macros", "rt", "time"] }

[profile.dev]
debug = false

[workspace]
END

cat >"$folder/src/main.rs" <<'END'
//! One raft node that is started again on an earlier state of its own storage.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AnyError, BasicNode, Config, EntryPayload, LogState, OptionalSend, RaftLogReader,
    RaftSnapshotBuilder, ServerState, StorageIOError,
};

openraft::declare_raft_types!(Types: D = String, R = ());

type Raft = openraft::Raft<Types>;
type Entry = openraft::Entry<Types>;
type LogId = openraft::LogId<u64>;
type Vote = openraft::Vote<u64>;
type Stored<T> = Result<T, openraft::StorageError<u64>>;
type Membership = openraft::StoredMembership<u64, BasicNode>;
type Snapshot = openraft::Snapshot<Types>;
type SnapshotMeta = openraft::SnapshotMeta<u64, BasicNode>;
type Sent<T, E = openraft::error::Infallible> =
    Result<T, RPCError<u64, BasicNode, RaftError<u64, E>>>;

const NODE: u64 = 1;
/// One that learns what it writes.
const FOLLOWER: u64 = 2;
const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

/// All that a node keeps while it is not running. A clone of it is a backup.
#[derive(Clone, Default)]
struct Disk {
    vote: Option<Vote>,
    committed: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
    /// How often a vote was saved: an election saves at least one.
    votes_saved: u32,
}

/// The log of a node on its disk.
#[derive(Clone)]
struct Log(Arc<Mutex<Disk>>);

impl Log {
    fn on(disk: Disk) -> Self {
        Self(Arc::new(Mutex::new(disk)))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("no holder of the lock panics")
    }

    /// What was written by a client at `index`.
    fn written(&self, index: u64) -> Option<String> {
        match &self.disk().entries.get(&index)?.payload {
            EntryPayload::Normal(value) => Some(value.clone()),
            _ => None,
        }
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Stored<Vec<Entry>> {
        Ok(self.disk().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Stored<LogState<Types>> {
        let disk = self.disk();
        let last = disk.entries.values().next_back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: disk.purged, last_log_id: last.or(disk.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Stored<()> {
        let mut disk = self.disk();
        disk.vote = Some(*vote);
        disk.votes_saved += 1;
        Ok(())
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote>> {
        Ok(self.disk().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Stored<()> {
        self.disk().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Stored<Option<LogId>> {
        Ok(self.disk().committed)
    }

    async fn append<I>(&mut self, entries: I, done: LogFlushed<Types>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.disk().entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        done.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Stored<()> {
        self.disk().entries.split_off(&from.index);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Stored<()> {
        let mut disk = self.disk();
        disk.entries = disk.entries.split_off(&(upto.index + 1));
        disk.purged = Some(upto);
        Ok(())
    }
}

/// A state machine that keeps no more than how far it is: the entries themselves are compared.
#[derive(Default)]
struct Machine {
    applied: Option<LogId>,
    membership: Membership,
}

/// There are too few entries for a snapshot.
struct NoSnapshots;

impl NoSnapshots {
    fn error() -> openraft::StorageError<u64> {
        StorageIOError::write_snapshot(None, AnyError::error("there are no snapshots")).into()
    }
}

impl RaftSnapshotBuilder<Types> for NoSnapshots {
    async fn build_snapshot(&mut self) -> Stored<Snapshot> {
        Err(Self::error())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = NoSnapshots;

    async fn applied_state(&mut self) -> Stored<(Option<LogId>, Membership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<()>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                self.membership = Membership::new(Some(entry.log_id), membership);
            }
            answers.push(());
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> NoSnapshots {
        NoSnapshots
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Cursor<Vec<u8>>>> {
        Err(NoSnapshots::error())
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        _snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Stored<()> {
        Err(NoSnapshots::error())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot>> {
        Ok(None)
    }
}

/// The way to other nodes: there are none.
struct Alone;

impl Alone {
    fn nobody<T, E: Error>() -> Sent<T, E> {
        let error = std::io::Error::other("there is no other node");
        Err(RPCError::Unreachable(Unreachable::new(&error)))
    }
}

impl RaftNetworkFactory<Types> for Alone {
    type Network = Self;

    async fn new_client(&mut self, _target: u64, _node: &BasicNode) -> Self {
        Self
    }
}

impl RaftNetwork<Types> for Alone {
    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Sent<AppendEntriesResponse<u64>> {
        Self::nobody()
    }

    async fn install_snapshot(
        &mut self,
        _request: InstallSnapshotRequest<Types>,
        _option: RPCOption,
    ) -> Sent<InstallSnapshotResponse<u64>, InstallSnapshotError> {
        Self::nobody()
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Sent<VoteResponse<u64>> {
        Self::nobody()
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

async fn start(node: u64, log: &Log, may_stand: bool) -> Outcome<Raft> {
    let config = Config {
        heartbeat_interval: 50,
        election_timeout_min: 150,
        election_timeout_max: 300,
        enable_elect: may_stand,
        ..Config::default()
    };
    let config = Arc::new(config.validate()?);
    Ok(Raft::new(node, config, Alone, log.clone(), Machine::default()).await?)
}

/// Waits until the node leads; the term it leads in.
async fn leading(raft: &Raft) -> Outcome<u64> {
    let metrics = raft.wait(PATIENCE).state(ServerState::Leader, "the node leads").await?;
    Ok(metrics.current_term)
}

async fn write(raft: &Raft, value: &str) -> Outcome<LogId> {
    Ok(raft.client_write(value.to_owned()).await?.log_id)
}

/// One life of a node: the last that it wrote and in which term it led, and what it left.
struct Life {
    term: u64,
    id: LogId,
    value: Option<String>,
    disk: Disk,
}

impl Life {
    /// Starts a node on `disk` and writes `value`.
    async fn on(disk: Disk, may_stand: bool, value: &str) -> Outcome<Self> {
        let log = Log::on(Disk { votes_saved: 0, ..disk });
        let raft = start(NODE, &log, may_stand).await?;
        let term = leading(&raft).await?;
        let id = write(&raft, value).await?;
        raft.shutdown().await?;
        Ok(Self::left(term, id, &log))
    }

    fn left(term: u64, id: LogId, log: &Log) -> Self {
        Self { term, id, value: log.written(id.index), disk: log.disk().clone() }
    }

    fn show(&self, what: &str) {
        let LogId { leader_id: leader, index } = self.id;
        println!("{what}:");
        let votes = self.disk.votes_saved;
        println!("  leads in term {}, votes saved since the start: {votes}", self.term);
        println!(
            "  log id: term {}, node {}, index {index}; entry: {:?}",
            leader.term,
            leader.node_id,
            self.value.as_deref().unwrap_or("?"),
        );
    }
}

/// What a follower has under `id` when both lives of the leader have sent it what they wrote there.
async fn followed(first: &Disk, second: &Disk, id: LogId) -> Outcome<Option<String>> {
    println!("a follower that is sent what both have written:");
    let follower = Log::on(Disk::default());
    let raft = start(FOLLOWER, &follower, false).await?;
    for (from, entries) in [(0, &first.entries), (id.index, &second.entries)] {
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(id.leader_id.term, NODE),
            prev_log_id: from.checked_sub(1).map(|before| entries[&before].log_id),
            entries: entries.range(from..=id.index).map(|(_, entry)| entry.clone()).collect(),
            leader_commit: Some(id),
        };
        let answer = raft.append_entries(request).await?;
        println!("  answers the entries from index {from} on: {answer:?}");
        if !matches!(answer, AppendEntriesResponse::Success) {
            return Ok(None);
        }
        raft.wait(PATIENCE).applied_index(Some(id.index), "the entries are applied").await?;
    }
    raft.shutdown().await?;
    Ok(follower.written(id.index))
}

async fn holds() -> Outcome<bool> {
    // The first life: A, then a backup, then B.
    let log = Log::on(Disk::default());
    let raft = start(NODE, &log, true).await?;
    raft.initialize(BTreeMap::from([(NODE, BasicNode::default())])).await?;
    let term = leading(&raft).await?;
    write(&raft, "A").await?;
    let backup = log.disk().clone();
    let id = write(&raft, "B").await?;
    raft.shutdown().await?;
    let first = Life::left(term, id, &log);
    first.show("before");

    // The second: the backup is put back. It may not stand for election, so it leads only if
    // openraft makes it lead at once.
    let restored = Life::on(backup.clone(), false, "C").await?;
    restored.show("started on the backup, elections off");

    // For comparison: the same backup, but the vote is no longer that of a leader.
    let mut resigned = backup;
    if let Some(vote) = resigned.vote.as_mut() {
        vote.committed = false;
    }
    let elected = Life::on(resigned, true, "C").await?;
    elected.show("started on the backup, its vote loaded as not committed, elections on");

    let same_id = restored.id == first.id && restored.term == first.term;
    let other_entry = first.value.as_deref() == Some("B") && restored.value.as_deref() == Some("C");
    let unelected = restored.disk.votes_saved == 0;
    let vote_matters = elected.term > first.term && elected.id != first.id;
    if !(same_id && other_entry && unelected && vote_matters) {
        return Ok(false);
    }

    let kept = followed(&first.disk, &restored.disk, first.id).await?;
    println!("  holds under this id: {:?}", kept.as_deref().unwrap_or("?"));
    Ok(kept.as_deref() == Some("B"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match holds().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("it ended early: {error}");
            ExitCode::FAILURE
        }
    }
}
END

export CARGO_TARGET_DIR=$folder/target
cd "$folder"
cargo build --quiet
used=$(cargo pkgid openraft)
used=${used##*[#@]}
printf 'openraft %s\n\n' "$used"
if [[ $used != "$OPENRAFT" ]]; then
  printf 'This is not the version that was asked for.\n'
  exit 1
fi

if ! timeout 120 "$CARGO_TARGET_DIR/debug/restored-leader"; then
  printf '\nCHANGED: openraft does not behave as this finding says.\n'
  exit 1
fi

cat <<'END'

HOLDS: one log id, two entries.

A node whose stored vote is its own and committed is made leader of that term when it starts,
without an election and from whatever log it finds. When the storage is an earlier state of
itself (a backup or a disk image that was put back, a write that was lost), the node counts on from
there and gives the same log ids to other entries.

Why it matters: raft is safe because one log id names one entry. Nodes compare ids, never what is
in the entries. The follower above, which has B under this id, takes C to be there already and says
so: its leader would count it among those that have C. Logs and states part for good, and no node
reports an error.

What to do:
- Load the stored vote as not committed, unless the group is this node alone (no other has the
  entries that were lost). An election then takes a new term, so new ids are new.
- That is not enough when the vote put back is older than the last term the node led in: it can be
  elected in that term again. So have the other nodes remember how far each node was (its vote and
  last log id), and let one that comes back with less neither vote nor lead until it has the rest.
END
