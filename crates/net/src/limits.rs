//! The bounds of the transport, with their reasons and what happens when they are reached.

use std::time::Duration;

use mapring_types::limits::{LEASE, UNARY_BYTES};

/// Longest wait for a TCP connection. Then the peer counts as unreachable.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait of the calling side for the peer's part of the handshake.
pub const GREET_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time that an accepted connection may take for its handshake; then it is closed.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest body of a handshake message. Longer: the connection is closed before more is read.
pub const HANDSHAKE_BYTES: usize = 4 << 10;

/// Longest cluster name in bytes: it must fit a handshake message beside everything else.
pub const CLUSTER_NAME_BYTES: usize = 255;

/// Longest reason of a refusal, in bytes. Longer ones are cut.
pub const REASON_BYTES: usize = 1 << 10;

/// How long the failure to reach a peer is remembered: calls meanwhile fail at once, and later
/// calls wait no longer than this for the next attempt. Short, so that a peer that has come back
/// is used again soon.
pub const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Most accepted connections of all peers together. More are closed at once.
pub const CONNECTIONS: usize = 1_024;

/// Most accepted connections that have not finished their handshake. More are closed at once.
pub const HANDSHAKES: usize = 256;

/// Foreground connections to one peer: more than one, so that two cores can work for it.
pub const FOREGROUND_CONNECTIONS: usize = 2;

/// Most calls under way on one connection. Later ones wait until their timeout.
pub const CALLS_PER_CONNECTION: usize = 1_024;

/// Most calls that this node answers at once, for all peers. More are refused as `Overloaded`.
pub const REQUESTS: usize = 8_192;

/// Messages that wait for the socket of one connection. Senders of more wait.
pub const QUEUED_FRAMES: usize = 256;

/// Largest frame of a unary connection: a body and its header. Longer: the connection is closed.
pub const FRAME_BYTES: usize = UNARY_BYTES + (64 << 10);

/// Longest text of an error that is sent. Longer ones are cut.
pub const ERROR_BYTES: usize = 16 << 10;

/// How much is read from or gathered for a socket at a time.
pub const BUFFER_BYTES: usize = 64 << 10;

/// How long one write may wait for a peer that does not read. Then the connection is dropped.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection with calls under way that has been silent for so long is asked for a sign of life.
pub const PING_AFTER: Duration = Duration::from_secs(1);

/// How often connections are looked at for silence.
pub const TICK: Duration = Duration::from_millis(500);

/// A connection without calls is closed by the calling side after so long …
pub const IDLE: Duration = Duration::from_secs(300);

/// … and by the answering side after so long, which is later, so that no call meets a closed door.
pub const ABANDONED: Duration = Duration::from_secs(600);

/// Most streams (and large calls) under way to one peer and class. Later ones wait until their
/// timeout.
pub const STREAMS: u32 = 1_024;

/// Bytes that a peer may send ahead of what is taken from one stream.
pub const STREAM_WINDOW: u32 = 128 << 10;

/// Bytes that a peer may send ahead on one connection.
pub const CONNECTION_WINDOW: u32 = 128 << 20;

/// Largest HTTP/2 frame; larger frames of a stream are cut into pieces of this size, so that no
/// more than one piece waits for the window.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Room that is made at once for a piece of a stream that has begun to arrive. Longer ones get more
/// as their bytes come.
pub const EXPECTED_BYTES: usize = 2 << 20;

/// Largest header list of an HTTP/2 request.
pub const HEADER_BYTES: u32 = 4 << 10;

/// Memory for large requests that are being received or answered, for all peers. Later ones wait
/// until their timeout.
pub const LARGE_REQUEST_BYTES: usize = 512 << 20;

/// Most peers that connections are kept for. The one unused for longest makes room.
pub const PEERS: usize = 1_024;

/// Frames of a stream within the node, or of the simulated network, that wait to be taken.
pub const LOCAL_FRAMES: usize = 1;

// A stream that nobody reads must not hold up the others of its connection.
const _: () = assert!(CONNECTION_WINDOW as u64 >= STREAMS as u64 * STREAM_WINDOW as u64);
// A paused peer is noticed within five seconds, whether it answers the handshake or not.
const _: () = assert!(CONNECT_TIMEOUT.as_millis() + GREET_TIMEOUT.as_millis() < 5_000);
const _: () = assert!(LEASE.as_millis() + TICK.as_millis() < 5_000);
const _: () = assert!(PING_AFTER.as_millis() + TICK.as_millis() < LEASE.as_millis());
const _: () = assert!(GREET_TIMEOUT.as_millis() < HANDSHAKE_TIMEOUT.as_millis());
const _: () = assert!(IDLE.as_millis() < ABANDONED.as_millis());
const _: () = assert!(ERROR_BYTES < FRAME_BYTES - UNARY_BYTES);
const _: () = assert!(CLUSTER_NAME_BYTES + 256 < HANDSHAKE_BYTES);
const _: () = assert!(REASON_BYTES < HANDSHAKE_BYTES);
// Waiting cancellations are never lost: see `tcp::calls`.
const _: () = assert!(QUEUED_FRAMES <= CALLS_PER_CONNECTION);

/// Most calls of one connection that are served at a time: twice what a caller keeps to, which learns of
/// an answer a moment before the task of the call is gone. More are refused.
pub const CALLS_SERVED: usize = 2 * CALLS_PER_CONNECTION;
