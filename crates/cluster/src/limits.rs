//! The bounds of this crate, each with its reason and what happens when it is reached.

use std::time::Duration;

/// Most voting members of the metadata group: a majority of five survives two failures, and every
/// further voter only makes each decision slower. Further members are learners. Odd: a fourth voter
/// survives no more failures than three do, and is one more that can fail.
pub const VOTERS: usize = 5;

/// How long a voter is down until another member takes its vote, where one may: longer than a
/// restart, so that votes do not move with every one.
pub const VOTER_DOWN: Duration = Duration::from_secs(60);

/// How long a leader may go without hearing from a majority and still count as leading: some
/// heartbeats, and as long as its followers wait before they look for another.
pub const QUORUM_SILENCE: Duration = Duration::from_secs(3);

/// How long the removal of a member may take, the looking for it and the loss of its vote included.
/// Then: `Unavailable`.
pub const FORGET: Duration = Duration::from_secs(20);

/// How long the node that asks the leader for it waits for its answer; then it asks again.
pub const FORGET_CALL: Duration = Duration::from_secs(15);

/// How long the removal of a member waits until its vote is taken from it, and afterwards until the
/// metadata group has no trace of it.
pub const DEMOTE: Duration = Duration::from_secs(5);

/// How long a proposal may take, forwarding and retries included. Then: `Unavailable`.
pub const PROPOSE: Duration = Duration::from_secs(10);

/// How long one attempt to have a change decided by another node may take: a leader that is paused
/// or cut off has a successor by then. Then the leader is looked for again.
pub const ATTEMPT: Duration = Duration::from_secs(3);

/// How long the leader waits for a decision that another node asked for: less than [`ATTEMPT`], so
/// that the asking node hears of it.
pub const DECIDE: Duration = Duration::from_millis(2_500);

/// Largest change, in bytes of JSON. A larger one is refused as `TooLarge`.
pub const CHANGE_BYTES: usize = 256 << 10;

/// Most buckets with properties of their own, most bucket types, most members: the metadata is held
/// in memory and copied with every change. More are refused. All nodes must agree on these.
pub const BUCKETS: usize = 10_000;

/// See [`BUCKETS`].
pub const BUCKET_TYPES: usize = 1_000;

/// See [`BUCKETS`].
pub const MEMBERS: usize = 1_000;

/// Most unfinished jobs and pipelines: the metadata is held in memory and copied with every change. What
/// would be more is refused, and can be asked for again. All nodes must agree on it and the next ones.
pub const JOBS: usize = 10_000;

/// Most schedules: the clock looks at all of them.
pub const SCHEDULES: usize = 1_000;

/// Jobs that are remembered after their end: a decision to start one arrives again within [`PROPOSE`] or
/// never, and no cluster ends more jobs in that time, since each is several decisions on disks.
pub const ENDED_JOBS: usize = 2_000;

/// The longest id of a job and name of a schedule, in bytes: they are keys of objects and parts of
/// paths.
pub const JOB_ID_BYTES: usize = 256;

/// The longest message with which a job is aborted, in bytes: a few sentences. It is kept in memory by
/// all nodes.
pub const ABORT_BYTES: usize = 1_024;

/// How long the leader considers a node that asks to join, a look after the holder of its name
/// included. Then it is told to come again.
pub const ADMIT: Duration = Duration::from_secs(8);

/// How long a node that asks to join waits for one answer. Then it asks elsewhere.
pub const JOIN_CALL: Duration = Duration::from_secs(10);

/// The first and the longest pause between two rounds of join requests.
pub const JOIN_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long a node waits for its membership to reach it after it was accepted. Then it asks again.
pub const JOIN_ARRIVAL: Duration = Duration::from_secs(5);

/// How long a restarted member holds back its start to tell its addresses; it goes on telling them
/// in the background, since it serves from its last plan without a majority too.
pub const RETELL: Duration = Duration::from_secs(5);

/// How long a question whether the present holder of a name is alive may take.
pub const PROBE: Duration = Duration::from_secs(2);

/// Most members that are asked at the same time whether they answer at all, because gossip has not
/// heard of them. The others are asked when these have answered.
pub const PROBES: usize = 16;

/// How long one change of the voters may take. Then it is tried again.
pub const RESHAPE: Duration = Duration::from_secs(10);

/// Pause between two changes of the voters that failed.
pub const RESHAPE_PAUSE: Duration = Duration::from_millis(200);

/// How far a learner may lag behind the log and still be made a voter, in entries.
pub const VOTER_LAG: u64 = 50;

/// Entries of the log between two snapshots: replaying them takes milliseconds.
pub const SNAPSHOT_ENTRIES: u64 = 200;

/// Entries kept behind the snapshot, so that a follower that lags a little needs no snapshot.
pub const KEPT_ENTRIES: u64 = 100;

/// Most entries in one message of replication.
pub const MESSAGE_ENTRIES: u64 = 64;

/// Largest record of the log file, in bytes. A longer length in the file is damage.
pub const RECORD_BYTES: usize = 64 << 20;

/// How long sending and installing a snapshot may take. Then it is sent again.
pub const SNAPSHOT_SEND: Duration = Duration::from_secs(30);

/// Links of the chain of hashes that are kept to compare with other nodes: those lag by no more than
/// what is sent to them in entries.
pub const HASHES: usize = 1_000;

/// Most nodes whose positions are passed on in one message of the metadata group: voters of an old
/// and a new set, and its receiver.
pub const TOLD_NODES: usize = 2 * VOTERS + 1;

/// How long a node that starts asks the others of its group how far it once was, before it votes or
/// follows anybody. Who has not answered then is gone, or tells it with its next message.
pub const RECALL: Duration = Duration::from_secs(1);

/// Pause between two rounds of the same question while there is no leader.
pub const RECALL_PAUSE: Duration = Duration::from_secs(1);

/// How long after its last sign a leader counts as one: longer than a successor takes.
pub const LEADER_SILENT: Duration = Duration::from_secs(4);

/// How long installing a chosen history on one node may take, and electing its node.
pub const ADOPT: Duration = Duration::from_secs(10);

/// A chosen history goes on at the next multiple of this many entries, so that no entry that is
/// dropped shares its index with a later one.
pub const CHOICE_ENTRIES: u64 = 1_000_000;

/// A chosen history goes on so many terms later than any that is known: nodes that were not reached
/// may have seen later ones.
pub const CHOICE_TERMS: u64 = 1_000;

/// How long a node that refused a connection counts as down at least: long enough that heartbeats
/// which it sent before its end, and which others pass on, have gone round.
pub const REPORT_HOLD: Duration = Duration::from_secs(1);

/// How long a member that gossip has not heard yet counts as up: a node that has just joined must
/// not be passed over before its first heartbeats arrive.
pub const UNPROVEN: Duration = Duration::from_secs(5);

/// Interval of gossip, and of looking at what it has found.
pub const GOSSIP: Duration = Duration::from_millis(250);

/// How long a member may have no new heartbeat until it counts as dead: sixteen of them, in which
/// several ways of it are lost.
pub const SILENT: Duration = Duration::from_secs(4);

/// Members that each heartbeat goes to, others than those that are silent. They pass it on.
pub const GOSSIP_FANOUT: usize = 3;

/// Largest datagram of gossip, in bytes: a hundred nodes and more. Of more members each tells of as many
/// as there is room for, in turn. A larger datagram is refused.
pub const DATAGRAM_BYTES: usize = 16 << 10;

/// Longest address that gossip tells, in bytes: the longest name and a port. A datagram with a longer one
/// is refused.
pub const ADDRESS_BYTES: usize = 512;

/// Most nodes that are heard while the members are not known: enough to find that the cluster is there.
pub const HEARD_BEFORE: usize = 16;

/// Most lives of nodes that the gossip of former programs may tell of, which anybody can invent: some for
/// each member. It begins anew when there are more.
pub const HEARD_PLAIN: usize = 4 * MEMBERS;

/// Pause before gossip that has ended begins again.
pub const GOSSIP_RESTART: Duration = Duration::from_secs(1);

/// How often a member of which the metadata does not say which releases of the formats it knows asks
/// to have that told. Until then the cluster writes for former programs: seconds do not matter.
pub const RELEASES: Duration = Duration::from_secs(2);

/// Interval at which addresses of members not heard are resolved again and gossiped with.
pub const SEEDING: Duration = Duration::from_secs(1);

/// How long a node that leaves waits for gossip to carry that it does.
pub const LEAVE: Duration = Duration::from_millis(600);

/// How long a node that would start a new cluster listens whether its cluster exists already: an
/// emptied data directory must not make a second cluster of the same name.
pub const FOUND_LISTEN: Duration = Duration::from_millis(1_500);

// A forwarded proposal is answered before its sender gives up.
const _: () = assert!(DECIDE.as_millis() < ATTEMPT.as_millis());
const _: () = assert!(ATTEMPT.as_millis() < PROPOSE.as_millis());
// The same for joining, with one forwarding between.
const _: () = assert!(PROBE.as_millis() < ADMIT.as_millis());
const _: () = assert!(ADMIT.as_millis() < JOIN_CALL.as_millis());
// A node whose removal is asked for is looked for, and loses its vote, before the asker gives up.
const _: () = assert!(PROBE.as_millis() + 2 * DEMOTE.as_millis() < FORGET_CALL.as_millis());
const _: () = assert!(FORGET_CALL.as_millis() < FORGET.as_millis());
const _: () = assert!(VOTERS % 2 == 1);
// Whatever is replicated in one message fits into one record of the log.
const _: () = assert!(MESSAGE_ENTRIES as usize * 2 * CHANGE_BYTES < RECORD_BYTES);
// A snapshot is built, and entries are purged, long before the hashes of older entries are missed.
const _: () = assert!(HASHES as u64 > 2 * (SNAPSHOT_ENTRIES + KEPT_ENTRIES));
// A member that tells nothing for some rounds is not dead.
const _: () = assert!(SILENT.as_millis() > 8 * GOSSIP.as_millis());
// Gossip begins again, and speaks to all, before others take this node for dead.
const _: () = assert!(GOSSIP_RESTART.as_millis() + SEEDING.as_millis() < SILENT.as_millis());
// Gossip carries at least two rounds while a node leaves.
const _: () = assert!(LEAVE.as_millis() >= 2 * GOSSIP.as_millis());

/// Longest pause before a leader is looked for again; a change of the leader ends it early.
pub const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Most addresses that are kept; further nodes are found by way of the metadata.
pub const ADDRESSES: usize = 4_096;

/// Pause before a node that could not be reached is tried again.
pub const UNREACHED_PAUSE: Duration = Duration::from_millis(200);
